"""Functions of values, times, ranges."""

import math

import pytest

from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.names import experimental
from rules.promql.parse import parse

NAN = math.nan
SERIES = {"x": "1 3 2 _ 6 stale 2 NaN 4"}


def same(got: float | None, expected: float | None) -> bool:
    if got is None or expected is None:
        return got is expected
    return (math.isnan(got) and math.isnan(expected)) or got == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("first_over_time(x[45s])", 1.0),
        ("last_over_time(x[45s])", 6.0),
        ("count_over_time(x[45s])", 4.0),
        ("changes(x[45s])", 3.0),
        ("resets(x[45s])", 1.0),
        ("mad_over_time(x[45s])", 1.0),
        ("quantile_over_time(0.5, x[45s])", 2.5),
        ("quantile_over_time(2, x[45s])", math.inf),
        ("stdvar_over_time(x[45s])", 3.5),
        ("ts_of_first_over_time(x[45s])", 0.0),
        ("ts_of_last_over_time(x[45s])", 40.0),
        ("ts_of_max_over_time(x[25s])", 40.0),
        ("ts_of_min_over_time(x[45s])", 0.0),
        ("integral(x[25s])", (2 + 6) / 2 * 20),
        ("integral(x[25s], 0)", 40.0),
        ("integral(x[25s], 1)", 120.0),
        ("deriv(x[25s])", 0.2),
        ("predict_linear(x[25s], 10)", 8.0),
        ("idelta(x[25s])", 4.0),
        ("irate(x[25s])", 0.2),
        ("double_exponential_smoothing(x[25s], 0.5, 0.5)", 6.0),
        ("present_over_time(x[1s])", 1.0),
        ("absent_over_time(x[45s])", None),
        ("delta(x[1s])", None),
    ],
)
def test_functions_over_time(value, expr, expected) -> None:
    assert same(value(SERIES, expr, "40s"), expected)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("mad_over_time(x[30s])", NAN),
        ("max_over_time(x[30s])", 4.0),
        ("min_over_time(x[15s])", 4.0),
        ("sum_over_time(x[30s])", NAN),
        ("ts_of_max_over_time(x[30s])", 80.0),
        ("integral(x[30s])", 10 + 20.0),
        ("changes(x[30s])", 2.0),
    ],
)
def test_nan_is_a_sample(value, expr, expected) -> None:
    assert same(value(SERIES, expr, "80s"), expected)


def test_smoothing_factors_are_checked_where_there_is_something_to_smooth(value) -> None:
    with pytest.raises(EvaluationError, match="invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000"):
        value(SERIES, "double_exponential_smoothing(x[1m], 1, 0.5)", "40s")
    with pytest.raises(EvaluationError, match="invalid trend factor"):
        value(SERIES, "double_exponential_smoothing(x[1m], 0.5, 0)", "40s")
    assert value(SERIES, "double_exponential_smoothing(nope[1m], 1, 0.5)", "40s") is None


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("abs(vector(-2))", 2.0),
        ("round(vector(2.5))", 3.0),
        ("round(vector(-2.5))", -2.0),
        ("round(vector(7), 5)", 5.0),
        ("clamp(vector(7), 1, 5)", 5.0),
        ("clamp(vector(7), 5, 1)", None),
        ("clamp_min(vector(NaN), 1)", NAN),
        ("sgn(vector(-0.5))", -1.0),
        ("log2(vector(8))", 3.0),
        ("log10(vector(1000))", 3.0),
        ("atanh(log10(vector(10)))", math.inf),
        ("ln(vector(0))", -math.inf),
        ("sqrt(vector(-1))", NAN),
        ("sin(vector(pi() / 2))", 1.0),
        ("acosh(vector(1))", 0.0),
        ("atanh(vector(1))", math.inf),
        ("deg(vector(pi()))", 180.0),
        ("rad(vector(180))", math.pi),
        ("vector(1) atan2 vector(1)", math.pi / 4),
        ("max_of(1, 2) + min_of(1, NaN)", NAN),
        ("scalar(vector(4)) + 1", 5.0),
        ("absent(vector(1))", None),
        ("-vector(3)", -3.0),
        ("2 ^ 3 ^ 2", 512.0),
        ("vector(-Inf) ^ 0.5", math.inf),
        ("-Inf ^ 0.5", -math.inf),
        ("-2 ^ 2", -4.0),
        ("7 % -4", 3.0),
        ("1 > bool NaN", 0.0),
        ("0x1F + 1e1 + 1_000", 1041.0),
    ],
)
def test_values(value, expr, expected) -> None:
    assert same(value({}, expr), expected)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("minute", 34.0),
        ("hour", 12.0),
        ("day_of_week", 4.0),
        ("day_of_month", 29.0),
        ("day_of_year", 60.0),
        ("days_in_month", 29.0),
        ("month", 2.0),
        ("year", 2024.0),
    ],
)
def test_dates_are_civil_and_leap(value, function, expected) -> None:
    assert value({}, f"{function}(vector(1709210096.9))") == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("year(vector(-1))", 1969.0),
        ("day_of_year(vector(-1))", 365.0),
        ("day_of_week(vector(-86401))", 2.0),
        ("days_in_month(vector(4107456000))", 28.0),
        ("minute(vector(NaN))", 30.0),
        ("hour(vector(1e300)) - hour(vector(NaN))", 0.0),
    ],
)
def test_dates_before_1970_and_beyond_all_clocks(value, expr, expected) -> None:
    assert value({}, expr) == expected


def test_experimental_functions_are_named() -> None:
    tree = parse("limitk(1, mad_over_time(x[1m])) + on (a) fill (0) info(y) > step()")
    assert set(experimental(tree)) == {"limitk", "mad_over_time()", "fill", "info()", "step()"} - {"fill"} | {"fill"}
    assert list(experimental(parse("histogram_quantile(0.9, rate(x[1m]))"))) == []


@pytest.mark.parametrize("function", ["histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev"])
def test_native_histograms_are_refused_by_name(function) -> None:
    with pytest.raises(ExpressionError, match="native histograms, and only classic ones are supported"):
        parse(f"{function}(x)")
