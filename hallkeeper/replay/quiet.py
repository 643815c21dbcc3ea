"""Which groups need no pass, because it would find what the last one found.

A rule is left out only where that is proven: nothing that it reads changed since its last evaluation, no alert of it is
pending or firing, and the last evaluation did not fail. A recording rule is left out only while nothing of it was ever
recorded that somebody reads: otherwise its series must go on. `tests/scenario/replay` replays with and without, and
compares the reports byte by byte.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from hallkeeper.replay.changes import Changes
from hallkeeper.replay.inputs import Inputs, inputs_of
from rules.alerts.evaluator import AlertEvaluator
from rules.alerts.series import ALERT_SERIES
from rules.engine import Engine
from rules.files.model import RuleGroup, RuleSet
from rules.group import CompiledGroup
from rules.promql.passes import LOOKBACK_MS

Signature = tuple[int | bytes, ...]
"""Equal ones mean an equal value: when each metric changed, and which streams have samples in a range."""
SPLIT: Final = "\n"
"""Between a group's uid and the number of its part; no file's name and no group's has it."""


def split(rules: RuleSet) -> RuleSet:
    """Every rule in a group of its own, in the same order, so that one restless rule does not keep the others awake."""
    return replace(rules, groups=tuple(part for group in rules.groups for part in _parts(group)))


def _parts(group: RuleGroup) -> Sequence[RuleGroup]:
    return [replace(group, uid=f"{group.uid}{SPLIT}{n}", rules=(rule,)) for n, rule in enumerate(group.rules)]


class _Part:
    """What is known of one rule from its expression."""

    def __init__(self, compiled: CompiledGroup) -> None:
        (rule,) = compiled.rules
        found = inputs_of(rule.rule.tree)
        self.calm = found is not None and not compiled.group.query_offset_ms
        inputs = found or Inputs()
        self.newest, self.rates = sorted(inputs.newest), sorted(inputs.rates)
        self.others, self.names = sorted(inputs.others), sorted(inputs.names)
        self.uid = rule.rule.uid
        self.alerting = rule if isinstance(rule, AlertEvaluator) else None
        self.records = None if isinstance(rule, AlertEvaluator) else rule.rule.name
        self.judged: Signature | None = None
        """At its last evaluation; None where the next one may find something else although nothing changes."""


class Quiet:
    """Decides step by step over an engine of split rules; told of every evaluation."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changes = Changes(engine.window)
        self._parts: Mapping[str, _Part] = {uid: _Part(group) for uid, group in engine.groups.items()}
        self._writers: dict[str, list[str]] = {}
        for uid, part in self._parts.items():
            if part.records is not None:
                self._writers.setdefault(part.records, []).append(uid)
        self._usable = not any(engine.window.needs.of(name) for name in ALERT_SERIES)

    def look(self, at_ms: int) -> bool:
        """Take in what changed since the last look, at every step; whether anything can be told of this one."""
        standing = self._engine.window.standing(at_ms, LOOKBACK_MS)
        self._changes.look(at_ms, standing)
        return standing.lasting and self._usable

    def waking(self, at_ms: int, due: Sequence[str]) -> Sequence[str]:
        """Of the groups that are due those that must be evaluated, in their order. Models have run before."""
        if not self.look(at_ms):
            return due
        awake: dict[str, Signature | None] = {}
        for uid in due:
            part = self._parts[uid]
            signature = self._signature(part, at_ms)
            if signature is None or signature != part.judged or not self._rests(part):
                awake[uid] = signature
        self._wake_readers(due, awake, at_ms)
        for uid, signature in awake.items():
            self._parts[uid].judged = signature
        return [uid for uid in due if uid in awake]

    def _wake_readers(self, due: Sequence[str], awake: dict[str, Signature | None], at_ms: int) -> None:
        """Whoever reads what is recorded in this pass."""
        written = {name for name, uids in self._writers.items() if any(uid in awake for uid in uids)}
        while written:
            woken = [uid for uid in due if uid not in awake and not written.isdisjoint(self._parts[uid].names)]
            awake |= {uid: self._signature(self._parts[uid], at_ms) for uid in woken}
            written = {name for uid in woken if (name := self._parts[uid].records) is not None}

    def _signature(self, part: _Part, at_ms: int) -> Signature | None:
        """None where nothing can be told."""
        changes, blocks = self._changes, self._engine.window.blocks
        if not part.calm or any(name in blocks for name in part.others):
            return None
        found: list[int | bytes] = [changes.changed_ms(name) for name in part.newest]
        for name, range_ms in part.rates:
            flat = changes.flat(name, range_ms, at_ms)
            if flat is None:
                return None
            found.append(flat)
        return tuple(found)

    def _rests(self, part: _Part) -> bool:
        """Whether nothing but its inputs could make the next evaluation differ from the last."""
        if part.alerting is not None and part.alerting.alerts:
            return False
        if part.records is not None and part.records in self._engine.window.blocks:
            return False
        return part.uid not in self._engine.failures
