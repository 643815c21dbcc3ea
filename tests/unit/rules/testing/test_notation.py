"""Series are written as promtool reads them: metrics, labels, and the expanding notation of values."""

import math

import numpy as np
import pytest

from bus.frames import STALE
from rules.testing.notation import NotationError, metric_of, series_text, value_text, values_of

_ = None


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("1 2 -3", [1, 2, -3]),
        ("1x3", [1, 1, 1, 1]),
        ("1x0", [1]),
        ("-2+4x3", [-2, 2, 6, 10]),
        ("1-2x4", [1, -1, -3, -5, -7]),
        ("1+0x2 5", [1, 1, 1, 5]),
        ("_", [_]),
        ("_x3", [_, _, _]),
        ("_x0", []),
        ("1 _x2 4", [1, _, _, 4]),
        ("1e3 1.5e-3 .5 5.", [1000, 0.0015, 0.5, 5]),
        ("1e2x2", [100, 100, 100]),
        ("1_000", [1000]),
        ("Inf +Inf -Inf inf", [math.inf, math.inf, -math.inf, math.inf]),
        ("Inf+1x2", [math.inf, math.inf, math.inf]),
        ("0x3", [0, 0, 0, 0]),
        ("  1\n 2\t3 ", [1, 2, 3]),
    ],
)
def test_the_expanding_notation(text: str, values: list[float | None]) -> None:
    assert values_of(text) == values


def test_increments_are_added_one_by_one() -> None:
    assert values_of("0+0.1x10")[-1] == 0.9999999999999999


def test_numbers_that_are_none_and_the_end_of_a_series() -> None:
    nan, stale = values_of("NaN stale")
    assert np.array([nan]).view(np.uint64)[0] != STALE
    assert math.isnan(nan)
    assert np.array([stale]).view(np.uint64)[0] == STALE


@pytest.mark.parametrize(
    "text", ["a", "1+x3", "1+2", "1x", "x3", "1x-3", "1 + 2x3", "stalex3", "Infx3", "NaNx2", "1,2", "0x1f", "1e", "--1"]
)
def test_what_promtool_refuses_is_refused(text: str) -> None:
    with pytest.raises(NotationError, match="is no sample"):
        values_of(text)


def test_native_histograms_are_refused_by_name() -> None:
    with pytest.raises(NotationError, match="native histograms are not supported"):
        values_of("{{schema:1 sum:3 count:2}}x3")


def test_a_repetition_without_end_is_refused() -> None:
    with pytest.raises(NotationError, match="more than 10000000 samples"):
        values_of("1x99999999999")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("up", {"__name__": "up"}),
        ("", {}),
        ("{}", {}),
        ('up{job="a",node="b"}', {"__name__": "up", "job": "a", "node": "b"}),
        (' up { job = "a" , node = "b" , } ', {"__name__": "up", "job": "a", "node": "b"}),
        ('{__name__="up",job="a"}', {"__name__": "up", "job": "a"}),
        ('{"a metric", "a.label"="x"}', {"__name__": "a metric", "a.label": "x"}),
        ("sum{by='x'}", {"__name__": "sum", "by": "x"}),
        ("job:up:sum{on=`x\\y`}", {"__name__": "job:up:sum", "on": "x\\y"}),
        ('a{b="\\"quoted\\" \\\\ \\n \\u00e9"}', {"__name__": "a", "b": '"quoted" \\ \n é'}),
        ('a{b=""}', {"__name__": "a"}),
    ],
)
def test_a_series_as_it_is_written(text: str, labels: dict[str, str]) -> None:
    assert dict(metric_of(text)) == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("up{", "a label"),
        ('up{job="a"', "',' or '}'"),
        ("up{job}", "'='"),
        ("up{job=a}", "a value in quotes"),
        ('up{job=~"a"}', "a value in quotes"),
        ("up extra", "the end of the series"),
        ("up[5m]", "the end of the series"),
    ],
)
def test_a_wrong_series_says_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(NotationError, match="expected") as caught:
        metric_of(text)
    assert expected in str(caught.value)


def test_a_label_twice_is_refused() -> None:
    with pytest.raises(NotationError, match="there twice"):
        metric_of('up{a="1",a="2"}')


def test_series_and_values_are_written_as_they_are_read() -> None:
    for text in ("up", "{}", 'up{a="x", b="y\\"z"}'):
        assert series_text(metric_of(text)) == text
    assert [value_text(each) for each in (1.0, -0.5, math.nan, math.inf, -math.inf, 1e30)] == [
        "1", "-0.5", "NaN", "+Inf", "-Inf", "1e+30",
    ]  # fmt: skip
