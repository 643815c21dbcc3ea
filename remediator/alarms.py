"""The compiled rules of the protective lane, over its own frames: which PDU phases are over their limit by the rule's word."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fleet.model import AssetId
from rules.engine import AlertState, Engine


class Alarms(Protocol):
    """Which PDUs a protective rule calls overloaded now."""

    def append(self, frame: bytes) -> None: ...

    def firing(self, now_ms: int) -> frozenset[AssetId]: ...


class RuleAlarms:
    """The same rule files as the rule service runs; only the groups of the playbooks' rules are evaluated."""

    def __init__(self, rule_files: Sequence[Path], rules: frozenset[str]) -> None:
        """`rules` are uids. Raises what the engine raises for files that are wrong."""
        self._engine = Engine(rule_files)
        self._rules = rules
        self._groups = frozenset(rule.rpartition("/")[0] for rule in rules)
        self._firing: dict[str, AssetId] = {}

    def append(self, frame: bytes) -> None:
        """One frame or table."""
        self._engine.append_frame(frame)

    def firing(self, now_ms: int) -> frozenset[AssetId]:
        """Evaluate once; the PDUs with a firing alert."""
        for change in self._engine.evaluate(now_ms, self._groups):
            if change.rule not in self._rules:
                continue
            if change.state is AlertState.FIRING and "asset" in change.labels:
                self._firing[change.alert_id] = AssetId(change.labels["asset"])
            elif change.state is not AlertState.PENDING:
                self._firing.pop(change.alert_id, None)
        return frozenset(self._firing.values())
