"""Random telemetry, random expressions, and real Prometheus to judge what they mean together."""

import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from bus.frames import STALE, FrameWriter, SeriesLayout
from rules.promql.errors import EvaluationError
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.vector import Vector
from rules.window.window import Window

START_MS = 1_700_000_000_000
STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])
ORACLE = Path(__file__).parents[2] / "oracle"


@dataclass
class Answer:
    """Elements by label set, or the error."""

    elements: dict[tuple[tuple[str, str], ...], float] = field(default_factory=dict)
    error: str | None = None


@dataclass
class Delivery:
    """One device answer: which series, when, what; None is a series that ended, a pair a value that is not good."""

    source: str
    at: int
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float | None]
    bad: frozenset[tuple[str, tuple[tuple[str, str], ...]]] = frozenset()


NODES = ("n1", "n2", "n3", "n4")
GPUS = ("0", "1", "2")
NICE = [0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 12.5, 100.0, -4.0, 0.25]


def series_of(node: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """What one node's page holds."""
    base = (("job", "dcgm"), ("node", node))
    series = [("m", (*base, ("gpu", gpu))) for gpu in GPUS] + [("c", (*base, ("gpu", gpu))) for gpu in GPUS]
    series += [("w", (*base, ("gpu", gpu))) for gpu in GPUS[:2]]
    rack = "r1" if node in NODES[:2] else "r2"
    return [*series, ("up", base), ("info", (("node", node), ("rack", rack), ("job", "inv")))]


def telemetry(seed: int) -> list[Delivery]:
    """Deliveries of four nodes over a few minutes: resets, gaps, ends, odd values, pages that change their shape."""
    rng = np.random.default_rng(seed)
    deliveries = []
    for index, node in enumerate(NODES):
        interval = int(rng.choice([5_000, 5_000, 7_000, 15_000]))
        phase = int(rng.integers(0, interval)) if rng.random() < 0.7 else 0
        counters = dict.fromkeys(range(3), 0.0)
        level = dict.fromkeys(range(3), 0.0)
        gone = rng.random(12) < 0.05
        for at in range(START_MS + phase, START_MS + 400_000, interval):
            jitter = int(rng.integers(-200, 200)) if rng.random() < 0.3 and at > START_MS + 1000 else 0
            if rng.random() < 0.04:
                continue
            values: dict[tuple[str, tuple[tuple[str, str], ...]], float | None] = {}
            bad = set()
            for place, key in enumerate(series_of(node)):
                gpu = place % 3
                if key[0] == "c":
                    counters[gpu] = 0.0 if rng.random() < 0.03 else counters[gpu] + float(rng.choice([0, 1, 2, 8, 0.5]))
                    value = counters[gpu]
                elif key[0] == "w":
                    level[gpu] += float(rng.choice([-1, 0, 0, 1, 2]))
                    value = level[gpu]
                elif key[0] == "m":
                    value = float(rng.choice(NICE))
                    if rng.random() < 0.02:
                        value = float(rng.choice([math.nan, math.inf, -math.inf]))
                else:
                    value = 1.0 if rng.random() < 0.95 else 0.0
                if rng.random() < 0.01:
                    gone[place] = not gone[place]
                values[key] = None if gone[place] else value
                if rng.random() < 0.01:
                    bad.add(key)
            if rng.random() < 0.05:
                for key in list(values)[:: int(rng.integers(2, 5))]:
                    del values[key]
            deliveries.append(Delivery(f"{node}/dcgm", at + jitter + index, values, frozenset(bad)))
    return deliveries


_MATCHERS = [
    "",
    '{node="n1"}',
    '{node!="n1"}',
    '{node=~"n[12]"}',
    '{gpu!~"0|1"}',
    '{gpu="1",node=~"n.*"}',
    '{node="nope"}',
    '{rack=""}',
]
_RANGE_FUNCTIONS = (
    "rate increase delta irate idelta deriv changes resets avg_over_time min_over_time max_over_time sum_over_time"
    " count_over_time last_over_time present_over_time stddev_over_time stdvar_over_time absent_over_time"
).split()
INEXACT = ("stddev", "stdvar", "deriv", "exp", "ln", "log", "^", "atan2", "avg", "rate", "quantile", "%")


@st.composite
def selectors(draw: st.DrawFn, names: Sequence[str] = ("m", "c", "w", "up", "info")) -> str:
    return draw(st.sampled_from(names)) + draw(st.sampled_from(_MATCHERS))


@st.composite
def ranges(draw: st.DrawFn) -> str:
    function = draw(st.sampled_from(_RANGE_FUNCTIONS))
    selector = draw(selectors(("c", "c", "m", "w", "up")))
    span = draw(st.sampled_from(["10s", "20s", "30s", "1m", "2m", "47s"]))
    offset = draw(st.sampled_from(["", "", "", " offset 10s", " offset 1m"]))
    return f"{function}({selector}[{span}]{offset})"


def grouping(draw: st.DrawFn) -> str:
    return draw(
        st.sampled_from(
            ["", " by (node)", " by (node, gpu)", " without (gpu)", " by (rack)", " without (node, gpu)", " by ()"]
        )
    )


@st.composite
def scalars(draw: st.DrawFn) -> str:
    return draw(
        st.sampled_from(["1", "2", "0", "-1.5", "0.5", "3", "NaN", "Inf", "time()", "scalar(up{node='n1'})", "(2 + 3)"])
    )


@st.composite
def vectors(draw: st.DrawFn, depth: int = 3) -> str:
    """An expression of type vector."""
    if depth == 0:
        return draw(st.one_of(selectors(), ranges(), selectors()))
    inner = lambda: draw(vectors(depth=draw(st.integers(0, depth - 1))))  # noqa: E731
    kind = draw(
        st.sampled_from(
            [
                "leaf",
                "range",
                "agg",
                "agg",
                "scalar",
                "compare",
                "join",
                "join",
                "set",
                "call",
                "label",
                "offset",
                "topk",
            ]
        )
    )
    if kind == "leaf":
        return draw(selectors())
    if kind == "range":
        return draw(ranges())
    if kind == "offset":
        return f"{draw(selectors())} offset {draw(st.sampled_from(['5s', '12s', '1m']))}"
    if kind == "agg":
        op = draw(st.sampled_from(["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile"]))
        parameter = draw(st.sampled_from(["0.5, ", "0.9, ", "0, ", "1, ", "1.5, ", "-1, "])) if op == "quantile" else ""
        return f"{op}{grouping(draw)} ({parameter}{inner()})"
    if kind == "topk":
        op = draw(st.sampled_from(["count_values"]))
        return f'{op}{grouping(draw)} ("value", {inner()})'
    if kind == "scalar":
        op = draw(st.sampled_from(["+", "-", "*", "/", "%", "^", "atan2"]))
        pair = [inner(), draw(scalars())]
        return f"({pair[0]} {op} {pair[1]})" if draw(st.booleans()) else f"({pair[1]} {op} {pair[0]})"
    if kind == "compare":
        op = draw(st.sampled_from([">", "<", "==", "!=", ">=", "<="])) + draw(st.sampled_from(["", "", " bool"]))
        pair = [inner(), draw(scalars())]
        return f"({pair[0]} {op} {pair[1]})" if draw(st.booleans()) else f"({pair[1]} {op} {pair[0]})"
    if kind == "set":
        op = draw(st.sampled_from(["and", "or", "unless"]))
        on = draw(st.sampled_from(["", "", " on (node)", " on ()", " ignoring (gpu)", " ignoring (rack, job, gpu)"]))
        return f"({inner()} {op}{on} {inner()})"
    if kind == "join":
        return _join(draw, inner)
    if kind == "label":
        return draw(
            st.sampled_from(
                [
                    'label_replace({0}, "host", "h-$1", "node", "n(.)")',
                    'label_replace({0}, "gpu", "", "gpu", "1")',
                    'label_replace({0}, "node", "same", "node", ".*")',
                    'label_join({0}, "both", "/", "node", "gpu")',
                ]
            )
        ).format(inner())
    return draw(
        st.sampled_from(
            "abs({0})|ceil({0})|floor({0})|round({0})|round({0}, 0.5)|clamp({0}, 1, 10)|clamp_min({0}, 2)|clamp_max({0}, 3)|exp({0})"
            "|ln({0})|log2({0})|log10({0})|sqrt({0})|sgn({0})|timestamp({0})|absent({0})|-({0})|vector(scalar({0}))|clamp({0}, 5, 1)".split(
                "|"
            )
        )
    ).format(inner())


def _join(draw: st.DrawFn, inner: Callable[[], str]) -> str:
    op = draw(st.sampled_from(["+", "-", "*", "/", ">", "<", "==", "!= bool", ">= bool"]))
    shape = draw(st.integers(0, 6))
    if shape == 0:
        return f"({inner()} {op} on (node) group_left (rack) info)"
    if shape == 1:
        return f"(up {op} on (node) group_right () {draw(selectors(('m', 'c', 'w')))})"
    if shape == 2:
        return f"({draw(selectors(('m', 'c')))} {op} {draw(selectors(('c', 'w', 'm')))})"
    if shape == 3:
        return f"({draw(selectors(('m', 'w')))} {op} ignoring (gpu, rack, job) group_left up)"
    if shape == 4:
        return f"({inner()} {op} on (node, gpu) {inner()})"
    if shape == 5:
        return f"(sum by (node) ({inner()}) {op} on (node) max by (node) ({inner()}))"
    return f"({inner()} {op} ignoring (job) {inner()})"


def question(deliveries: Sequence[Delivery]) -> list[dict[str, object]]:
    """The deliveries as Prometheus would have stored them; what is not good is no value there."""
    points: dict[tuple[str, tuple[tuple[str, str], ...]], dict[int, str]] = {}
    for delivery in sorted(deliveries, key=lambda each: each.at):
        for key, value in delivery.values.items():
            text = "stale" if value is None or key in delivery.bad else repr(value)
            points.setdefault(key, {}).setdefault(delivery.at, text)
    return [
        {"labels": {"__name__": name, **dict(labels)}, "times": list(found), "values": list(found.values())}
        for (name, labels), found in points.items()
    ]


def frames(writer: FrameWriter, delivery: Delivery) -> list[bytes]:
    """A delivery as it travels."""
    layout = SeriesLayout.of(list(delivery.values))
    values = np.array([STALE_FLOAT if value is None else value for value in delivery.values.values()])
    quality = np.array([2 if key in delivery.bad else 0 for key in delivery.values], dtype=np.uint8)
    messages = writer.messages(delivery.source, 1, layout, delivery.at, values, quality if delivery.bad else None)
    return [message.value for message in messages]


def ours(deliveries: Sequence[Delivery], queries: Sequence[str], times: Sequence[int], seed: int) -> list[list[Answer]]:
    """What we make of it: frames fed up to a little beyond each time, some of them out of order."""
    planner = Planner()
    nodes = [planner.compile(query) for query in queries]
    window = Window(planner.needs)
    writer = FrameWriter(7)
    rng = np.random.default_rng(seed)
    waiting = sorted(deliveries, key=lambda each: each.at)
    results = []
    for at in times:
        lead = at + int(rng.integers(0, 3_000))
        batch = [delivery for delivery in waiting if delivery.at <= lead]
        waiting = waiting[len(batch) :]
        packed = [frames(writer, delivery) for delivery in batch]
        for first in range(len(packed) - 1):
            if rng.random() < 0.05:
                packed[first], packed[first + 1] = packed[first + 1], packed[first]
        for pieces in packed:
            for piece in pieces:
                window.append(piece)
        now = Pass(window, at)
        with np.errstate(all="ignore"):
            results.append([_answered(lambda node=node: node.evaluate(now)) for node in nodes])
        now.finish()
    return results


def _answered(evaluate: Callable[[], Vector | float]) -> Answer:
    try:
        value = evaluate()
    except EvaluationError as error:
        return Answer(error=str(error))
    if not isinstance(value, Vector):
        return Answer({(): value})
    rows = np.flatnonzero(value.mask).tolist()
    found = {tuple(value.labels.row(row).items()): float(value.values[row]) for row in rows}
    assert len(found) == len(rows), "two elements with the same label set"
    return Answer(found)


class Oracle:
    """Prometheus 3's own engine, asked over a pipe."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, series: list[dict[str, object]], queries: Sequence[str], times: Sequence[int]) -> list[list[Answer]]:
        asked = [{"expr": query, "at_ms": at} for at in times for query in queries]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"series": series, "queries": asked}) + "\n")
        self._process.stdin.flush()
        answers = [self._answer(each) for each in json.loads(self._process.stdout.readline())]
        return [answers[start : start + len(queries)] for start in range(0, len(answers), len(queries))]

    @staticmethod
    def _answer(raw: Mapping[str, object]) -> Answer:
        if raw.get("error"):
            return Answer(error=str(raw["error"]))
        return Answer({tuple(sorted(each["labels"].items())): float(each["value"]) for each in raw["elements"]})  # type: ignore[attr-defined]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """The oracle, built once; skipped where Go or its modules are not at hand."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("the oracle needs Go; promtool judges instead")
    program = Path(os.environ.get("HALLKEEPER_ORACLE", tmp_path_factory.mktemp("oracle") / "oracle"))
    if not program.exists():
        try:
            subprocess.run([go, "build", "-o", program, "."], cwd=ORACLE, capture_output=True, check=True, timeout=110)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"the oracle does not build here: {str(error.stderr)[-300:]}")
    asked = Oracle(program)
    yield asked
    asked.close()


def differences(expr: str, mine: Answer, theirs: Answer) -> str | None:
    """What differs, or None. Errors need not be worded alike."""
    if (mine.error is None) != (theirs.error is None):
        return f"{expr}\n  ours   {mine.error or mine.elements}\n  theirs {theirs.error or theirs.elements}"
    if mine.error is not None:
        return None
    if mine.elements.keys() != theirs.elements.keys():
        return f"{expr}\n  only ours {mine.elements.keys() - theirs.elements.keys()}\n  only theirs {theirs.elements.keys() - mine.elements.keys()}"
    inexact = any(word in expr for word in INEXACT)
    for labels, value in theirs.elements.items():
        got = mine.elements[labels]
        same = math.isclose(got, value, rel_tol=1e-9, abs_tol=1e-9) if inexact else got == value
        if not same and not (math.isnan(got) and math.isnan(value)):
            return f"{expr}\n  {labels}: ours {got!r}, theirs {value!r}"
    return None


@pytest.fixture(scope="session")
def kit() -> dict[str, object]:
    """The pieces above, for test modules that cannot import their neighbours."""
    return dict(globals())
