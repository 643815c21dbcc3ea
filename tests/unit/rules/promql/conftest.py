"""Expressions over a few series in promtool's notation, on our engine alone."""

from collections.abc import Callable, Mapping

import pytest

from rules.promql.asking import Question
from tests.oracle.answers import Answer, answer_of_result
from tests.oracle.conformance import Store
from tests.oracle.scripts import Loaded, duration_ms, split_metric, values_of

Ask = Callable[..., Answer]


@pytest.fixture
def ask() -> Ask:
    """`ask({series: values}, expr, at)`: series on a grid of `every`, the answer at a time or from there to `end`."""

    def asked(
        series: Mapping[str, str], expr: str, at: str = "0s", *, every: str = "10s", end: str = "", step: str = ""
    ) -> Answer:
        store = Store()
        store.load(
            Loaded(duration_ms(every), [(split_metric(name)[0], values_of(text)) for name, text in series.items()])
        )
        question = Question.compile(expr)
        if end:
            times = duration_ms(at), duration_ms(end), duration_ms(step)
            return answer_of_result(question.range(store.filled(), *times))
        return answer_of_result(question.instant(store.filled(), duration_ms(at)))

    return asked


@pytest.fixture
def value(ask: Ask) -> Callable[..., float | None]:
    """The only value of the answer, None where there is none."""

    def only(series: Mapping[str, str], expr: str, at: str = "0s", *, every: str = "10s") -> float | None:
        found = [each for points in ask(series, expr, at, every=every).points.values() for each in points.values()]
        assert len(found) <= 1, found
        return found[0] if found else None

    return only


@pytest.fixture
def values(ask: Ask) -> Callable[..., dict[str, float]]:
    """The values of the answer by one label."""

    def by_label(
        label: str, series: Mapping[str, str], expr: str, at: str = "0s", *, every: str = "10s"
    ) -> dict[str, float]:
        points = ask(series, expr, at, every=every).points
        return {dict(labels).get(label, ""): each for labels, found in points.items() for each in found.values()}

    return by_label
