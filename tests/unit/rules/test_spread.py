"""Groups spread over two engines give the alerts that one engine gives, each from the rows that its own rules need."""

from pathlib import Path

import pytest

from hallkeeper.bench import load_rules as load
from rules.engine import AlertTransition, Engine
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.spread import shares

RULES = """
groups:
  - name: high
    interval: 1s
    rules: [{alert: High, expr: bench_gpu_field_00 > 500000, for: 3s}]
  - name: fast
    interval: 1s
    rules: [{alert: Fast, expr: 'rate(bench_gpu_field_01[20s]) > 100'}]
  - name: recorded
    interval: 1s
    rules: [{record: 'node:field_02:max', expr: max by (node) (bench_gpu_field_02)}]
  - name: reader
    interval: 1s
    rules: [{alert: Recorded, expr: '{__name__=~"node:.*"} > 500000', for: 2s}]
  - name: joined
    interval: 1s
    rules: [{alert: Joined, expr: 'bench_gpu_field_03 * on (node) group_left (job_id) fleet_job_info > 500000'}]
"""


def loaded(folder: Path, text: str = RULES) -> RuleSet:
    (folder / "rules.yaml").write_text(text)
    return load_rules([folder])


def fed(engine: Engine) -> set[tuple[str, str, int, float]]:
    """Who changed, to what, when and at which value."""
    found: set[tuple[str, str, int, float]] = set()
    for second, messages in enumerate(load.rounds(load.Load(seed=5, nodes=32), 100)):
        engine.append_frames(messages)
        found |= {told(each) for each in engine.evaluate(load.START_MS + second * 1_000 + 999)}
    assert not engine.failures
    return found


def told(transition: AlertTransition) -> tuple[str, str, int, float]:
    return transition.event_id, transition.state, transition.evaluated_at_ms, transition.value


def test_two_engines_give_the_alerts_of_one_from_fewer_rows_each(tmp_path: Path) -> None:
    rules = loaded(tmp_path)
    one, parts = Engine(rules), [Engine(share) for share in shares(rules, 2)]
    expected = fed(one)
    assert set(one.groups) == {uid for part in parts for uid in part.groups}
    told_by = [fed(part) for part in parts]
    assert told_by[0] | told_by[1] == expected
    assert not told_by[0] & told_by[1]
    assert all(told_by)
    assert all(part.window.series < one.window.series for part in parts)
    assert sum(part.window.series for part in parts) == one.window.series


def test_a_reader_is_judged_where_what_it_reads_is_recorded(tmp_path: Path) -> None:
    for share in shares(loaded(tmp_path), 5):
        names = {group.name for group in share.groups}
        assert ("recorded" in names) == ("reader" in names)


def test_who_reads_alerts_is_judged_with_all_that_raise_them(tmp_path: Path) -> None:
    text = RULES + "  - name: root\n    rules: [{alert: Root, expr: 'count(ALERTS) > 3'}]\n"
    sizes = sorted(len(share.groups) for share in shares(loaded(tmp_path, text), 2))
    assert sizes == [0, 6]


def test_the_same_rules_give_the_same_shares_and_none_is_lost(tmp_path: Path) -> None:
    rules = loaded(tmp_path)
    for engines in (1, 2, 3, 9):
        found = shares(rules, engines)
        assert found == shares(rules, engines)
        assert sorted(group.uid for share in found for group in share.groups) == sorted(
            group.uid for group in rules.groups
        )
    with pytest.raises(ValueError, match="one at least"):
        shares(rules, 0)
