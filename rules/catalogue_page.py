"""The shipped rules as a page of documentation: entry of the detection catalogue, alert, file, severity, what it reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rules import __file__ as here
from rules.check import names_in
from rules.files.load import load_rules
from rules.files.model import AlertRule, RuleGroup
from rules.models import MODELS

SHIPPED: Final = Path(here).parent / "catalogue"
AREAS: Final = {
    "A": "GPUs, nodes, fabric",
    "B": "Power and the site",
    "C": "Cooling",
    "D": "Jobs and their schedulers",
    "E": "Hallkeeper itself and its bus",
}
ENTRIES: Final = tuple(
    f"{area}{number:02d}"
    for area, last in {"A": 53, "B": 30, "C": 20, "D": 16, "E": 8}.items()
    for number in range(1, last + 1)
)
"""Every entry of the detection catalogue."""
_HEAD: Final = """\
# Shipped rules

Made from `rules/catalogue/`; write it anew with `make docs`.

The rules are Prometheus's own rule files and run on any Prometheus from 2.42 on. Beside each file, `X.hallkeeper.yaml` says
what Prometheus has no word for: clear thresholds, holds over gaps, which entries of the detection catalogue an alert
implements, and groups that are `protective` (judged within 10 ms of what arrives) or `paced` (judged at their interval alone). Numbers that a site tunes are in [thresholds.md](thresholds.md); a rule of cooling, jobs or schedulers that finds
none published takes the default of that table, so that a lost series of thresholds never silences it.

The detection catalogue knows six levels, rules know three severities:

| level of the catalogue | severity | what it means |
|---|---|---|
| emergency | `critical` | minutes count: somebody is paged |
| critical | `critical` | somebody is paged |
| major | `warning`, or `critical` where the next level is less than a minute away (lost coolant, leaks, hot supply) | told; a person looks today |
| warning | `warning` | told |
| info | `info` | shown |

Series that no device publishes and no rule can say come from models (`rules/models/`):

"""


def rules_page() -> str:
    """The page `docs/reference/rules.md`."""
    groups = load_rules([SHIPPED]).groups
    lines = [_HEAD.rstrip("\n"), "", "| model | publishes | every |", "|---|---|--:|"]
    lines += [f"| {model.name} | {_code(sorted(model.writes))} | {model.interval_ms / 1000:g} s |" for model in MODELS]
    for area, title in AREAS.items():
        lines += [
            "",
            f"## {area}: {title}",
            "",
            "| entry | alert | severity | for | told | reads | file |",
            "|---|---|---|--:|---|---|---|",
        ]
        lines += _rows(groups, area)
    return "\n".join([*lines, ""])


def alerts_of(groups: tuple[RuleGroup, ...], entry: str) -> Iterator[tuple[RuleGroup, AlertRule]]:
    """The alerts that implement an entry."""
    for group in groups:
        for rule in group.rules:
            if isinstance(rule, AlertRule) and entry in rule.catalogue:
                yield group, rule


def _rows(groups: tuple[RuleGroup, ...], area: str) -> Iterator[str]:
    for entry in ENTRIES:
        if entry.startswith(area):
            for group, rule in alerts_of(groups, entry):
                yield _row(entry, group, rule)


def _row(entry: str, group: RuleGroup, rule: AlertRule) -> str:
    cells = (
        entry,
        f"[{rule.name}](../runbooks/{rule.name}.md)",
        rule.labels["severity"].source,
        f"{rule.for_ms / 1000:g} s" if rule.for_ms else "",
        rule.annotations["summary"].source,
        _code(sorted(names_in(rule.tree) - {"fleet_threshold"})),
        f"`{group.uid.rpartition('/')[0]}`",
    )
    return "| " + " | ".join(cells) + " |"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
