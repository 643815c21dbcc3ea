"""A live engine keeps raw samples for a quarter of an hour, whatever its rules look back over."""

from rules.engine import Engine
from rules.files.load import load_rules
from rules.window.needs import RAW_MS, Need, Needs

RULE = """
groups:
  - name: g
    interval: 1m
    rules:
      - alert: Errors
        expr: 'increase({__name__=~"err.*", kind="a"}[28d]) >= 3'
        labels: {severity: info}
        annotations: {summary: s}
      - {alert: Newest, expr: errors_total > 1e9, labels: {severity: info}, annotations: {summary: s}}
"""
SERIES = 'errors_total{kind="a"}'


def test_needs_are_cut_and_those_within_stay_as_they_are() -> None:
    needs = Needs({"a": Need(depth_ms=9_000, counter=True), "b": Need(depth_ms=10), "c": Need()}).within(1_000)
    assert [needs.of(name) for name in "abc"] == [Need(depth_ms=1_000, counter=True), Need(depth_ms=10), Need()]
    assert needs.deepest_ms == 1_000
    assert needs.within(None) is needs


def test_a_rule_over_a_month_costs_the_memory_of_a_quarter_of_an_hour_and_sees_at_least_that_much(
    bench, tmp_path
) -> None:
    b = bench(RULE)
    b.engine = Engine(load_rules([tmp_path]), raw_ms=RAW_MS)
    assert b.engine.depth_ms < 1_300_000
    firing = []
    for minute in range(30):
        b.at(minute * 60_000, {SERIES: float(min(minute, 20))})
        firing.append(any(str(alert.state) == "firing" for _, alert in b.engine.alerts()))
    assert b.engine.failures == {}
    assert firing.index(True) == 3
    assert b.engine.window.nbytes < 1e6
