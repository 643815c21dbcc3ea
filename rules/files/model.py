"""What rule files say, checked and ready to be compiled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rules.promql.tree import Tree
from rules.templates import Template

DEFAULT_INTERVAL_MS = 15_000
"""How often a group is evaluated at least when its file does not say: a default to tune (Prometheus's own is a minute)."""
LONGEST_HOLD_MS = 366 * 86_400_000
"""A year: a longer `for` is a typing error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a file, from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlapDamping:
    """An alert that fires again and again stays, until it has been calm for a while: one message instead of many."""

    times: int
    """From so many firings of one alert on …"""
    within_ms: int
    """… within so long …"""
    calm_ms: int
    """… it ends only where its expression has not held (or its clear expression has) for so long, without a break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What operators ask of Prometheus and do not get."""

    clear: str | None = None
    """A fired alert ends only where this expression yields its label set."""
    clear_tree: Tree | None = None
    clear_for_ms: int = 0
    """For so long, without a break."""
    hold_over_gap_ms: int = 0
    """An alert whose device fell silent stays for so long, and then ends as unknown."""
    flapping: FlapDamping | None = None
    """Damps an alert that comes and goes."""
    catalogue: tuple[str, ...] = ()
    """The entries of the detection catalogue that the alert implements: `A03`, `B21`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """An alerting rule."""

    uid: str
    name: str
    expr: str
    tree: Tree
    place: Place
    for_ms: int = 0
    keep_firing_for_ms: int = 0
    labels: Mapping[str, Template] = field(default_factory=dict)
    annotations: Mapping[str, Template] = field(default_factory=dict)
    sidecar: Sidecar = Sidecar()

    @property
    def catalogue(self) -> tuple[str, ...]:
        """The entries of the detection catalogue that it implements, as its sidecar says."""
        return self.sidecar.catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A recording rule."""

    uid: str
    name: str
    expr: str
    tree: Tree
    place: Place
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules that are evaluated together, in order."""

    uid: str
    """`<path below the rules folder>/<group>`."""
    name: str
    rules: tuple[AlertRule | RecordingRule, ...]
    interval_ms: int = DEFAULT_INTERVAL_MS
    limit: int = 0
    """The most elements that one rule may yield; 0 is no limit."""
    query_offset_ms: int = 0
    """Rules look that far back from the evaluation's time."""
    protective: bool = False
    """Evaluated with the shortest delay: its alerts trip the protective lane."""
    paced: bool = False
    """Evaluated at its interval, whatever arrives: what it reads is much, and a second of delay is nothing to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """All groups of all files."""

    groups: tuple[RuleGroup, ...] = ()
    files: tuple[Path, ...] = ()
