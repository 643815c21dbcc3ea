"""Alerts begin, hold and end at the right time."""

import pytest

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Hot
        expr: temperature > 80
        for: 10s
        labels: {severity: critical}
        annotations: {summary: it is hot, description: "{{ $labels.node }} has {{ $value }}"}
"""
S = 'temperature{node="n1"}'


def test_an_alert_is_pending_until_its_time_is_over_then_firing_then_resolved(bench) -> None:
    b = bench(RULE)
    hot = lambda at: {S: 90.0 if 5_000 <= at < 20_000 else 20.0}  # noqa: E731
    assert b.states(range(0, 30_000, 1_000), hot) == [(5_000, "pending"), (15_000, "firing"), (20_000, "resolved")]


def test_for_counts_time_not_passes(bench) -> None:
    b = bench(RULE)
    b.at(0, {S: 90.0})
    assert b.at(9_999) == []
    assert [str(each.state) for each in b.at(10_000)] == ["firing"]


def test_a_pending_alert_that_lapses_never_fires(bench) -> None:
    b = bench(RULE)
    flapping = lambda at: {S: 90.0 if at % 8_000 < 7_000 else 20.0}  # noqa: E731
    states = b.states(range(0, 60_000, 1_000), flapping)
    assert {state for _, state in states} == {"pending", "resolved"}


def test_a_transition_carries_everything_an_alert_event_needs(bench) -> None:
    b = bench(RULE)
    b.at(0, {S: 90.0})
    (fired,) = b.at(10_000, {S: 91.5})
    assert (fired.rule, fired.alertname, fired.severity) == ("test.yaml/g/Hot", "Hot", "critical")
    assert fired.labels == {"alertname": "Hot", "node": "n1", "severity": "critical"}
    assert fired.annotations == {"summary": "it is hot", "description": "n1 has 91.5"}
    assert (fired.value, fired.active_since_ms, fired.evaluated_at_ms) == (91.5, 0, 10_000)
    assert (len(fired.alert_id), len(fired.event_id), len(fired.fingerprint)) == (32, 32, 16)
    assert fired.group_interval_seconds == 1.0


def test_ids_are_derived_so_two_engines_say_the_same(bench) -> None:
    first, second = bench(RULE), bench(RULE)
    for b in (first, second):
        b.at(0, {S: 90.0})
    one, two = first.at(10_000), second.at(10_000)
    assert [each.event_id for each in one] == [each.event_id for each in two]
    (pending,) = bench(RULE).at(0, {S: 90.0})
    assert pending.alert_id == one[0].alert_id
    assert pending.event_id != one[0].event_id


def test_for_zero_fires_at_once(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""))
    assert [str(each.state) for each in b.at(0, {S: 90.0})] == ["firing"]


def test_keep_firing_for_outlasts_the_condition(bench) -> None:
    b = bench(RULE.replace("for: 10s", "keep_firing_for: 5s"))
    hot = lambda at: {S: 90.0 if at < 3_000 or at == 5_000 else 20.0}  # noqa: E731
    assert b.states(range(0, 20_000, 1_000), hot) == [(0, "firing"), (11_000, "resolved")]


def test_an_alert_ends_when_its_series_goes_stale(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""))
    b.at(0, {S: 90.0})
    b.feed(1_000, {S: 90.0}, quality=[2])
    assert [str(each.state) for each in b.at(1_000)] == ["resolved"]


def test_bad_samples_never_fire(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""))
    b.feed(0, {S: 90.0}, quality=[1])
    assert b.at(0) == []


def test_the_clear_threshold_keeps_an_alert_until_it_holds_for_long_enough(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", ""),
        "groups: {g: {Hot: {clear: temperature < 70, clear_for: 3s}}}",
    )
    course = {0: 90, 1: 75, 2: 75, 3: 65, 4: 75, 5: 65, 6: 65, 7: 65, 8: 65, 9: 65}
    states = b.states(range(0, 10_000, 1_000), lambda at: {S: float(course[at // 1_000])})
    assert states == [(0, "firing"), (8_000, "resolved")]


def test_a_firing_alert_that_rises_again_within_the_band_stays_the_same_alert(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), "groups: {g: {Hot: {clear: temperature < 70}}}")
    course = [90, 75, 95, 75, 60]
    assert b.states(range(0, 5_000, 1_000), lambda at: {S: float(course[at // 1_000])}) == [
        (0, "firing"),
        (4_000, "resolved"),
    ]


def test_an_alert_whose_device_falls_silent_is_held_and_ends_as_unknown_never_as_healthy(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), "groups: {g: {Hot: {hold_over_gap: 10s}}}")
    b.at(0, {S: 90.0})
    b.feed(1_000, {S: 0.0}, quality=[2])
    assert b.states(range(1_000, 20_000, 1_000), lambda _: None) == [(11_000, "unknown")]


def test_an_alert_held_over_a_gap_resolves_when_the_device_returns_healthy(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), "groups: {g: {Hot: {hold_over_gap: 10s}}}")
    b.at(0, {S: 90.0})
    b.feed(1_000, {S: 0.0}, quality=[2])
    assert b.states(range(1_000, 5_000, 1_000), lambda _: None) == []
    assert [str(each.state) for each in b.at(6_000, {S: 20.0})] == ["resolved"]


def test_a_device_that_falls_silent_while_clearing_does_not_clear(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", ""),
        "groups: {g: {Hot: {clear: temperature < 70, clear_for: 3s, hold_over_gap: 4s}}}",
    )
    b.at(0, {S: 90.0})
    b.at(1_000, {S: 60.0})
    b.feed(2_000, {S: 60.0}, quality=[2])
    assert b.states(range(2_000, 10_000, 1_000), lambda _: None) == [(6_000, "unknown")]


def test_clearing_begins_anew_after_a_gap(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", ""),
        "groups: {g: {Hot: {clear: temperature < 70, clear_for: 3s, hold_over_gap: 60s}}}",
    )
    b.at(0, {S: 90.0})
    b.at(1_000, {S: 60.0})
    b.feed(2_000, {S: 60.0}, quality=[2])
    assert b.at(2_000) == []
    assert b.states(range(10_000, 20_000, 1_000), lambda _: {S: 60.0}) == [(13_000, "resolved")]


def test_a_second_gap_is_held_as_long_as_the_first(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", ""), "groups: {g: {Hot: {clear: temperature < 70, hold_over_gap: 10s}}}"
    )
    b.at(0, {S: 90.0})
    b.feed(1_000, {S: 0.0}, quality=[2])
    assert b.states(range(1_000, 9_000, 1_000), lambda _: None) == []
    assert b.at(9_000, {S: 75.0}) == []
    b.feed(10_000, {S: 0.0}, quality=[2])
    assert b.states(range(10_000, 30_000, 1_000), lambda _: None) == [(20_000, "unknown")]


def test_without_a_sidecar_a_gap_resolves_as_in_prometheus(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""))
    b.at(0, {S: 90.0})
    assert b.states([299_999, 300_000], lambda _: None) == [(300_000, "resolved")]


def test_the_state_survives_a_restart_and_for_continues(bench) -> None:
    b = bench(RULE)
    b.at(0, {S: 90.0})
    b.at(6_000, {S: 90.0})
    saved = b.engine.state(6_000)
    again = bench(RULE)
    assert again.engine.restore(saved, 8_000) == 1
    again.feed(8_000, {S: 90.0})
    assert again.states(range(8_000, 14_000, 1_000), lambda at: {S: 90.0}) == [(12_000, "firing")]


def test_a_firing_alert_is_neither_lost_nor_told_twice_over_a_restart(bench) -> None:
    b = bench(RULE)
    b.at(0, {S: 90.0})
    (fired,) = b.at(10_000, {S: 90.0})
    again = bench(RULE)
    again.engine.restore(b.engine.state(10_000), 60_000)
    assert again.at(60_000, {S: 90.0}) == []
    (ended,) = again.at(61_000, {S: 20.0})
    assert (ended.state, ended.alert_id, ended.active_since_ms) == ("resolved", fired.alert_id, fired.active_since_ms)


def test_time_in_which_the_bus_lagged_does_not_count(bench) -> None:
    b = bench(RULE.replace("temperature > 80", "absent(temperature)"))
    assert [str(each.state) for each in b.at(0)] == ["pending"]
    assert b.at(5_000) == []
    for at in range(6_000, 30_000, 1_000):
        assert b.at(at, lagging=True) == []
    assert b.at(30_000) == []
    assert b.at(33_999) == []
    assert [str(each.state) for each in b.at(34_000)] == ["firing"]


def test_rules_on_absence_do_not_fire_while_the_bus_lags_but_others_do(bench) -> None:
    b = bench(
        """
groups:
  - name: g
    rules:
      - {alert: Gone, expr: absent(x)}
      - {alert: Late, expr: time() - y > 10}
      - {alert: Over, expr: temperature > 80}
"""
    )
    b.feed(0, {S: 90.0, "y": -100.0})
    assert [each.alertname for each in b.at(1_000, lagging=True)] == ["Over"]
    assert {each.alertname for each in b.at(2_000)} == {"Gone", "Late"}


def test_alerts_are_series_too(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", "")
        + """
      - alert: Many
        expr: count(ALERTS{alertname="Hot", alertstate="firing"}) > 1
      - alert: Old
        expr: time() - ALERTS_FOR_STATE{alertname="Hot"} > 5
"""
    )
    two = {S: 90.0, 'temperature{node="n2"}': 95.0}
    assert [each.alertname for each in b.at(1_000, two)] == ["Hot", "Hot", "Many"]
    assert [each.alertname for each in b.at(7_000, two)] == ["Old", "Old"]
    ended = b.at(8_000, {S: 20.0, 'temperature{node="n2"}': 95.0})
    assert sorted((each.alertname, str(each.state)) for each in ended) == [
        ("Hot", "resolved"),
        ("Many", "resolved"),
        ("Old", "resolved"),
    ]


def test_recorded_series_are_seen_by_the_rules_after_them_and_published(bench) -> None:
    b = bench(
        """
groups:
  - name: g
    rules:
      - {record: "rack:temperature:max", expr: max by (rack) (temperature), labels: {unit: celsius}}
      - {alert: RackHot, expr: "rack:temperature:max > 80"}
"""
    )
    assert [each.alertname for each in b.at(0, {'temperature{rack="r1"}': 90.0})] == ["RackHot"]
    published = b.engine.drain_recorded()
    assert [message.key for message in published] == ["rules/g", "rules/g"]
    assert b.engine.drain_recorded() == []


def test_a_recorded_series_ends_with_its_source(bench) -> None:
    b = bench(
        "groups: [{name: g, rules: [{record: up:count, expr: count(up)}, {alert: Gone, expr: absent(up:count)}]}]"
    )
    assert b.at(0, {"up": 1.0}) == []
    b.feed(1_000, {"up": 1.0}, quality=[2])
    assert [str(each.state) for each in b.at(1_000)] == ["firing"]


def test_two_elements_that_become_one_alert_are_an_error_and_change_nothing(bench) -> None:
    b = bench(
        RULE.replace("{severity: critical}", '{severity: critical, node: "same"}').replace("        for: 10s\n", "")
    )
    assert [str(each.state) for each in b.at(0, {S: 90.0})] == ["firing"]
    assert b.at(1_000, {S: 20.0, 'temperature{node="n2"}': 95.0, 'temperature{node="n3"}': 95.0}) == []
    assert "same labelset after applying alert labels" in b.engine.failures["test.yaml/g/Hot"]
    assert len(b.engine.alerts()) == 1


def test_a_failing_rule_leaves_its_neighbours_alone(bench) -> None:
    b = bench(
        RULE.replace("        for: 10s\n", "")
        + """
      - {alert: Broken, expr: temperature * on () temperature}
      - {alert: Fine, expr: temperature > 80}
"""
    )
    fired = b.at(0, {S: 90.0, 'temperature{node="n2"}': 10.0})
    assert [each.alertname for each in fired] == ["Hot", "Fine"]
    assert "many-to-many matching not allowed" in b.engine.failures["test.yaml/g/Broken"]


BY_VALUE = RULE.replace(
    "{severity: critical}", '{severity: "{{ if gt $value 95.0 }}critical{{ else }}warning{{ end }}"}'
)


def test_templated_labels_make_the_alerts_identity_as_in_prometheus(bench) -> None:
    b = bench(BY_VALUE)
    b.at(0, {S: 90.0})
    changed = b.at(5_000, {S: 97.0})
    assert [(each.severity, str(each.state)) for each in changed] == [("critical", "pending"), ("warning", "resolved")]
    assert b.at(10_000, {S: 97.0}) == []
    (fired,) = b.at(15_000, {S: 97.0})
    assert (fired.severity, fired.labels["severity"], fired.active_since_ms) == ("critical", "critical", 5_000)


def test_templated_labels_that_make_one_alert_of_two_elements_are_an_error_and_change_nothing(bench) -> None:
    b = bench(RULE.replace("{severity: critical}", '{node: "{{ $labels.rack }}"}').replace("        for: 10s\n", ""))
    two = {'temperature{node="n1",rack="r1"}': 90.0, 'temperature{node="n2",rack="r1"}': 90.0}
    assert b.at(0, two) == []
    assert "same labelset after applying alert labels" in b.engine.failures["test.yaml/g/Hot"]
    assert b.engine.alerts() == []


def test_a_chain_of_recorded_series_is_seen_within_its_group_also_with_an_offset(bench) -> None:
    b = bench(
        """
groups:
  - name: g
    query_offset: 10s
    rules:
      - {record: "a:max", expr: max(temperature)}
      - {record: "b:double", expr: "a:max * 2"}
      - {alert: High, expr: "b:double > 100"}
"""
    )
    b.feed(0, {S: 90.0})
    assert b.at(9_000) == [], "before the offset there is nothing to see"
    (fired,) = b.at(10_000)
    assert (fired.value, fired.active_since_ms) == (180.0, 10_000)


FLAPPING = "groups: {g: {Hot: {flapping: {times: 3, within: 60s, calm: 20s}}}}"


def test_an_alert_that_flaps_stays_until_it_has_been_calm(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), FLAPPING)
    hot = lambda at: {S: 90.0 if at % 6_000 < 2_000 and at < 40_000 else 20.0}  # noqa: E731
    assert b.states(range(0, 80_000, 1_000), hot) == [
        (0, "firing"),
        (2_000, "resolved"),
        (6_000, "firing"),
        (8_000, "resolved"),
        (12_000, "firing"),
        (58_000, "resolved"),
    ]


def test_firings_that_are_far_apart_are_no_flapping(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), FLAPPING)
    hot = lambda at: {S: 90.0 if at % 40_000 < 2_000 else 20.0}  # noqa: E731
    assert len(b.states(range(0, 160_000, 1_000), hot)) == 8


def test_flapping_is_remembered_over_a_restart(bench) -> None:
    b = bench(RULE.replace("        for: 10s\n", ""), FLAPPING)
    hot = lambda at: {S: 90.0 if at % 6_000 < 2_000 else 20.0}  # noqa: E731
    b.states(range(0, 11_000, 1_000), hot)
    again = bench(RULE.replace("        for: 10s\n", ""), FLAPPING)
    again.engine.restore(b.engine.state(11_000), 11_500)
    course = lambda at: {S: 90.0 if at == 12_000 else 20.0}  # noqa: E731
    assert again.states(range(12_000, 60_000, 1_000), course) == [(12_000, "firing"), (33_000, "resolved")]


def test_frames_wake_only_the_groups_that_read_them(bench) -> None:
    b = bench(
        """
groups:
  - {name: a, rules: [{alert: A, expr: x > 1}]}
  - {name: b, rules: [{alert: B, expr: '{__name__=~"y.*"} > 1'}]}
"""
    )
    assert b.feed(0, {"x": 1.0}) == {"test.yaml/a"}
    assert b.feed(0, {"y2": 1.0}, source="c/d") == {"test.yaml/b"}
    assert b.feed(0, {"z": 1.0}, source="e/f") == frozenset()


def test_late_frames_go_to_their_place_and_wake_nobody(bench) -> None:
    b = bench("groups: [{name: a, rules: [{alert: A, expr: x > 1}, {alert: C, expr: 'count_over_time(x[10s]) > 2'}]}]")
    b.feed(1_000, {"x": 1.0})
    b.feed(3_000, {"x": 1.0})
    assert b.feed(2_000, {"x": 9.0}) == frozenset()
    assert [each.alertname for each in b.at(3_500)] == ["C"]


def test_a_doubled_frame_changes_nothing(bench) -> None:
    b = bench("groups: [{name: a, rules: [{alert: C, expr: 'count_over_time(x[10s]) > 1'}]}]")
    import numpy as np

    from bus.frames import SeriesLayout

    messages = b.writer.messages("a/b", 1, SeriesLayout.of([("x", ())]), 1_000, np.array([1.0]))
    for message in [*messages, *messages]:
        b.engine.append_frame(message.value)
    assert b.at(1_000) == []
    assert b.engine.window.counts.duplicates == 1


def test_a_reload_keeps_alerts_and_window_and_ends_those_of_rules_that_went(bench, tmp_path) -> None:
    from rules.files.load import load_rules

    b = bench(RULE)
    b.at(0, {S: 90.0})
    b.at(10_000, {S: 90.0})
    b.path.write_text(RULE.replace("temperature > 80", "avg_over_time(temperature[1m]) > 80"))
    assert b.engine.reload(load_rules([tmp_path]), 11_000) == []
    assert b.at(11_000) == []
    b.path.write_text(RULE.replace("alert: Hot", "alert: Warm"))
    (ended,) = b.engine.reload(load_rules([tmp_path]), 12_000)
    assert (ended.alertname, str(ended.state)) == ("Hot", "unknown")
    assert [str(each.state) for each in b.at(12_000)] == ["pending"]


def test_a_group_over_its_limit_is_an_error(bench) -> None:
    b = bench(RULE.replace("interval: 1s", "interval: 1s\n    limit: 1").replace("        for: 10s\n", ""))
    assert b.at(0, {S: 90.0, 'temperature{node="n2"}': 95.0}) == []
    assert "limit of 1" in b.engine.failures["test.yaml/g/Hot"]


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\x93\x01", b"not a state"])
def test_damaged_states_are_refused(bench, damage) -> None:
    from fleet.errors import Malformed

    with pytest.raises(Malformed):
        bench(RULE).engine.restore(damage, 0)
