"""Unit tests, judged: the rules are evaluated on promtool's grid, and every case asked at its time."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fleet.errors import ConfigurationError, HallkeeperError, Problem
from rules.alerts.alert import AlertState
from rules.files.load import load_rules
from rules.files.model import AlertRule, RecordingRule, RuleGroup, RuleSet
from rules.models import MODELS
from rules.testing.compare import alert_lines, alerts_equal, sample_lines, samples_equal
from rules.testing.document import read_unit_file
from rules.testing.model import AlertCase, Case, ExprCase, FiringAlert, Setup, UnitFile
from rules.testing.stage import Stage, StageError, without_sidecars
from rules.testing.timeline import timeline
from rules.window.window import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one case."""

    file: Path
    setup: str
    case: Case
    passed: bool
    expected: tuple[str, ...] = ()
    got: tuple[str, ...] = ()
    error: str = ""
    """Why it has no answer; empty where it has one."""
    timeline: tuple[str, ...] = ()
    """How it came to that: only of failures."""

    @property
    def subject(self) -> str:
        """What was asked."""
        return self.case.expr if isinstance(self.case, ExprCase) else self.case.alertname


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What came of one file."""

    file: Path
    verdicts: tuple[Verdict, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Mistakes for which nothing was run."""
    errors: tuple[str, ...] = ()
    """What failed in tests that have no case."""
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> int:
        """Cases that hold."""
        return sum(verdict.passed for verdict in self.verdicts)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """Cases that do not."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def failed(self) -> int:
        """Cases that do not hold; a file that cannot be used counts as one."""
        return len(self.failures) + len(self.errors) + bool(self.problems)


def run_file(path: Path, *, only: re.Pattern[str] | None = None, as_hallkeeper: bool = False) -> FileReport:
    """Run the tests of a file, those whose name matches where `only` is given.

    `as_hallkeeper` runs the rules with clear thresholds, holds over gaps and models; else they run as in Prometheus.
    """
    try:
        unit = read_unit_file(path)
        rules = _rules(unit.rule_files)
    except ConfigurationError as error:
        return FileReport(file=path, problems=error.problems)
    rules = rules if as_hallkeeper else without_sidecars(rules)
    models = MODELS if as_hallkeeper else ()
    chosen = [setup for setup in unit.setups if only is None or only.search(setup.name)]
    verdicts: list[Verdict] = []
    errors: list[str] = []
    for setup in chosen:
        run = _Run(unit, setup, partial(Stage, unit, setup, rules, models=models))
        run.play()
        verdicts += run.verdicts()
        errors += run.errors
    return FileReport(file=path, verdicts=tuple(verdicts), errors=tuple(errors), warnings=unit.warnings)


def staged_at(path: Path, name: str, at_ms: int) -> tuple[RuleSet, Window, int]:
    """A test's rules, and the window as it is at a time since the test's start; the time itself in Unix milliseconds.

    The first test where no name is given. Raises `HallkeeperError` where there is no such test, and what files can raise.
    """
    unit = read_unit_file(path)
    rules = _rules(unit.rule_files)
    setup = next((each for each in unit.setups if name in {"", each.name}), None)
    if setup is None:
        raise StageError(
            f"{path} has no test {name!r}, try {', '.join(each.name for each in unit.setups) or 'another file'}"
        )
    trees = [rule.tree for group in rules.groups for rule in group.rules]
    stage = Stage(unit, replace(setup, alerts=(), exprs=()), rules, whole=trees, end_ms=at_ms)
    for step in range(0, at_ms + 1, unit.interval_ms):
        stage.evaluate(step)
    stage.feed(at_ms)
    return rules, stage.engine.window, setup.start_ms + at_ms


def _rules(files: Sequence[Path]) -> RuleSet:
    """The rules of all files, told apart where two files carry the same name. Raises `RuleFileError`."""
    sets = [load_rules([path]) for path in files]
    names = [path.name for path in files]
    groups = [
        group if names.count(path.name) == 1 else _renamed(group, f"{number}/")
        for number, (path, found) in enumerate(zip(files, sets, strict=True))
        for group in found.groups
    ]
    return replace(sets[0], groups=tuple(groups), files=tuple(files)) if sets else RuleSet()


def _renamed(group: RuleGroup, prefix: str) -> RuleGroup:
    rules: tuple[AlertRule | RecordingRule, ...] = tuple(
        replace(rule, uid=f"{prefix}{rule.uid}") for rule in group.rules
    )
    return replace(group, uid=f"{prefix}{group.uid}", rules=rules)


class _Run:
    """One setup on its stage."""

    def __init__(self, unit: UnitFile, setup: Setup, staged: Callable[[], Stage]) -> None:
        self._unit, self._setup, self._staged = unit, setup, staged
        self._exprs = sorted(setup.exprs, key=lambda case: case.eval_ms)
        self._judged: dict[int, Verdict] = {}
        """By the case's identity."""
        self.errors: list[str] = []

    def play(self) -> None:
        """Judge every case; where a rule fails, what was not asked yet fails with it, as in promtool."""
        try:
            if self._setup.problems:
                raise StageError("; ".join(map(str, self._setup.problems)))
            self._play(self._staged())
        except HallkeeperError as error:
            if not self._setup.cases:
                self.errors.append(f"{self._setup.name}: {error}")
            for case in self._setup.cases:
                self._judged.setdefault(id(case), self._failed(case, str(error)))

    def verdicts(self) -> list[Verdict]:
        """Of every case, in the file's order."""
        return [self._judged[id(case)] for case in self._setup.cases]

    def _play(self, stage: Stage) -> None:
        interval = self._unit.interval_ms
        for at in range(0, self._setup.end_ms + 1, interval):
            self._ask(stage, before_ms=at)
            stage.evaluate(at)
            for case in self._setup.alerts:
                if at <= case.eval_ms < at + interval:
                    self._judged[id(case)] = self._alert(stage, case)
        self._ask(stage, before_ms=None)

    def _ask(self, stage: Stage, *, before_ms: int | None) -> None:
        """Expressions whose time has come; one that looks ahead waits for the end."""
        for case in self._exprs:
            query = stage.queries[case.expr]
            waits = before_ms is not None and (case.eval_ms >= before_ms or getattr(query, "looks_ahead", False))
            if id(case) not in self._judged and not waits:
                if before_ms is not None:
                    stage.feed(case.eval_ms)
                self._judged[id(case)] = self._expr(stage, case)

    def _expr(self, stage: Stage, case: ExprCase) -> Verdict:
        if case.problem is not None:
            return self._failed(case, str(case.problem))
        try:
            got = stage.value(case.expr, case.eval_ms)
        except HallkeeperError as error:
            return self._failed(case, str(error))
        passed = samples_equal(case.expected, got, fuzzy=self._unit.fuzzy)
        return self._verdict(case, passed=passed, expected=sample_lines(case.expected), got=sample_lines(got))

    def _alert(self, stage: Stage, case: AlertCase) -> Verdict:
        expected = [
            replace(each, labels=tuple(sorted({**dict(each.labels), "alertname": case.alertname}.items())))
            for each in case.expected
        ]
        got = [
            FiringAlert(labels=labels, annotations=annotations)
            for labels, annotations, state in stage.alerts(case.alertname)
            if state is AlertState.FIRING
        ]
        passed = alerts_equal(expected, got)
        return self._verdict(case, passed=passed, expected=alert_lines(expected), got=alert_lines(got))

    def _verdict(self, case: Case, *, passed: bool, expected: list[str], got: list[str]) -> Verdict:
        shown = () if passed else tuple(timeline(self._staged, case, self._unit.interval_ms))
        return Verdict(
            file=self._unit.path,
            setup=self._setup.name,
            case=case,
            passed=passed,
            expected=tuple(expected),
            got=tuple(got),
            timeline=shown,
        )

    def _failed(self, case: Case, why: str) -> Verdict:
        return Verdict(file=self._unit.path, setup=self._setup.name, case=case, passed=False, error=why)
