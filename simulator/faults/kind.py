"""What a kind of fault is: its targets, its arguments with their limits, how it begins; beginning returns how it heals."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from simulator.reach import Reach

Heal = Callable[[], None]
Settings = Mapping[str, object]
Starter = Callable[[Reach, tuple[str, ...], Settings], Heal]


class FaultError(ValueError):
    """The fault cannot be injected as asked; says what to try."""


class Target(StrEnum):
    """What a fault can strike."""

    NODE = "node"
    PDU = "PDU"
    CDU = "CDU"
    RACK = "rack"
    SWITCH = "leaf switch"
    SIDE = "substation"
    GRID = "grid supply"
    STRING = "generator string"
    BATTERY = "battery"
    JOB = "job"
    SITE = "site"
    ANY = "asset"
    HOUSE = "part of the product"


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a kind: a number between limits, whole where both limits are, or one of some words."""

    name: str
    default: float | int | str
    low: float | int = 0
    high: float | int = 0
    words: tuple[str, ...] = ()
    meaning: str

    def mistake(self, value: object) -> tuple[str, str] | None:
        """What is wrong with a value, and what to try; None where nothing is."""
        if self.words or isinstance(self.default, str):
            if isinstance(value, str) and (not self.words or value in self.words):
                return None
            return f"{self.name} is {value!r}", f"one of {', '.join(self.words)}" if self.words else "text"
        whole = isinstance(self.default, int)
        right = int if whole else int | float
        if isinstance(value, right) and not isinstance(value, bool) and self.low <= value <= self.high:
            return None
        limits = f"from {self.low:g} {'to' if whole else 'up to'} {self.high:g}"
        return f"{self.name} is {value!r}", f"a {'whole ' if whole else ''}number {limits}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of fault."""

    meaning: str
    on: Target
    begin: Starter
    arguments: tuple[Argument, ...] = ()

    def mistakes(self, settings: Settings) -> Iterator[tuple[str, str, str]]:
        """Every wrong argument: its name, what is wrong, what to try."""
        known = {argument.name: argument for argument in self.arguments}
        for name, value in settings.items():
            argument = known.get(name)
            if argument is None:
                yield name, f"{name} means nothing here", f"one of {', '.join(known)}" if known else "leaving it out"
            elif (mistake := argument.mistake(value)) is not None:
                yield name, *mistake

    def filled(self, settings: Settings) -> dict[str, object]:
        """The settings with every default. Raises `FaultError` for the first wrong one."""
        for _, message, suggestion in self.mistakes(settings):
            raise FaultError(f"{message}, try {suggestion}")
        return {argument.name: settings.get(argument.name, argument.default) for argument in self.arguments}


def number(settings: Settings, name: str) -> float:
    """An argument as a float."""
    value = settings[name]
    assert isinstance(value, int | float)
    return float(value)


def whole(settings: Settings, name: str) -> int:
    """An argument as an integer."""
    return int(number(settings, name))


def nodes_of(reach: Reach, targets: Collection[str]) -> list[int]:
    """Indexes of nodes. Raises `FaultError` where one is none."""
    index = reach.plant.layout.node_index
    wrong = [name for name in targets if name not in index]
    if wrong:
        raise FaultError(f"{wrong[0]} is no node, try one such as {reach.plant.layout.nodes[0]}")
    return [index[name] for name in targets]


def places_of(names: tuple[str, ...], targets: Collection[str], what: str) -> list[int]:
    """Indexes of targets in a group of names. Raises `FaultError` where one is not of the group."""
    wrong = [name for name in targets if name not in names]
    if wrong:
        raise FaultError(f"{wrong[0]} is no {what}, try one of {', '.join(names[:8])}")
    return [names.index(name) for name in targets]
