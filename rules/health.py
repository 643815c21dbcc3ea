"""How each rule fares, as series of the engine that speaks: when it was evaluated last, what that took, and what went wrong.

Prometheus shows this beside its rules; here rules are judged in another process than the one that shows them, so it travels
on the bus like any other series, and can be asked for like any other.
"""

from typing import Final

import numpy as np

from bus.frames import FrameWriter, SeriesLayout, SeriesName
from bus.port import Message
from rules.engine import Engine
from rules.publication import STALE_FLOAT, ZONE

SOURCE: Final = "rules/health"
EVALUATED: Final = "hallkeeper_rule_evaluated_timestamp_seconds"
TOOK: Final = "hallkeeper_rule_evaluation_seconds"
GROUP_TOOK: Final = "hallkeeper_rule_group_evaluation_seconds"
FAILED: Final = "hallkeeper_rule_failed"
TELL_MS: Final = 15_000
"""How often it is told: Prometheus's interval of rules as most set it."""
ERROR_LETTERS: Final = 200
"""Of an error that is told: a label, not a log."""


class Health:
    """The frames of one engine's rules."""

    def __init__(self, writer: FrameWriter, mark: str = "") -> None:
        """`mark` tells the sources of several engines apart."""
        self._writer, self._source = writer, SOURCE + mark
        self._said: dict[SeriesName, float] = {}

    def frames(self, engine: Engine, at_ms: int) -> list[Message]:
        """The frame of this time, behind its table when that is due; series of rules that went, or work again, end."""
        now = dict(_series(engine))
        ended = dict.fromkeys(self._said.keys() - now.keys(), STALE_FLOAT)
        self._said = now
        whole = {**now, **ended}
        if not whole:
            return []
        values = np.array(list(whole.values()), dtype=np.float64)
        return self._writer.messages(self._source, ZONE, SeriesLayout.of(list(whole)), at_ms, values)


def _series(engine: Engine) -> list[tuple[SeriesName, float]]:
    found: list[tuple[SeriesName, float]] = []
    for uid, group in engine.groups.items():
        if group.evaluated_ms is None:
            continue
        found.append(((GROUP_TOOK, (("rule_group", uid),)), sum(group.took.values())))
        for rule in group.rules:
            label = ("rule", rule.rule.uid)
            found.append(((EVALUATED, (label,)), group.evaluated_ms / 1000))
            found.append(((TOOK, (label,)), group.took.get(rule.rule.uid, 0.0)))
            why = engine.failures.get(rule.rule.uid)
            if why is not None:
                found.append(((FAILED, (("error", _short(why)), label)), 1.0))
    return found


def _short(why: str) -> str:
    """Without the bytes that no label may hold."""
    return why.translate({0: None, 1: None, 2: None})[:ERROR_LETTERS] or "failed"
