"""The register as a page of documentation."""

import math
from collections.abc import Iterator

from fleet.quality import MEANING, Reason
from fleet.register.metric import Metric

_HEAD = """\
# Known metrics

Made from the register in `fleet/register/`; write it anew with `python -m fleet.metrics > docs/reference/metrics.md`.

Every series carries `job`, `instance`, `asset`, `node`, `rack` and `zone` as they apply; the labels below come on top.
A value outside its range is bad, one that changes faster than its rate is uncertain; both stay in the history and are
invisible to rules. A letter with a number in brackets names the detection rules that need the metric.
"""


def markdown() -> str:
    """The page `docs/reference/metrics.md`."""
    from fleet.register import AREAS

    lines = [_HEAD]
    for area, metrics in AREAS.items():
        lines += [
            f"## {area}",
            "",
            "| metric | labels | unit | kind | range | rate/s | meaning | producer |",
            "|---|---|---|---|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in metrics]
        lines.append("")
    lines += ["## Quality", "", "| code | reason | meaning |", "|---|---|---|"]
    lines += [f"| {int(reason)} | {reason.name} | {MEANING[reason]} |" for reason in Reason]
    return "\n".join([*lines, ""])


def _row(metric: Metric) -> str:
    rate = "" if metric.max_rate_per_second is None else _number(metric.max_rate_per_second)
    meaning = metric.meaning + "".join(_states(metric))
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = (f"`{metric.name}`", labels, metric.unit, metric.kind, _range(metric), rate, meaning, metric.producer)
    return "| " + " | ".join(cells) + " |"


def _states(metric: Metric) -> Iterator[str]:
    if metric.states:
        yield ": " + ", ".join(f"{_number(number)} {name}" for number, name in metric.states)


def _range(metric: Metric) -> str:
    if math.isinf(metric.low) and math.isinf(metric.high):
        return "any"
    low = "" if math.isinf(metric.low) else _number(metric.low)
    high = "" if math.isinf(metric.high) else _number(metric.high)
    return f"{low} … {high}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 and value < 1e7 else f"{value:g}"
