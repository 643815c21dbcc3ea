"""promtool's unit-test files on our engine, and small builders of rules and frames."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from bus.frames import STALE, FrameWriter, SeriesLayout
from rules.engine import AlertState, AlertTransition, Engine
from rules.files.durations import milliseconds
from rules.files.load import load_rules
from rules.files.model import AlertRule, RuleSet, Sidecar
from rules.promql.parse import parse
from rules.promql.tree import Select

STALE_FLOAT = float(np.array([STALE], dtype="<u8").view("<f8")[0])
_ITEM = re.compile(
    r"^(?P<start>[-+]?(?:[\d.]+(?:e[-+]?\d+)?|NaN|Inf|_|stale))(?P<step>[-+][\d.]+(?:e[-+]?\d+)?)?(?:x(?P<times>\d+))?$"
)


def values_of(text: str) -> list[float | None]:
    """promtool's series notation; None is a missing sample."""
    values: list[float | None] = []
    for word in text.split():
        found = _ITEM.match(word)
        assert found is not None, word
        times = int(found["times"] or 0)
        if found["start"] == "_":
            values += [None] * max(times, 1)
            continue
        start = STALE_FLOAT if found["start"] == "stale" else float(found["start"])
        step = float(found["step"] or 0)
        # promtool repeats a bare value n times more; without `x` it stands once
        values += [start] if start is STALE_FLOAT else [start + step * count for count in range(times + 1)]
    return values


def labels_of(series: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and labels of a series as it is written."""
    tree = parse(series)
    assert isinstance(tree, Select)
    assert tree.name is not None
    return tree.name, tuple(sorted((matcher.name, matcher.value) for matcher in tree.matchers))


@dataclass
class Feed:
    """Series on a grid of times, as frames of one source each interval."""

    series: Mapping[tuple[str, tuple[tuple[str, str], ...]], Sequence[float | None]]
    interval_ms: int
    start_ms: int = 0
    source: str = "test/source"
    writer: FrameWriter = field(default_factory=lambda: FrameWriter(1))

    def frames(self, step: int) -> list[bytes]:
        """What arrives at one step of the grid."""
        present = {
            key: values[step] for key, values in self.series.items() if step < len(values) and values[step] is not None
        }
        if not present:
            return []
        at = self.start_ms + step * self.interval_ms
        array = np.array([value for value in present.values() if value is not None])
        messages = self.writer.messages(self.source, 1, SeriesLayout.of(list(present)), at, array)
        return [message.value for message in messages]

    @property
    def steps(self) -> int:
        return max((len(values) for values in self.series.values()), default=0)


def run_promtool_test(path: Path) -> list[str]:
    """Every expectation of a unit-test file that our engine does not meet."""
    document = yaml.safe_load(path.read_text())
    rules = [path.parent / name for name in document.get("rule_files", [])]
    step_ms = milliseconds(document.get("evaluation_interval", "1m"))
    complaints = []
    for number, test in enumerate(document["tests"]):
        complaints += [f"{path.name}[{number}] {line}" for line in _run(test, rules, step_ms)]
    return complaints


def _run(test: Mapping[str, object], rules: Sequence[Path], step_ms: int) -> list[str]:
    interval_ms = milliseconds(str(test.get("interval", "1m")))
    feed = Feed(
        {labels_of(each["series"]): values_of(str(each["values"])) for each in test["input_series"]}, interval_ms
    )  # type: ignore[attr-defined]
    expectations = sorted(test.get("alert_rule_test", []), key=lambda each: milliseconds(str(each["eval_time"])))  # type: ignore[call-overload]
    end_ms = max((milliseconds(str(each["eval_time"])) for each in expectations), default=0)
    engine = Engine(as_prometheus_sees(load_rules(rules)))
    complaints, fed = [], 0
    for at in range(0, end_ms + 1, step_ms):
        while fed < feed.steps and fed * interval_ms <= at:
            for frame in feed.frames(fed):
                engine.append_frame(frame)
            fed += 1
        engine.evaluate(at)
        assert not engine.failures, engine.failures
        for expected in expectations:
            if at <= milliseconds(str(expected["eval_time"])) < at + step_ms:
                complaints += _compared(engine, expected, at)
    return complaints


def as_prometheus_sees(rules: RuleSet) -> RuleSet:
    """The rules without their sidecars."""
    groups = tuple(
        replace(
            group,
            rules=tuple(
                replace(rule, sidecar=Sidecar()) if isinstance(rule, AlertRule) else rule for rule in group.rules
            ),
        )
        for group in rules.groups
    )
    return replace(rules, groups=groups)


def _compared(engine: Engine, expected: Mapping[str, object], at: int) -> list[str]:
    name = expected["alertname"]
    evaluators = {rule.rule.uid: rule for group in engine.groups.values() for rule in group.alerting}
    got = sorted(
        (
            (alert.labels, evaluators[uid].annotations(alert))
            for uid, alert in engine.alerts()
            if alert.state is AlertState.FIRING and alert.labels["alertname"] == name
        ),
        key=str,
    )
    wanted = sorted(
        (
            (
                dict(sorted({**(each.get("exp_labels") or {}), "alertname": name}.items())),
                each.get("exp_annotations") or {},
            )
            for each in expected.get("exp_alerts") or []  # type: ignore[attr-defined]
        ),
        key=str,
    )
    wanted = [({k: str(v) for k, v in labels.items()}, notes) for labels, notes in wanted]
    return [] if got == wanted else [f"{name} at {at} ms:\n   expected {wanted}\n   got      {got}"]


class Bench:
    """An engine over one rule file, fed by hand."""

    def __init__(self, folder: Path, text: str, sidecar: str | None = None) -> None:
        self.path = folder / "test.yaml"
        self.path.write_text(text)
        if sidecar is not None:
            (folder / "test.hallkeeper.yaml").write_text(sidecar)
        self.engine = Engine([folder])
        self.writer = FrameWriter(5)

    def feed(
        self, at: int, series: Mapping[str, float], *, source: str = "a/b", quality: Sequence[int] | None = None
    ) -> frozenset[str]:
        """One frame; the groups that it woke."""
        layout = SeriesLayout.of([labels_of(name) for name in series])
        marks = None if quality is None else np.array(quality, dtype=np.uint8)
        woken: frozenset[str] = frozenset()
        for message in self.writer.messages(source, 1, layout, at, np.array(list(series.values())), marks):
            woken |= self.engine.append_frame(message.value)
        return woken

    def at(self, at: int, series: Mapping[str, float] | None = None, **options: bool) -> list[AlertTransition]:
        """Feed, then evaluate."""
        if series is not None:
            self.feed(at, series)
        return self.engine.evaluate(at, **options)

    def states(
        self, times: Iterable[int], series: Callable[[int], Mapping[str, float] | None]
    ) -> list[tuple[int, str]]:
        """Every transition over a run of evaluations: time and state."""
        return [(at, str(each.state)) for at in times for each in self.at(at, series(at))]


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Make an engine over a rule file's text."""
    return lambda text, sidecar=None: Bench(tmp_path, text, sidecar)


@pytest.fixture(scope="session")
def promtool_test() -> Callable[[Path], list[str]]:
    return run_promtool_test


@pytest.fixture(scope="session")
def nan() -> float:
    return math.nan
