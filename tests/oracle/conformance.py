"""Which of Prometheus's own test cases our engine passes: `python -m tests.oracle.conformance` prints every other one."""

import argparse
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np

from bus.frames import STALE as STALE_BITS
from bus.frames import FrameWriter, SeriesLayout
from rules.labels import NAME
from rules.promql.asking import Question
from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.selectors import Selection
from rules.promql.tree import Select, walk
from rules.window.needs import EVERYTHING, Need, Needs, PatternNeed
from rules.window.window import Window
from tests.oracle.answers import Answer, LabelSet, answer_of_result
from tests.oracle.program import prometheus_sources
from tests.oracle.scripts import NATIVE, STALE, Case, Clear, Loaded, Value, commands

SCRIPTS: Final = Path("promql/promqltest/testdata")
TOLERANCE: Final = 1e-6
"""Relative, as in Prometheus's own runner: the scripts write few digits."""
_SPARE_MS: Final = 900_000
_STALE_FLOAT: Final = float(np.array([STALE_BITS], dtype="<u8").view("<f8")[0])
_PARSER: Final = ("second opinion", "the parser gave up", "is not supported")
_SUFFIXES: Final = re.compile(r"_(bucket|count|sum)$")


class Verdict(StrEnum):
    """What became of a case; one that reads native histograms or start timestamps besides may still pass."""

    PASSED = "passed"
    FAILED = "failed"
    NATIVE_HISTOGRAM = "native histograms"
    START_TIMESTAMP = "start timestamps"
    GRAMMAR = "grammar of promql-parser"


@dataclass
class Store:
    """What was loaded so far."""

    points: dict[LabelSet, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    native: set[str] = field(default_factory=set)
    """Metrics with native histograms."""
    started: set[str] = field(default_factory=set)
    window: Window | None = None

    def load(self, loaded: Loaded) -> None:
        """Add series."""
        self.window = None
        self.started |= loaded.started
        for labels, values in loaded.series:
            name = dict(labels).get(NAME, "")
            if loaded.with_nhcb and any(label == "le" for label, _ in labels):
                self.native.add(_SUFFIXES.sub("", name))
            for number, value in enumerate(values):
                if value == NATIVE:
                    self.native.add(name)
                elif value is not None:
                    at = number * loaded.interval_ms
                    self.points[labels][at] = _STALE_FLOAT if value == STALE else float(value)

    def filled(self) -> Window:
        """A window with all of it: series of the same times arrive together."""
        if self.window is None:
            last = max((at for each in self.points.values() for at in each), default=0)
            need = Need(depth_ms=last + _SPARE_MS, counter=True)
            self.window = Window(Needs({}, [PatternNeed(EVERYTHING, need)]))
            together: dict[tuple[int, ...], list[LabelSet]] = defaultdict(list)
            for labels, each in self.points.items():
                together[tuple(sorted(each))].append(labels)
            writer = FrameWriter(1)
            for number, (times, group) in enumerate(together.items()):
                self._append(self.window, writer, f"load/{number}", times, group)
        return self.window

    def _append(
        self, window: Window, writer: FrameWriter, source: str, times: Iterable[int], group: list[LabelSet]
    ) -> None:
        keys = [(dict(labels).get(NAME, ""), tuple(pair for pair in labels if pair[0] != NAME)) for labels in group]
        layout = SeriesLayout.of(keys)
        for at in times:
            values = np.array([self.points[labels][at] for labels in group])
            for message in writer.messages(source, 1, layout, at, values):
                window.append(message.value)


@dataclass
class Outcome:
    """A case and what became of it."""

    case: Case
    verdict: Verdict
    said: str = ""


def run_all(folder: Path) -> list[Outcome]:
    """Every case of every script."""
    return [outcome for path in sorted(folder.glob("*.test")) for outcome in run(path)]


def run(path: Path) -> list[Outcome]:
    """Every case of one script."""
    store, outcomes = Store(), []
    for command in commands(path):
        match command:
            case Clear():
                store = Store()
            case Loaded():
                store.load(command)
            case Case():
                outcomes.append(_judged(command, store))
    return outcomes


def _judged(case: Case, store: Store) -> Outcome:
    if case.expects_native:
        return Outcome(case, Verdict.NATIVE_HISTOGRAM)
    try:
        question = Question.compile(case.expr, delays_names=True)
    except ExpressionError as error:
        if case.fails:
            return Outcome(case, Verdict.PASSED)
        said = str(error)
        if "native histograms" in said:
            return Outcome(case, Verdict.NATIVE_HISTOGRAM)
        return Outcome(case, Verdict.GRAMMAR if any(words in said for words in _PARSER) else Verdict.FAILED, said)
    said = _difference(case, question, store)
    if said is None:
        return Outcome(case, Verdict.PASSED)
    read = [Selection(each) for each in walk(question.tree) if isinstance(each, Select)]
    for names, verdict in ((store.native, Verdict.NATIVE_HISTOGRAM), (store.started, Verdict.START_TIMESTAMP)):
        if any(each.takes(name) for each in read for name in names):
            return Outcome(case, verdict, said)
    return Outcome(case, Verdict.FAILED, said)


def _difference(case: Case, question: Question, store: Store) -> str | None:
    """What is wrong with our answer, or None."""
    try:
        if case.step_ms:
            answer = answer_of_result(question.range(store.filled(), case.at_ms, case.end_ms, case.step_ms))
        else:
            answer = answer_of_result(question.instant(store.filled(), case.at_ms))
    except EvaluationError as error:
        return _error_difference(case, str(error))
    if case.fails:
        return f"no error, but {answer.points}"
    if case.text is not None:
        return None if answer.text == case.text else f"{answer.text!r} is not {case.text!r}"
    if case.scalar is not None:
        (got,) = answer.points[()].values()
        return None if answer.type == "scalar" and close(got, case.scalar) else f"{got!r} is not {case.scalar!r}"
    return _points_difference(case, answer)


def _error_difference(case: Case, said: str) -> str | None:
    if not case.fails:
        return f"error: {said}"
    if case.message is not None and case.message != said:
        return f"says {said!r}, not {case.message!r}"
    if case.pattern is not None and re.search(case.pattern, said) is None:
        return f"says {said!r}, which does not match {case.pattern!r}"
    return None


def _points_difference(case: Case, answer: Answer) -> str | None:
    expected = {labels: _timed(case, values) for labels, values in case.series}
    expected = {labels: points for labels, points in expected.items() if points}
    if answer.points.keys() != expected.keys():
        missing, surplus = expected.keys() - answer.points.keys(), answer.points.keys() - expected.keys()
        return f"missing {sorted(missing)[:4]}, surplus {sorted(surplus)[:4]}"
    for labels, points in expected.items():
        got = answer.points[labels]
        if got.keys() != points.keys() or not all(close(got[at], value) for at, value in points.items()):
            return f"{labels}: got {got}, expected {points}"
    if case.ordered and answer.order != [labels for labels, _ in case.series]:
        return f"order {answer.order}"
    return None


def _timed(case: Case, values: list[Value]) -> Mapping[int, float]:
    start, _, step = case.matrix or (case.at_ms, case.end_ms, case.step_ms)
    timed = {start + number * step: value for number, value in enumerate(values)}
    return {at: value for at, value in timed.items() if isinstance(value, float)}


def close(mine: float, theirs: float) -> bool:
    """Equal within the runner's tolerance."""
    if np.isnan(theirs) or np.isinf(theirs) or mine == theirs:
        return bool(mine == theirs or (np.isnan(mine) and np.isnan(theirs)))
    total, distance = abs(mine) + abs(theirs), abs(mine - theirs)
    if mine == 0 or theirs == 0 or total < np.finfo(np.float64).tiny:
        return bool(distance < TOLERANCE * np.finfo(np.float64).tiny)
    return bool(distance / min(total, np.finfo(np.float64).max) < TOLERANCE)


def report(outcomes: list[Outcome]) -> str:
    """Counts by script, then every case that failed."""
    lines = []
    for file in dict.fromkeys(outcome.case.file for outcome in outcomes):
        counts = Counter(outcome.verdict for outcome in outcomes if outcome.case.file == file)
        lines.append(f"{file}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]))
    total = Counter(outcome.verdict for outcome in outcomes)
    lines.append(f"all {len(outcomes)}: " + ", ".join(f"{total[verdict]} {verdict}" for verdict in Verdict))
    failed = [each for each in outcomes if each.verdict is Verdict.FAILED]
    lines += [f"{each.case.where}: {each.case.expr}\n    {each.said[:600]}" for each in failed]
    return "\n".join(lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grammar", action="store_true", help="print the cases whose grammar the parser lacks")
    options = parser.parse_args()
    outcomes = run_all(prometheus_sources() / SCRIPTS)
    sys.stdout.write(report(outcomes) + "\n")
    if options.grammar:
        for each in outcomes:
            if each.verdict is Verdict.GRAMMAR:
                sys.stdout.write(f"{each.case.where}: {each.case.expr}\n    {each.said[:200]}\n")
    return 1 if any(each.verdict is Verdict.FAILED for each in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
