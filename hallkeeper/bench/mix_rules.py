"""The mix of 200 rules: a fifth each threshold, rate over a minute, sum by node, join on an info series, absent; `for: 30s`."""

import json
from typing import Final

from hallkeeper.bench import load_rules as load

KINDS: Final = ("threshold", "rate", "sum", "join", "absent")
THRESHOLDS: Final = {"threshold": 500_000.0, "rate": 100.0, "sum": 1_300_000.0, "join": 500_000.0}
"""Far over what a series reaches that does not flap: its alerts come and go, and theirs alone."""
RULES: Final = len(KINDS) * load.METRICS


def expressions(kind: str) -> list[str]:
    """One expression a metric."""
    names = [load.metric(number) for number in range(load.METRICS)]
    shapes = {
        "threshold": "{name}",
        "rate": "rate({name}[1m])",
        "sum": "sum by (node) ({name})",
        "join": "{name} * on (node) group_left (job_id) fleet_job_info",
        "absent": 'absent({name}{{node="dgx-000"}})',
    }
    return [shapes[kind].format(name=name) for name in names]


def every_expression() -> list[str]:
    """All 200, without their thresholds."""
    return [expr for kind in KINDS for expr in expressions(kind)]


def rule_file() -> str:
    """The 200 rules as a Prometheus rule file."""
    rules = [
        {
            "alert": f"Bench{kind.title()}{number:02d}",
            "expr": expr if kind == "absent" else f"{expr} > {THRESHOLDS[kind]}",
            "for": "30s",
            "labels": {"severity": "warning"},
            "annotations": {"summary": "A bench.", "description": "{{ $labels.node }} is at {{ $value | humanize }}."},
        }
        for kind in KINDS
        for number, expr in enumerate(expressions(kind))
    ]
    return json.dumps({"groups": [{"name": "bench", "interval": "1s", "rules": rules}]})  # JSON is YAML


def evaluations_a_pass(nodes: int) -> int:
    """Input series of all rules together: each rule's own, as its selectors match them."""
    series = nodes * load.GPUS
    inputs = {"threshold": series, "rate": series, "sum": series, "join": series + nodes, "absent": load.GPUS}
    return sum(inputs[kind] for kind in KINDS) * load.METRICS
