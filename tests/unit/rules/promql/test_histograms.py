"""Classic histograms: quantiles, fractions, and the repairs before them."""

import math

import pytest

from rules.promql.errors import EvaluationError

BUCKETS = {'h_bucket{le="0.1"}': "1", 'h_bucket{le="0.5"}': "3", 'h_bucket{le="1"}': "4", 'h_bucket{le="+Inf"}': "4"}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("histogram_quantile(0.5, h_bucket)", 0.1 + 0.4 * (1 / 2)),
        ("histogram_quantile(0, h_bucket)", 0.0),
        ("histogram_quantile(1, h_bucket)", 1.0),
        ("histogram_quantile(-1, h_bucket)", -math.inf),
        ("histogram_quantile(2, h_bucket)", math.inf),
        ("histogram_quantile(NaN, h_bucket)", math.nan),
        ("histogram_fraction(0, 0.1, h_bucket)", 0.25),
        ("histogram_fraction(0.1, 0.3, h_bucket)", 0.25),
        ("histogram_fraction(-Inf, +Inf, h_bucket)", 1.0),
        ("histogram_fraction(0.3, 0.1, h_bucket)", 0.0),
        ("histogram_fraction(NaN, 1, h_bucket)", math.nan),
        ('histogram_quantile(0.5, h_bucket{le!="+Inf"})', math.nan),
        ('histogram_quantile(0.5, h_bucket{le="+Inf"})', math.nan),
        ("histogram_quantile(0.5, h_bucket * 0)", math.nan),
        ("histogram_quantile(0.5, vector(1))", None),
    ],
)
def test_quantiles_and_fractions(value, expr, expected) -> None:
    got = value(BUCKETS, expr)
    assert got is expected if expected is None or got is None else got == pytest.approx(expected, nan_ok=True)


def test_counts_that_fall_are_levelled_before_a_quantile_is_taken(value) -> None:
    series = {**BUCKETS, 'h_bucket{le="0.5"}': "5", 'h_bucket{le="+Inf"}': "8"}
    assert value(series, "histogram_quantile(0.6, h_bucket)") == pytest.approx(0.1 + 0.4 * (3.8 / 4))


def test_differences_that_are_rounding_are_evened_out(value) -> None:
    series = {'h_bucket{le="1"}': "1000", 'h_bucket{le="2"}': "1000.0000000000001", 'h_bucket{le="+Inf"}': "1000"}
    assert value(series, "histogram_quantile(1, h_bucket)") == 1.0


def test_buckets_of_the_same_bound_are_added_up(value) -> None:
    series = {'h_bucket{le="1"}': "1", 'h_bucket{le="1.0"}': "3", 'h_bucket{le="+Inf"}': "8"}
    assert value(series, "histogram_quantile(0.25, h_bucket)") == pytest.approx(0.5)


def test_a_negative_lowest_bound_is_its_own_quantile(value) -> None:
    series = {'h_bucket{le="-1"}': "2", 'h_bucket{le="1"}': "4", 'h_bucket{le="+Inf"}': "4"}
    assert value(series, "histogram_quantile(0.2, h_bucket)") == -1.0


def test_histograms_stay_apart_by_all_their_labels(values) -> None:
    series = {name.replace("{", '{i="a",'): text for name, text in BUCKETS.items()}
    series |= {name.replace("{", '{i="b",'): "2" for name in BUCKETS}
    series |= {'h_bucket{i="c",le="no number"}': "1"}
    found = values("i", series, "histogram_quantile(0.5, h_bucket)")
    assert found == {"a": pytest.approx(0.3), "b": pytest.approx(0.05)}


def test_the_same_quantile_twice_is_an_error(ask) -> None:
    with pytest.raises(EvaluationError, match="same labelset"):
        ask(BUCKETS, 'histogram_quantiles(h_bucket, "q", 0.5, 0.5)')


def test_several_quantiles_have_labels_of_their_own(values) -> None:
    found = values("q", BUCKETS, 'histogram_quantiles(h_bucket, "q", 0.5, 1, 0.00001)')
    assert found == {"0.5": pytest.approx(0.3), "1.0": 1.0, "1e-05": pytest.approx(4e-06)}
