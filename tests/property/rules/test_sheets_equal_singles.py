"""Rules evaluated as one sheet say what each of them says alone, to the last bit, whatever arrives and whatever goes."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.frames import STALE, FrameWriter, SeriesLayout
from rules.bands import Bands
from rules.engine import AlertTransition, Engine
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.parse import parse
from rules.promql.passes import Pass
from rules.promql.plan import Planner
from rules.promql.sheets.plan import SheetPlanner
from rules.promql.sheets.sheet import Sheet, SheetNode
from rules.promql.tree import Tree
from rules.promql.vector import Vector
from rules.window.window import Window

STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])
METRICS = ("alpha", "beta", "gamma", "delta")
FORMS = (
    "{m} > {n}",
    "{n} >= {m}",
    "{m} != bool {n}",
    "-{m} < -{n}",
    "abs({m}) + {n} > 3",
    "{m} > time() - 1700000000",
    '{m}{{gpu="1"}} > {n}',
    '{m}{{node=~"n[01]"}} / {n}',
    "rate({m}[11s]) > {n} / 100",
    "increase({m}[7s])",
    "delta({m}[9s]) < {n}",
    'rate({m}{{gpu="1"}}[11s]) * {n}',
    "rate({m}[8s] offset 4s)",
    "sum by (node) ({m}) > {n}",
    "avg without (gpu) ({m})",
    "min by (node) (rate({m}[11s]))",
    "max(rate({m}[11s])) - {n}",
    "stddev by (node) ({m}) > {n}",
    "count by (gpu) ({m} > {n})",
    "group by (zone) ({m})",
    "quantile by (node) (0.5, {m}) > {n}",
    "topk by (node) (1, {m})",
    "{m} * on (node) group_left (job_id) facts",
    "facts * on (node) group_right {m}",
    "{m} > on (node) group_left sum by (node) ({m}) / {n}",
    "{m} - ignoring (zone) {m} offset 2s",
    "{m} and on (node) facts",
    "{m} unless on (node) (rate({m}[11s]) > {n})",
    "{m} or on (node) facts",
    'absent({m}{{node="n2"}})',
    "absent({m} > {n})",
    "absent_over_time({m}[5s])",
    "avg_over_time({m}[9s]) > {n}",
    "changes({m}[9s])",
    "max_over_time(rate({m}[6s])[9s:3s])",
    "clamp({m}, 0, {n})",
    "{m} % {n}",
    "{m} offset 3s > {n}",
    "histogram_quantile(0.9, {m})",
    'label_replace({m}, "x", "$1", "gpu", "(.*)")',
)
STEPS = 36


class Telemetry:
    """Frames of a few sources that answer every few seconds, late, twice, partly, badly, or not any more."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self._writer = FrameWriter(seed + 1)
        self._values = {(source, metric): 5.0 for source in range(4) for metric in METRICS}
        self._harm = float(self.rng.choice([0.0, 0.02, 0.2]))
        self._waiting: list[tuple[int, list[bytes]]] = []

    def arriving(self, second: int) -> Iterator[bytes]:
        """What comes in that second."""
        for source in range(4):
            if self._speaks(source, second):
                at = second * 1000 + int(self.rng.integers(0, 400)) + (1_500 if self.rng.random() < self._harm else 0)
                late = int(self.rng.integers(1, 9)) if self.rng.random() < self._harm else 0
                self._waiting.append((second + late, self._frames(source, second, at)))
        due = [messages for when, messages in self._waiting if when <= second]
        self._waiting = [waiting for waiting in self._waiting if waiting[0] > second]
        for messages in due:
            yield from messages

    def _speaks(self, source: int, second: int) -> bool:
        if (source == 2 and second > STEPS // 2) or (source == 3 and second < STEPS // 3):
            return False
        return (second + source) % 2 == 0 and self.rng.random() > self._harm

    def _frames(self, source: int, second: int, at: int) -> list[bytes]:
        metrics = METRICS[: 3 if source == 1 and second < STEPS // 2 else 4]
        series = [
            (metric, (("gpu", str(gpu)), ("node", f"n{source}"), ("zone", "1")))
            for metric in metrics
            for gpu in range(3)
        ]
        values = np.array([self._next(source, name) + place for place, (name, _) in enumerate(series)])
        values[self.rng.random(len(values)) < self._harm / 4] = self.rng.choice([np.nan, np.inf, -0.0, -np.inf])
        values[self.rng.random(len(values)) < self._harm] = STALE_FLOAT
        quality = None
        if self.rng.random() < self._harm:
            quality = np.where(self.rng.random(len(values)) < 0.3, 2, 0).astype(np.uint8)
        zone = [*series, ("facts", (("job_id", f"j{second // 15}"), ("node", f"n{source}")))]
        values = np.append(values, 1.0)
        quality = None if quality is None else np.append(quality, np.uint8(0))
        layout = SeriesLayout.of(zone)
        return [m.value for m in self._writer.messages(f"s/{source}", 1, layout, at, values, quality)]

    def _next(self, source: int, metric: str) -> float:
        grown = self._values[source, metric] + float(self.rng.integers(0, 40)) / 4
        self._values[source, metric] = 0.5 if self.rng.random() < self._harm + 0.02 else grown
        return self._values[source, metric]


def written(template: str) -> list[str]:
    return [template.format(m=metric, n=3 + 4 * number) for number, metric in enumerate(METRICS)]


def alone(node: Node, now: Pass) -> Vector | str:
    try:
        value = node.evaluate(now)
    except EvaluationError as error:
        return str(error)
    assert isinstance(value, Vector)
    return value


def together(node: SheetNode, now: Pass) -> Sheet | None:
    try:
        return node.evaluate(now)
    except EvaluationError:
        return None


def elements(vector: Vector) -> dict[tuple[tuple[str, str], ...], str]:
    return {tuple(vector.labels.row(row).items()): float(vector.values[row]).hex() for row in vector.rows.tolist()}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 30))
def test_every_line_of_a_sheet_is_what_its_rule_yields_alone(seed: int) -> None:
    answered, asked = walked(seed)
    assert sum(answered.values()) > asked // 4


def walked(seed: int) -> tuple[Counter[str], int]:
    """Compare at every second; how often each form was answered by its sheet, and how many there were."""
    telemetry, planner = Telemetry(seed), Planner()
    chosen = [FORMS[place] for place in telemetry.rng.permutation(len(FORMS))[:14].tolist()]
    texts = {template: written(template) for template in chosen}
    trees = {template: tuple(parse(text) for text in texts[template]) for template in chosen}
    nodes = {template: [planner.node(tree) for tree in trees[template]] for template in chosen}
    window, sheets, answered, asked = Window(planner.needs), SheetPlanner(planner), Counter[str](), 0
    parts = {template: Alike(sheets, trees[template]) for template in chosen}
    for second in range(STEPS):
        for message in telemetry.arriving(second):
            window.append(message)
        if second % 10 == 9:
            window.collect(second * 1000, 12_000)
        now = Pass(window, second * 1000 + 500)
        with np.errstate(all="ignore"):
            for template in chosen:
                asked += 1
                members = parts[template].members(now)
                sheet = together(parts[template].node(members), now) if len(members) > 1 else None
                answered[template] += sheet is not None
                if sheet is None:
                    continue
                for line, member in enumerate(members):
                    single = alone(nodes[template][member], now)
                    assert not isinstance(single, str), (seed, texts[template][member], single)
                    assert elements(sheet.line(line)) == elements(single), (seed, second, texts[template][member])
        now.finish()
    return answered, asked


class Alike:
    """Those expressions of one form whose series lie as most do."""

    def __init__(self, sheets: SheetPlanner, trees: tuple[Tree, ...]) -> None:
        self._sheets, self._trees = sheets, trees
        self._nodes: dict[tuple[int, ...], SheetNode] = {}

    def members(self, now: Pass) -> tuple[int, ...]:
        """Their numbers."""
        lies = [self._sheets.lie(tree, now) for tree in self._trees]
        known = Counter(lie.key for lie in lies if lie is not None)
        return tuple(
            number
            for number, lie in enumerate(lies)
            if lie is not None and lie.key == max(known, key=known.__getitem__)
        )

    def node(self, members: tuple[int, ...]) -> SheetNode:
        """Their sheet's node."""
        if members not in self._nodes:
            self._nodes[members] = self._sheets.node(tuple(self._trees[number] for number in members))
        return self._nodes[members]


SIDECAR = "groups: {g: {Alert2: {clear: 'gamma < 2', hold_over_gap: 5s}, Alert7: {flapping: {times: 2, within: 1m, calm: 5s}}}}"


def rules_of(seed: int) -> str:
    """Alerting rules of several forms, with what else a group may hold between them."""
    rng = np.random.default_rng(seed)
    forms = [FORMS[place] for place in rng.permutation(len(FORMS))[:8].tolist()]
    rules: list[dict[str, object]] = [
        {
            "alert": f"Alert{number}",
            "expr": expr,
            "for": f"{number % 4}s",
            "labels": {"level": "{{ $value }}"} if number % 13 == 5 else {"severity": "warning"},
            "annotations": {"text": "{{ $labels.node }} {{ $value }}"},
        }
        for number, expr in enumerate(expr for template in forms for expr in written(template))
    ]
    rules.insert(5, {"record": "beta", "expr": "sum by (node) (alpha)", "labels": {"gpu": "9"}})
    rules.insert(9, {"alert": "Failing", "expr": "alpha * on (zone) beta > 3"})
    rules.insert(10, {"alert": "FailingToo", "expr": "alpha * on (zone) gamma > 4"})
    return json.dumps({"groups": [{"name": "g", "interval": "1s", "limit": 20, "rules": rules}]})


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1 << 30))
def test_an_engine_with_bands_tells_what_one_without_them_tells(seed: int, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(rules_of(seed))
    (tmp_path / "r.hallkeeper.yaml").write_text(SIDECAR)
    telemetry, engines = Telemetry(seed), [Engine([tmp_path]), Engine([tmp_path])]
    for group in engines[1].groups.values():
        group._bands = Bands([], frozenset(), Planner())
    for second in range(STEPS):
        messages, at = list(telemetry.arriving(second)), second * 1000 + 500
        lagging, restart = telemetry.rng.random() < 0.1, second in {11, 23}
        told = []
        for number, engine in enumerate(engines):
            for message in messages:
                engine.append_frame(message)
            changes = [said(change) for change in engine.evaluate(at, lagging=lagging)]
            told.append([changes, engine.failures.copy(), engine.state(at)])
            if restart:
                engines[number] = restarted(engine, at, banded=number == 0)
        assert told[0] == told[1], (seed, second)


def said(change: AlertTransition) -> dict[str, object]:
    """All of it, NaN being NaN."""
    fields = {each.name: getattr(change, each.name) for each in dataclasses.fields(change)}
    return fields | {"value": change.value.hex(), "annotations": dict(change.annotations)}


def restarted(engine: Engine, at: int, *, banded: bool) -> Engine:
    """The same engine after a reload of its rules and a restore of its alerts."""
    state = engine.state(at)
    engine.reload(engine.rules, at)
    engine.restore(state, at)
    if not banded:
        for group in engine.groups.values():
            group._bands = Bands([], frozenset(), Planner())
    return engine
