"""How each rule fares, out of the series that the engine tells (`rules.health`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from console.prometheus.errors import ApiError
from console.prometheus.window import QueryWindow
from rules.health import EVALUATED, FAILED, GROUP_TOOK, TOOK
from rules.holdings import Holdings
from rules.promql.passes import LOOKBACK_MS
from rules.promql.tree import Select
from rules.window.window import Window

_NAMES: Final = (EVALUATED, TOOK, FAILED, GROUP_TOOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fares:
    """By uid of rules, and of groups where that is said; what is not there is not known."""

    evaluated_ms: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    group_seconds: Mapping[str, float] = field(default_factory=dict)


async def of_rules(window: QueryWindow, now_ms: int) -> Fares:
    """What the engine said in the last five minutes; nothing while the window is being read."""
    try:
        return await window.ask(lambda held: _fares(held, now_ms))
    except ApiError:
        return Fares()


def _fares(held: Window, now_ms: int) -> Fares:
    found = {
        name: Holdings(held, [Select(name, ())], now_ms - LOOKBACK_MS, now_ms + LOOKBACK_MS).newest() for name in _NAMES
    }
    return Fares(
        evaluated_ms={labels["rule"]: round(value * 1000) for labels, value, _ in found[EVALUATED]},
        seconds={labels["rule"]: value for labels, value, _ in found[TOOK]},
        errors={labels["rule"]: labels["error"] for labels, _, _ in found[FAILED]},
        group_seconds={labels["rule_group"]: value for labels, value, _ in found[GROUP_TOOK]},
    )
