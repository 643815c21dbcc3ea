"""What a unit-test file says, read and checked; times are milliseconds since the start of the test."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import Problem
from rules.files.model import Place
from rules.testing.notation import Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSeries:
    """A series and its samples, one an interval; None where there is none."""

    labels: Labels
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An element of an expression's result."""

    labels: Labels
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FiringAlert:
    """An alert that fires, by what identifies it and what it says."""

    labels: Labels
    annotations: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class ExprCase:
    """A `promql_expr_test`."""

    expr: str
    eval_ms: int
    expected: tuple[Sample, ...]
    place: Place
    problem: Problem | None = None
    """What is wrong with what it expects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertCase:
    """An `alert_rule_test`."""

    alertname: str
    eval_ms: int
    expected: tuple[FiringAlert, ...]
    place: Place


Case = ExprCase | AlertCase


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One item of `tests`: series, and what must come of them."""

    name: str
    """As written, else `unnamed#<number>`."""
    interval_ms: int
    start_ms: int
    series: tuple[InputSeries, ...]
    alerts: tuple[AlertCase, ...]
    exprs: tuple[ExprCase, ...]
    external_labels: Mapping[str, str]
    external_url: str
    problems: tuple[Problem, ...] = ()
    """What is wrong with its series."""

    @property
    def cases(self) -> tuple[Case, ...]:
        """Every case, alerts first."""
        return (*self.alerts, *self.exprs)

    @property
    def end_ms(self) -> int:
        """The latest time that a case asks for."""
        return max((case.eval_ms for case in self.cases), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFile:
    """A unit-test file."""

    path: Path
    rule_files: tuple[Path, ...]
    interval_ms: int
    """Between two evaluations of the rules."""
    order: tuple[str, ...]
    """Names of groups that are evaluated in this order, behind those that are not named."""
    fuzzy: bool
    """Whether values that differ in the last bit are equal."""
    setups: tuple[Setup, ...]
    warnings: tuple[str, ...] = ()
