"""`offset`, `@`, subqueries, range queries: which samples an expression reads."""

import pytest

from rules.promql.asking import Question
from rules.promql.errors import EvaluationError, ExpressionError

RISING = {"x": "0+1x30"}
"""x is the number of tens of seconds."""


@pytest.mark.parametrize(
    ("expr", "at", "expected"),
    [
        ("x offset 20s", "100s", 8.0),
        ("x offset -20s", "100s", 12.0),
        ("x offset 0s", "100s", 10.0),
        ("x @ 50", "100s", 5.0),
        ("x @ 50 offset 20s", "100s", 3.0),
        ("x offset 20s @ 50", "100s", 3.0),
        ("x @ start()", "100s", 10.0),
        ("sum_over_time(x[30s] @ 50)", "100s", 3.0 + 4.0 + 5.0),
        ("timestamp(x @ 55)", "100s", 50.0),
        ("rate(x[30s] @ 100)", "200s", 0.1),
        ("x @ 400 offset -5m", "100s", None),
    ],
)
def test_modifiers_choose_the_moment(value, expr, at, expected) -> None:
    assert value(RISING, expr, at) == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sum_over_time(x[30s:10s])", 8.0 + 9.0 + 10.0),
        ("sum_over_time(x[30s:5s])", 7 + 8 + 8 + 9 + 9 + 10.0),
        ("count_over_time(x[2m:])", 2.0),
        ("max_over_time(sum_over_time(x[20s])[1m:20s])", 19.0),
        ("sum_over_time(x[30s:10s] offset 20s)", 6.0 + 7.0 + 8.0),
        ("sum_over_time(x[30s:10s] @ 50)", 3.0 + 4.0 + 5.0),
        ("max_over_time((x @ 50)[30s:10s])", 5.0),
        ("count_over_time(sum_over_time(x[10s:5s])[30s:10s])", 3.0),
        ("sum_over_time(vector(time())[20s:10s])", 190.0),
        ("absent_over_time(nope[1m:10s])", 1.0),
        ("rate(x[1m:10s])", 0.1),
    ],
)
def test_subqueries_evaluate_on_multiples_of_their_step(value, expr, expected) -> None:
    assert value(RISING, expr, "100s") == pytest.approx(expected)


def test_a_subquery_follows_series_that_come_and_go(values) -> None:
    series = {'x{i="a"}': "1 1 stale", 'x{i="b"}': "_ _ 2 2"}
    found = values("i", series, "count_over_time((x > 0)[40s:10s])", "30s")
    assert found == {"a": 2.0, "b": 2.0}


def test_a_range_query_is_a_matrix_with_the_steps_where_there_is_a_value(ask) -> None:
    found = ask({"x": "1 _ stale 4"}, "x", "0s", end="40s", step="10s")
    assert found.points == {(("__name__", "x"),): {0: 1.0, 10_000: 1.0, 30_000: 4.0, 40_000: 4.0}}
    assert ask(RISING, "x @ end() - x @ start()", "0s", end="50s", step="25s").points == {
        (): {0: 5.0, 25_000: 5.0, 50_000: 5.0}
    }
    assert ask(RISING, "step() + range()", "0s", end="50s", step="25s").points == {
        (): {0: 75.0, 25_000: 75.0, 50_000: 75.0}
    }


def test_results_have_prometheus_types(ask) -> None:
    assert ask(RISING, "1 + 1").points == {(): {0: 2.0}}
    assert ask(RISING, "1 + 1").type == "scalar"
    assert ask(RISING, '"a\\"b"').text == 'a"b'
    assert ask(RISING, "vector(1)").type == "vector"
    matrix = ask(RISING, "x[20s]", "100s")
    assert matrix.type == "matrix"
    assert matrix.points == {(("__name__", "x"),): {90_000: 9.0, 100_000: 10.0}}
    assert ask(RISING, "x[20s:5s] offset 10s", "100s").points == {
        (("__name__", "x"),): {75_000: 7.0, 80_000: 8.0, 85_000: 8.0, 90_000: 9.0}
    }


@pytest.mark.parametrize(("expr", "kind"), [("x[1m]", "range vector"), ('"a"', "string")])
def test_a_range_of_ranges_is_refused_as_prometheus_does(ask, expr, kind) -> None:
    with pytest.raises(EvaluationError, match=f'invalid expression type "{kind}" for range query'):
        ask(RISING, expr, "0s", end="10s", step="10s")


def test_what_the_parser_would_misread_is_refused() -> None:
    for expr, said in (("x @ -5", "before 1970"), ('x{a="\\xff"}', "bytes beyond 7 bits")):
        with pytest.raises(ExpressionError, match=said):
            Question.compile(expr)


@pytest.mark.parametrize(
    ("expr", "depth_ms"),
    [
        ("x", 0),
        ("x offset 1m", 365_000),
        ("x offset -1m", 0),
        ("rate(x[2m])", 125_000),
        ("rate(x[2m] offset 1m)", 185_000),
        ("max_over_time(x[10m:1m])", 905_000),
        ("max_over_time(rate(x[1m])[10m:1m] offset 5m)", 965_000),
        ("x @ 5", 1_205_000),
        ("x @ end()", 0),
    ],
)
def test_a_window_is_asked_for_as_much_as_is_read(expr, depth_ms) -> None:
    assert Question.compile(expr).needs.deepest_ms == depth_ms


def test_a_subquery_has_a_bound() -> None:
    with pytest.raises(ExpressionError, match="at most 11000 steps"):
        Question.compile("max_over_time(x[1d:1s])")
    assert Question.compile("max_over_time(x[15m:100ms])")
