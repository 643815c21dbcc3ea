"""An explanation names what made a rule fire for a target, or what kept it from that."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from rules.explain.explain import Explanation, Verdict, explain, find_rules
from rules.explain.render import lines_of
from rules.explain.target import Target
from rules.explain.text import text_of
from rules.promql.parse import parse
from rules.testing.run import staged_at

RULES = """
groups:
  - name: g
    interval: 30s
    rules:
      - {alert: Hot, expr: 'rack_power_watts{job="pdu"} > on (rack) limit_watts', for: 5m}
      - {alert: Silent, expr: 'absent(rack_power_watts{job="pdu"})'}
      - {alert: Nobody, expr: 'nothing_watts > 1'}
      - {alert: Elsewhere, expr: 'rack_power_watts{job="bmc"} > 1'}
      - {alert: Busy, expr: 'rate(calls_total[1m]) > 0 unless on (rack) maintenance'}
      - {alert: Either, expr: 'rack_power_watts > 1000 or calls_total > 1000'}
      - {record: total, expr: 'sum(rack_power_watts)'}
"""
SERIES = """
      - {series: 'rack_power_watts{job="pdu",rack="r1",asset="a1"}', values: '100+10x40'}
      - {series: 'rack_power_watts{job="pdu",rack="r2",asset="a2"}', values: '100x40'}
      - {series: 'rack_power_watts{job="pdu",rack="r3",asset="a3"}', values: '100x3 _x40'}
      - {series: 'rack_power_watts{job="pdu",rack="r4",asset="a4"}', values: '100x3 stale'}
      - {series: 'limit_watts{rack="r1"}', values: '200x40'}
      - {series: 'limit_watts{rack="r3"}', values: '200x40'}
      - {series: 'calls_total{rack="r1"}', values: '0+1x40'}
      - {series: 'calls_total{rack="r2"}', values: '0+1x40'}
      - {series: 'maintenance{rack="r2"}', values: '1x40'}
"""
Ask = Callable[..., Explanation]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Why a rule says what it says about a target, so many minutes after the start."""
    (tmp_path / "r.yaml").write_text(RULES)
    path = tmp_path / "s_test.yaml"
    path.write_text(f"rule_files: [r.yaml]\nevaluation_interval: 30s\ntests:\n  - input_series:\n{SERIES}")

    def asked(rule: str, target: str, minutes: float) -> Explanation:
        rules, window, at_ms = staged_at(path, "", round(minutes * 60_000))
        ((group, found),) = find_rules(rules, rule)
        return explain(group, found, Target.of(target), window, at_ms)

    return asked


@pytest.mark.parametrize(
    ("rule", "target", "minutes", "verdict", "reason"),
    [
        ("Hot", "r1", 20, Verdict.FIRING, "the expression holds for"),
        ("Hot", "r1", 8, Verdict.PENDING, "since 2m30s, and for: 5m has 2m30s to go"),
        ("Hot", "r1", 2, Verdict.INACTIVE, "140 > 200 is false"),
        ("Hot", "a2", 8, Verdict.INACTIVE, 'no match on the right: none has rack="r2", there it is "r1", "r3"'),
        ("Hot", "a3", 20, Verdict.INACTIVE, "its newest sample was 18m30s old, and 5m is the limit"),
        ("Hot", "a4", 3, Verdict.INACTIVE, "it ended: marked stale 1m before"),
        ("Hot", "a9", 3, Verdict.INACTIVE, "series of rack_power_watts match, none of them of a9"),
        ("Silent", "", 3, Verdict.INACTIVE, "it is there, so it is not absent"),
        ("Nobody", "r1", 3, Verdict.INACTIVE, "nothing named nothing_watts was received"),
        ("Elsewhere", "r1", 3, Verdict.INACTIVE, 'no series of rack_power_watts has job="bmc": there it is "pdu"'),
        ("Busy", "r1", 3, Verdict.FIRING, "the expression holds"),
        ("Busy", "r2", 3, Verdict.INACTIVE, "the right side has a match, so the left is left out"),
        ("Either", "r1", 3, Verdict.INACTIVE, "160 > 1000 is false"),
        ("total", "", 3, Verdict.RECORDED, "it has a value"),
    ],
)
def test_the_reason_is_named(ask: Ask, rule: str, target: str, minutes: float, verdict: Verdict, reason: str) -> None:
    told = ask(rule, target, minutes)
    assert told.verdict is verdict, told
    assert reason in told.reason


def test_every_subexpression_is_shown_with_its_value(ask: Ask) -> None:
    lines = "\n".join(lines_of(ask("Hot", "r1", 2)))
    assert "r.yaml/g/Hot is inactive for r1 at 1970-01-01T00:02:00Z" in lines
    assert '├── rack_power_watts{job="pdu"}\n' in lines
    assert '└── limit_watts\n        limit_watts{rack="r1"} = 200' in lines
    assert "✗ 140 > 200 is false" in lines
    ranged = "\n".join(lines_of(ask("Busy", "r1", 3)))
    assert 'calls_total{rack="r1"}: 2 sample(s), the newest 6' in ranged


def test_an_explanation_travels_as_json(ask: Ask) -> None:
    told = ask("Hot", "r1", 8)
    assert msgspec.convert(msgspec.to_builtins(told), Explanation) == told


def test_a_target_is_a_name_a_kind_with_a_name_or_matchers() -> None:
    labels = {"asset": "a1", "rack": "r1"}
    assert all(Target.of(text).meets(labels) for text in ("", "a1", "node/a1", 'rack="r1"', '{rack=~"r.",asset="a1"}'))
    assert not any(Target.of(text).meets(labels) for text in ("a2", "node/a2", 'rack!="r1"', 'rack="r1",asset="a2"'))


@pytest.mark.parametrize(
    "expr",
    [
        'up{job="a", node=~"n.*"}', "rate(x[5m] offset 1m)", "x @ 5 offset 1m", "x @ end()", "max_over_time(x[5m:30s])",
        "max_over_time((a + b)[5m:])", "sum by (a, b) (x)", "topk without (a) (3, x)", "-x", "(a + b) * c", "a == bool b",
        "a * on(x) group_left(y) b", "a / ignoring(x) group_right() b", "a and on(x) b", 'label_replace(x, "a", "b\\n", "c", "(.*)")',
        "quantile(0.9, x)", 'count_values("v", x)', "vector(+Inf)",
    ],
)  # fmt: skip
def test_a_tree_is_written_as_it_is_read(expr: str) -> None:
    assert parse(text_of(parse(expr))) == parse(expr)
