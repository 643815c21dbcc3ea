"""Rule files are read strictly: every mistake with file, line and column, nothing half loaded."""

from pathlib import Path

import pytest

from rules.check import estimate, experimental_functions, unknown_metrics
from rules.files.durations import duration_text, milliseconds
from rules.files.fields import RuleFileError
from rules.files.load import load_rules, rule_files
from rules.files.model import FlapDamping

GOOD = """
groups:
  - name: g
    interval: 30s
    limit: 10
    query_offset: 5s
    labels: {team: power}
    rules:
      - alert: A
        expr: |
          x > 1
        for: 1h30m
        keep_firing_for: 5m
        labels: {severity: critical, count: 3}
        annotations: {summary: "it is {{ $value }}"}
      - alert: A
        expr: y
      - record: z:sum
        expr: sum(z)
"""


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str, sidecar: str | None = None) -> list[str]:
    write(folder, text)
    if sidecar is not None:
        write(folder, sidecar, "r.hallkeeper.yaml")
    with pytest.raises(RuleFileError) as caught:
        load_rules([folder])
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "power/pdu.yaml")
    (group,) = load_rules([tmp_path]).groups
    assert (group.uid, group.interval_ms, group.limit, group.query_offset_ms) == ("power/pdu.yaml/g", 30_000, 10, 5_000)
    first, second, recording = group.rules
    assert (first.uid, second.uid, recording.uid) == (
        "power/pdu.yaml/g/A",
        "power/pdu.yaml/g/A#2",
        "power/pdu.yaml/g/z:sum",
    )
    assert (first.for_ms, first.keep_firing_for_ms) == (5_400_000, 300_000)
    assert {name: label.source for name, label in first.labels.items()} == {
        "team": "power",
        "severity": "critical",
        "count": "3",
    }
    assert recording.labels == {"team": "power"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("groups: [{name: g, rules: [{alert: A, expr: x, four: 5s}]}]", "unknown field 'four', try 'for'"),
        ("groups: [{name: g, rulez: []}]", "unknown field 'rulez', try 'rules'"),
        ("groups: [{rules: []}]", "`name` is missing"),
        ("groups: [{name: g, rules: [{alert: A}]}]", "`expr` is missing"),
        ("groups: [{name: g, rules: [{alert: A, record: b, expr: x}]}]", "must have `record` or `alert`, and not both"),
        ("groups: [{name: g, rules: [{expr: x}]}]", "must have `record` or `alert`"),
        ("groups: [{name: g, rules: [{alert: A, expr: 'sum(x'}]}]", "unclosed left parenthesis"),
        (
            "groups: [{name: g, rules: [{alert: A, expr: 'x + histogram_count(y)'}]}]",
            "histogram_count() reads native histograms, and only classic ones are supported at 1:5 of the expression",
        ),
        ("groups: [{name: g, rules: [{alert: A, expr: 'x[5m]'}]}]", "must be a vector or a scalar"),
        (
            "groups: [{name: g, rules: [{alert: A, expr: x, for: 5 minutes}]}]",
            "not a valid duration: '5 minutes', try such as 30s",
        ),
        ("groups: [{name: g, rules: [{alert: A, expr: x, for: 400d}]}]", "longer than a year"),
        ("groups: [{name: g, rules: [{alert: A, expr: x, labels: {a-b: c}}]}]", "invalid label name 'a-b'"),
        ("groups: [{name: g, rules: [{alert: A, expr: x, labels: {__name__: c}}]}]", "invalid label name"),
        (
            "groups: [{name: g, rules: [{alert: A, expr: x, annotations: {s: '{{ foo \"up\" }}'}}]}]",
            "template: function 'foo' is not supported",
        ),
        ("groups: [{name: g, rules: [{alert: A, expr: x, annotations: {s: '{{ $x }}'}}]}]", "undefined variable '$x'"),
        ("groups: [{name: g, rules: [{alert: A, expr: x, annotations: {s: '{{ if }}'}}]}]", "template:"),
        ("groups: [{name: g, rules: [{record: 'a-b', expr: x}]}]", "invalid metric name 'a-b'"),
        ("groups: [{name: g, rules: [{record: a, expr: x, for: 5s}]}]", "a recording rule has no `for`"),
        ("groups: [{name: g}, {name: g}]", "group 'g' is there 2 times"),
        ("groups: [{name: g, limit: many}]", "must be a whole number, is 'many'"),
        ("groups: {name: g}", "must be a list"),
        ("groups: [{name: g, rules: [{alert: A, expr: x, expr: y}]}]", "there twice"),
        ("groups: [{name: g, rules: [", "not valid YAML"),
        ("", "is empty"),
    ],
)
def test_every_mistake_says_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    (first, *_) = mistakes(tmp_path, text)
    assert said in first
    assert first.startswith(("r.yaml:1:", "r.yaml:0:", "r.yaml:2:1: not valid"))


def test_all_mistakes_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    write(tmp_path, "groups: [{name: h, rules: [{alert: A, expr: 'x >'}]}]", "b.yaml")
    found = mistakes(
        tmp_path, "groups:\n  - name: g\n    rules:\n      - alert: A\n        expr: 'x +'\n        for: soon\n"
    )
    assert [line.split(": ")[0] for line in found] == ["b.yaml:1:45", "r.yaml:5:15", "r.yaml:6:14"]


def test_a_sidecar_adds_what_operators_ask_for(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(
        tmp_path,
        "protective: [g]\npaced: [g]\ngroups: {g: {A: {clear: x < 0.5, clear_for: 2m, hold_over_gap: 10m}}}",
        "r.hallkeeper.yaml",
    )
    (group,) = load_rules([tmp_path]).groups
    assert group.protective
    assert group.paced
    sidecar = group.rules[0].sidecar
    assert (sidecar.clear, sidecar.clear_for_ms, sidecar.hold_over_gap_ms) == ("x < 0.5", 120_000, 600_000)


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        ("groups: {h: {A: {clear: x}}}", "the rule file has no group 'h'"),
        ("groups: {g: {B: {clear: x}}}", "the rule file has no alert 'B'"),
        ("groups: {g: {A: {clear: 'x <'}}}", "try promtool"),
        ("groups: {g: {A: {clearly: x}}}", "unknown field 'clearly', try 'clear'"),
        ("groups: {g: {A: {clear_for: long}}}", "not a valid duration"),
        (
            "groups: {g: {A: {flapping: {times: 1, within: 10m, calm: 5m}}}}",
            "needs `times` (2 or more), `within` and `calm`",
        ),
        ("groups: {g: {A: {flapping: {times: 3, calm: 5m}}}}", "needs `times`"),
        (
            "groups: {g: {A: {flapping: {times: 3, within: 10m, calm: 5m, kalm: 5m}}}}",
            "unknown field 'kalm', try 'calm'",
        ),
        ("groups: {g: {A: {flapping: 3}}}", "must be a mapping"),
        ("groups: {g: {A: {catalogue: [A01, F02]}}}", "'F02' is no entry of the catalogue, try a letter A to E"),
        ("groups: {g: {A: {catalogue: [a01]}}}", "'a01' is no entry"),
        ("groups: {g: {A: {catalogue: [A011]}}}", "'A011' is no entry"),
        ("groups: {g: {A: {catalogue: [A01, A01]}}}", "'A01' is there twice"),
        ("groups: {g: {A: {catalogue: A01}}}", "must be a list"),
        ("groups: {g: {A: {catalogue: [[A01]]}}}", "must be an entry"),
        ("protective: [pdu]", "the rule file has no group 'pdu'"),
        ("paced: [pdu]", "the rule file has no group 'pdu'"),
        ("protektive: [g]", "unknown field 'protektive', try 'protective'"),
    ],
)
def test_a_sidecars_mistakes_are_its_own(tmp_path: Path, sidecar: str, said: str) -> None:
    (first, *_) = mistakes(tmp_path, GOOD, sidecar)
    assert said in first
    assert first.startswith("r.hallkeeper.yaml:1:")


def test_a_sidecar_names_the_entries_of_the_catalogue(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "groups: {g: {A: {catalogue: [A01, E08]}}}", "r.hallkeeper.yaml")
    (group,) = load_rules([tmp_path]).groups
    assert [rule.catalogue for rule in group.rules[:2]] == [("A01", "E08"), ("A01", "E08")]


def test_a_sidecar_damps_an_alert_that_flaps(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "groups: {g: {A: {flapping: {times: 3, within: 10m, calm: 5m}}}}", "r.hallkeeper.yaml")
    (group,) = load_rules([tmp_path]).groups
    assert group.rules[0].sidecar.flapping == FlapDamping(times=3, within_ms=600_000, calm_ms=300_000)


def test_a_mistaken_entry_is_named_at_its_place(tmp_path: Path) -> None:
    (only,) = mistakes(tmp_path, GOOD, "groups:\n  g:\n    A:\n      catalogue:\n        - A01\n        - Z09\n")
    assert only.startswith("r.hallkeeper.yaml:6:11: groups.g.A.catalogue[1]: ")


def test_sidecars_are_no_rule_files(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "protective: [g]", "r.hallkeeper.yaml")
    assert [name for _, name in rule_files([tmp_path])] == ["r.yaml"]


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuleFileError, match="is absent"):
        load_rules([tmp_path / "nope.yaml"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1s", 1_000),
        ("1h30m", 5_400_000),
        ("1d", 86_400_000),
        ("500ms", 500),
        ("1y2w3d4h5m6s7ms", 33_019_506_007),
    ],
)
def test_durations_read_as_in_prometheus(text: str, expected: int) -> None:
    assert milliseconds(text) == expected
    if text != "0":
        assert milliseconds(duration_text(expected)) == expected


@pytest.mark.parametrize("text", ["", "1", "5 s", "1m1h", "-1s", "1.5h", "9" * 20 + "s", "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a valid duration"):
        milliseconds(text)


def test_unknown_metrics_are_named_with_a_suggestion(tmp_path: Path) -> None:
    write(
        tmp_path,
        "groups: [{name: g, rules: [{record: own:x, expr: sum(up)}, {alert: A, expr: own:x > 1}, {alert: B, expr: pdu_phase_curent_amperes > 1}]}]",
    )
    (warning,) = unknown_metrics(load_rules([tmp_path]))
    assert "'pdu_phase_curent_amperes'" in warning.message
    assert warning.suggestion == "'pdu_phase_current_amperes'"
    assert warning.path == "B"


def test_experimental_functions_are_accepted_and_warned_of(tmp_path: Path) -> None:
    write(
        tmp_path,
        "groups: [{name: g, rules: [{alert: A, expr: 'limitk(1, x) > mad_over_time(y[5m])'}, {alert: B, expr: x > 1}]}]",
    )
    warnings = experimental_functions(load_rules([tmp_path]))
    assert {each.path for each in warnings} == {"A"}
    assert [each.message.split(",")[0] for each in warnings] == ["uses limitk", "uses mad_over_time()"]


def test_a_subquery_costs_its_steps(tmp_path: Path) -> None:
    costs = []
    for step in ("5m", "5s"):
        write(
            tmp_path,
            f"groups: [{{name: g, interval: 1s, rules: [{{alert: A, expr: 'max_over_time((x > 1)[5m:{step}]) > 1'}}]}}]",
        )
        costs.append(estimate(load_rules([tmp_path]), 100).core_share)
    assert costs[1] > 10 * costs[0]


def test_the_estimate_grows_with_series_and_depth(tmp_path: Path) -> None:
    write(tmp_path, "groups: [{name: g, interval: 1s, rules: [{alert: A, expr: 'rate(x[5m]) > 1'}]}]")
    rules = load_rules([tmp_path])
    small, large = estimate(rules, 100), estimate(rules, 100_000)
    assert large.core_share > 10 * small.core_share
    assert large.window_bytes == 1_000 * small.window_bytes
    assert small.depth_seconds == 305.0
