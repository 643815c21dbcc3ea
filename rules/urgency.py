"""Which groups are judged first: protective ones, then those with a critical rule, then the rest. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from rules.files.model import AlertRule, RuleGroup
from rules.spread import bound

PROTECTIVE: Final = 0
CRITICAL: Final = 1
ORDINARY: Final = 2
SEVERITY: Final = "severity"


def urgencies(groups: Sequence[RuleGroup]) -> Mapping[str, int]:
    """Each group's urgency by uid; groups that build on each other have that of the most urgent of them.

    So what one records is there when the other reads it.
    """
    return {
        group.uid: min(_urgency(each) for each in together) for together in bound(tuple(groups)) for group in together
    }


def _urgency(group: RuleGroup) -> int:
    if group.protective:
        return PROTECTIVE
    return CRITICAL if any(isinstance(rule, AlertRule) and _critical(rule) for rule in group.rules) else ORDINARY


def _critical(rule: AlertRule) -> bool:
    """Whether it may raise a critical alert: a templated severity may."""
    severity = rule.labels.get(SEVERITY)
    return severity is not None and (not severity.constant or severity.source == "critical")
