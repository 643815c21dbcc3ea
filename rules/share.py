"""One engine's share of the rules, where several engines judge one site (ADR 005): which groups, whose alerts, which files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bus.events import AlertEvent
from rules.files.load import load_rules
from rules.files.model import RuleSet
from rules.models import MODELS
from rules.spread import shares


@dataclass(slots=True, kw_only=True)
class Share:
    """So many-th of so many; the first also counts device events, and ends alerts of rules that are gone."""

    number: int
    engines: int
    _others: frozenset[str] = field(default=frozenset())
    """Uids of the rules that other engines judge."""
    _own: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, text: str) -> "Share":
        """Out of `1/2`."""
        number, _, engines = text.partition("/")
        return cls(number=int(number), engines=int(engines))

    @property
    def first(self) -> bool:
        """Whether it is the one that does what only one may do."""
        return self.number == 1

    @property
    def mark(self) -> str:
        """What tells its names from those of other shares; nothing where it is the only one."""
        return "" if self.engines == 1 else f"-{self.number}-of-{self.engines}"

    def folder(self, data: Path) -> Path:
        """Where it keeps its states: shares may have one data folder."""
        return data if self.engines == 1 else data / f"rules{self.mark}"

    def load(self, folders: Sequence[Path]) -> RuleSet:
        """Its rules. Raises `RuleFileError` with every mistake, in other shares too."""
        found = shares(load_rules(folders), self.engines, MODELS)
        mine = found[self.number - 1]
        self._own = frozenset(_uids([mine]))
        self._others = frozenset(_uids(each for each in found if each is not mine))
        return mine

    def concerned(self, events: Iterable[AlertEvent]) -> list[AlertEvent]:
        """The alerts that are this engine's to go on with, or to end."""
        if self.first:
            return [event for event in events if event.rule not in self._others]
        return [event for event in events if event.rule in self._own]


def _uids(rule_sets: Iterable[RuleSet]) -> Iterable[str]:
    return (rule.uid for rules in rule_sets for group in rules.groups for rule in group.rules)
