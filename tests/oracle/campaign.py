"""Thousands of random expressions over random telemetry, put to Prometheus 3's engine and to ours.

`python -m tests.oracle.campaign --queries 20000 --seed 1` prints the seed of every round that shows a difference, with the
expression made as small as it still differs.
"""

import argparse
import os
import random
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from rules.promql.asking import Question
from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.node import Node as PlanNode
from rules.promql.parse import parse
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.window.needs import EVERYTHING, Need, Needs, PatternNeed
from rules.window.window import Window
from tests.oracle import telemetry
from tests.oracle.answers import Answer, answer_of, answer_of_result, difference, names_in
from tests.oracle.expressions import Node, Writer, smaller
from tests.oracle.program import Asked, Oracle, built
from tests.oracle.telemetry import START_MS, Delivery

QUERIES_PER_ROUND: Final = 50
MOST_SHRINKS: Final = 400
_SQUARES_OVERFLOW: Final = 1e150
_VARIANCE: Final = re.compile(r"\bstd(?:dev|var) ")
_DEEP: Final = Needs({}, [PatternNeed(EVERYTHING, Need(depth_ms=1_000_000, counter=True))])


@dataclass
class Tally:
    """What a campaign saw."""

    queries: int = 0
    answers: int = 0
    empty: int = 0
    values: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def count(self, theirs: Answer) -> None:
        """Take an answer of Prometheus's into account."""
        self.answers += 1
        if theirs.error is not None:
            self.errors[theirs.error_class] += 1
            return
        self.types[theirs.type] += 1
        self.values += sum(len(points) for points in theirs.points.values())
        self.empty += theirs.type in {"vector", "matrix"} and not theirs.points


class Round:
    """One telemetry, the expressions put to it, and the times at which they are asked."""

    def __init__(self, seed: int, queries: int = QUERIES_PER_ROUND) -> None:
        rng = random.Random(seed)
        self.seed = seed
        self.found: list[Delivery] = telemetry.deliveries(seed)
        self.series = telemetry.stored(self.found)
        self.largest = telemetry.largest_values(self.found)
        self.whole = rng.random() < 0.5
        """Whether everything has arrived before the first question, so that selectors may look ahead."""
        shift = 0 if rng.random() < 0.5 else seed % 997
        self.times = [
            START_MS + shift + second * 1_000 for second in rng.choice([(60, 190, 395), (125, 300), (33, 260)])
        ]
        writer = Writer(rng, future=self.whole, first_ms=self.times[0])
        self.expressions = [writer.any() for _ in range(queries)]
        self.delays_names = rng.random() < 0.15
        self.stepped = self.whole and rng.random() < 0.4
        self.step_ms = rng.choice([5_000, 13_000, 60_000])

    def questions(self, expr: str) -> list[Asked]:
        """How an expression is asked."""
        if self.stepped:
            return [Asked(expr, self.times[0], self.times[0] + 7 * self.step_ms, self.step_ms)]
        return [Asked(expr, at) for at in self.times]

    def ours(self, expressions: Sequence[Node]) -> list[list[Answer]]:
        """Our answers: per expression one for each question."""
        texts = [str(expression) for expression in expressions]
        return self._whole(texts) if self.whole else self._as_it_arrives(texts)

    def _whole(self, texts: Sequence[str]) -> list[list[Answer]]:
        window = Window(_DEEP)
        for pieces in telemetry.arriving(self.found, [START_MS * 2], np.random.default_rng(self.seed)):
            for piece in pieces:
                window.append(piece)
        return [[self._asked(window, each) for each in self.questions(text)] for text in texts]

    def _asked(self, window: Window, asked: Asked) -> Answer:
        try:
            question = Question.compile(asked.expr, delays_names=self.delays_names)
            if asked.step_ms:
                return answer_of_result(question.range(window, asked.at_ms, asked.end_ms, asked.step_ms))
            return answer_of_result(question.instant(window, asked.at_ms))
        except (ExpressionError, EvaluationError) as error:
            return Answer(error=str(error))
        except Exception as error:  # a crash is a difference like others: it is shrunk and told
            return _crash(error)

    def _as_it_arrives(self, texts: Sequence[str]) -> list[list[Answer]]:
        planner = Planner()
        nodes = [self._planned(planner, text) for text in texts]
        window = Window(planner.needs)
        answers: list[list[Answer]] = [[] for _ in texts]
        arriving = telemetry.arriving(self.found, self.times, np.random.default_rng(self.seed))
        for at, pieces in zip(self.times, arriving, strict=True):
            for piece in pieces:
                window.append(piece)
            now = Pass(window, at, delays_names=self.delays_names)
            for node, found in zip(nodes, answers, strict=True):
                found.append(node if isinstance(node, Answer) else _evaluated(node, now, at))
            now.finish()
        return answers

    @staticmethod
    def _planned(planner: Planner, text: str) -> PlanNode | Answer:
        try:
            return planner.node(parse(text))
        except ExpressionError as error:
            return Answer(error=str(error))

    def compared(self, expression: Node, mine: Sequence[Answer], theirs: Sequence[Answer]) -> str | None:
        """What differs, or None."""
        text = str(expression)
        largest = max((self.largest.get(name, 0.0) for name in names_in(text)), default=0.0)
        if "__name__" in text or "{node=" in text:
            largest = max(self.largest.values())
        if re.search(r"\btime|\bstart\(|\bend\(|\bts_of", text):
            largest = max(largest, START_MS / 1000 + telemetry.SECONDS)
        if largest > _SQUARES_OVERFLOW and _VARIANCE.search(text):
            return None  # where it overflows depends on the order of the series, which Prometheus leaves open
        for asked, got, expected in zip(self.questions(text), mine, theirs, strict=True):
            found = difference(got, expected, largest, same_class=not asked.step_ms and not re.search(r"\[\w+:", text))
            if found is not None:
                how = (
                    f"from {asked.at_ms - START_MS} step {asked.step_ms}"
                    if asked.step_ms
                    else f"at {asked.at_ms - START_MS}"
                )
                return f"{text}\n  {how} {'delayed names ' if self.delays_names else ''}({'whole' if self.whole else 'live'})\n  {found}"
        return None

    def asked(self, oracle: Oracle, expressions: Sequence[Node]) -> list[list[Answer]]:
        """Prometheus's answers."""
        questions = [self.questions(str(expression)) for expression in expressions]
        flat = iter(
            oracle.ask(self.series, [each for one in questions for each in one], delays_names=self.delays_names)
        )
        return [[next(flat) for _ in one] for one in questions]

    def shrunk(self, oracle: Oracle, expression: Node, said: str) -> str:
        """The smallest expression found that still differs, and how."""
        tries = 0
        while True:
            for less in smaller(expression):
                tries += 1
                if tries > MOST_SHRINKS:
                    return said
                if len(str(less)) >= len(str(expression)):
                    continue
                still = self.compared(less, self.ours([less])[0], self.asked(oracle, [less])[0])
                if still is not None:
                    expression, said = less, still
                    break
            else:
                return said

    def run(self, oracle: Oracle, tally: Tally) -> None:
        """Ask both, and note what differs."""
        theirs = self.asked(oracle, self.expressions)
        mine = self.ours(self.expressions)
        for expression, got, expected in zip(self.expressions, mine, theirs, strict=True):
            tally.queries += 1
            for answer in expected:
                tally.count(answer)
            said = self.compared(expression, got, expected)
            if said is not None:
                tally.failures.append(f"seed {self.seed}: {self.shrunk(oracle, expression, said)}")


def _evaluated(node: PlanNode, now: Pass, at: int) -> Answer:
    try:
        with np.errstate(all="ignore"):
            value = node.evaluate(now)
            return answer_of(value if isinstance(value, float | str) else value.named_to_the_end(), at)
    except EvaluationError as error:
        return Answer(error=str(error))
    except Exception as error:
        return _crash(error)


def _crash(error: Exception) -> Answer:
    return Answer(type="crash", text="".join(traceback.format_exception(error)[-3:]))


def run(
    oracle: Oracle, queries: int, seed: int, seconds: float | None = None, per_round: int = QUERIES_PER_ROUND
) -> Tally:
    """So many queries, or as many as fit into the time."""
    tally, began = Tally(), time.monotonic()
    while tally.queries < queries and (seconds is None or time.monotonic() - began < seconds):
        known = len(tally.failures)
        Round(seed, per_round).run(oracle, tally)
        for failure in tally.failures[known:]:
            sys.stdout.write(failure + "\n")
        sys.stdout.flush()
        seed += 1
    return tally


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--per-round", type=int, default=QUERIES_PER_ROUND, help="expressions over one telemetry")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Oracle(built(Path(folder))) as oracle:
        began = time.monotonic()
        tally = run(oracle, options.queries, options.seed, per_round=options.per_round)
        seconds = time.monotonic() - began
    sys.stdout.write(
        f"seeds {options.seed}…: {tally.queries} queries, {tally.answers} answers ({tally.empty} empty), {tally.values} values,"
        f" {sum(tally.errors.values())} errors {dict(tally.errors)}, {dict(tally.types)}; {len(tally.failures)} differ;"
        f" {seconds:.0f} s on {os.cpu_count()} cores\n"
    )
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
