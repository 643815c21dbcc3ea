"""promtool's unit-test files on our engine, and small builders of rules and frames."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from bus.frames import FrameWriter, SeriesLayout
from rules.engine import AlertTransition, Engine
from rules.testing.notation import metric_of
from rules.testing.report import as_text
from rules.testing.run import run_file


def labels_of(series: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and labels of a series as it is written."""
    labels = dict(metric_of(series))
    return labels.pop("__name__"), tuple(labels.items())


def run_promtool_test(path: Path) -> list[str]:
    """Every expectation of a unit-test file that does not hold on our engine, and every mistake of the file."""
    report = run_file(path)
    told = [] if not report.failed else list(as_text(report))
    return [*told, *map(str, report.problems), *report.warnings]


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
