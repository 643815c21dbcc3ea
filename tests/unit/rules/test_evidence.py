"""A rule that yields nothing was false, or had nothing to look at: an alert that is held over gaps knows which."""

import pytest

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Many
        expr: count by (zone) (ready == 0) >= 2
        labels: {severity: critical}
        annotations: {summary: s.}
"""
SIDECAR = """
groups:
  g:
    Many:
      hold_over_gap: 5m
"""


def ready(*values: float) -> dict[str, float]:
    return {f'ready{{node="n{number}",zone="1"}}': value for number, value in enumerate(values)}


@pytest.fixture
def many(bench):
    built = bench(RULE, SIDECAR)
    assert [one.state for one in built.at(1_000, ready(0, 0, 1))] == ["firing"]
    return built


def test_a_count_of_what_is_wrong_ends_when_nothing_is_wrong(many) -> None:
    assert [one.state for one in many.at(2_000, ready(1, 1, 1))] == ["resolved"]


def test_and_is_held_when_what_it_counts_is_gone(many) -> None:
    assert many.at(2_000 + 300_000) == []
    assert [one.state for one in many.at(2_000 + 700_000)] == ["unknown"]
