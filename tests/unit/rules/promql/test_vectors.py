"""Aggregations that choose, matching, labels, order, info."""

import pytest

from rules.promql.asking import Question
from rules.promql.errors import EvaluationError, ExpressionError
from rules.promql.parse import parse
from tests.oracle.answers import answer_of_result
from tests.oracle.conformance import Store
from tests.oracle.scripts import Loaded, split_metric, values_of

FOUR = {f'x{{i="{i}",g="{g}"}}': str(v) for i, g, v in (("a", "1", 3), ("b", "1", 1), ("c", "2", 3), ("d", "2", "NaN"))}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("topk(1, x)", {"a"}),
        ("topk(2, x)", {"a", "c"}),
        ("topk(3, x)", {"a", "b", "c"}),
        ("topk(9, x)", {"a", "b", "c", "d"}),
        ("bottomk(1, x)", {"b"}),
        ("bottomk by (g) (1, x)", {"b", "c"}),
        ("topk(0, x)", set()),
        ("limitk(2, x)", {"a", "b"}),
        ("limitk by (g) (1, x)", {"a", "c"}),
        ("limit_ratio(1, x)", {"a", "b", "c", "d"}),
        ("limit_ratio(-1, x)", {"a", "b", "c", "d"}),
        ("limit_ratio(0, x)", set()),
    ],
)
def test_aggregations_choose_elements(values, expr, expected) -> None:
    assert set(values("i", FOUR, expr)) == expected


def test_a_ratio_and_its_complement_share_the_elements(values) -> None:
    series = {f'x{{i="{i}"}}': "1" for i in range(50)}
    chosen, others = (set(values("i", series, f"limit_ratio({ratio}, x)")) for ratio in ("0.4", "-0.6"))
    assert chosen | others == {str(i) for i in range(50)}
    assert not chosen & others
    assert 10 <= len(chosen) <= 30


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        ("topk(NaN, x)", "Parameter value is NaN"),
        ("bottomk(1e30, x)", "overflows int64"),
        ("limit_ratio(NaN, x)", "Ratio value is NaN"),
        ("sum by (g) (x) + on () x", "found duplicate series for the match group {} on the right hand-side"),
        ("x + on (g) y", "multiple matches for labels: many-to-one matching must be explicit"),
        ("x + on () group_left () x", "many-to-many matching not allowed"),
        ("label_replace(x, 'i', '', 'i', '.*')", "vector cannot contain metrics with the same labelset"),
        ("rate({__name__=~'x|z'}[1m])", "vector cannot contain metrics with the same labelset"),
    ],
)
def test_errors_are_prometheus_errors(ask, expr, said) -> None:
    series = {**FOUR, 'y{g="1"}': "1", 'y{g="2"}': "1", 'z{i="a",g="1"}': "1 2", 'x{i="a",g="1"}': "3 4"}
    with pytest.raises(EvaluationError) as caught:
        ask(series, expr, "10s")
    assert said in str(caught.value)


def test_the_message_names_the_group_and_both_series(ask) -> None:
    series = {'y{g="1",h="b"}': "1", 'y{g="1",h="a"}': "1", 'x{g="1"}': "1"}
    with pytest.raises(EvaluationError) as caught:
        ask(series, "x * on (g) y")
    assert str(caught.value) == (
        'found duplicate series for the match group {g="1"} on the right hand-side of the operation: '
        '[{__name__="y", g="1", h="a"}, {__name__="y", g="1", h="b"}]'
        ";many-to-many matching not allowed: matching labels must be unique on one side"
    )


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("l + fill (0) r", {"a": 11.0, "b": 2.0, "c": 30.0}),
        ("l - fill_left (1) r", {"a": -9.0, "c": -29.0}),
        ("l - fill_right (1) r", {"a": -9.0, "b": 1.0}),
        ("l < bool fill (5) r", {"a": 1.0, "b": 1.0, "c": 1.0}),
        ("l > fill (0) r", {"b": 2.0}),
        ("l * on (i) group_left () fill_right (3) r", {"a": 10.0, "b": 6.0}),
    ],
)
def test_fill_gives_what_a_side_lacks(values, expr, expected) -> None:
    series = {'l{i="a"}': "1", 'l{i="b"}': "2", 'r{i="a"}': "10", 'r{i="c"}': "30"}
    assert values("i", series, expr) == expected


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("sort(x)", ["b", "a", "c", "d"]),
        ("sort_desc(x)", ["a", "c", "b", "d"]),
        ('sort_by_label_desc(x, "i")', ["d", "c", "b", "a"]),
        ("topk(2, x)", ["a", "c"]),
        ("bottomk(2, x * 2)", ["b", "a"]),
        ("sort_desc(x) * 2", ["a", "c", "b", "d"]),
    ],
)
def test_results_are_shown_in_order(ask, expr, expected) -> None:
    assert [dict(labels)["i"] for labels in ask(FOUR, expr).order] == expected


def test_labels_sort_naturally(ask) -> None:
    series = {f'x{{cpu="{cpu}"}}': "1" for cpu in ("10", "2", "1", "cpu9", "cpu10")}
    found = ask(series, 'sort_by_label(x, "cpu")')
    assert [dict(labels)["cpu"] for labels in found.order] == ["1", "2", "10", "cpu9", "cpu10"]


def test_type_and_unit_go_with_the_name(ask) -> None:
    found = ask({'x{__type__="gauge",__unit__="watts",i="a"}': "1"}, "x * 2")
    assert list(found.points) == [(("i", "a"),)]


INFO = {
    'm{instance="a",job="j",own="1"}': "1",
    'm{instance="b",job="j"}': "2",
    'target_info{instance="a",job="j",version="v1",own="2"}': "1",
    'build_info{instance="a",job="j",revision="r"}': "1",
}


@pytest.mark.parametrize(
    ("expr", "label", "expected"),
    [
        ("info(m)", "version", {"v1", ""}),
        ("info(m)", "own", {"1", ""}),
        ('info(m, {version=~".+"})', "version", {"v1"}),
        ('info(m, {version=~".*"})', "version", {"v1", ""}),
        ('info(m, {__name__="build_info"})', "revision", {"r", ""}),
        ('info(info(m, {}), {__name__="build_info", revision!=""})', "version", {"v1"}),
        ('info(m, {__name__=~".+_info", revision!=""})', "revision", {"r"}),
    ],
)
def test_info_brings_the_labels_of_info_series(values, expr, label, expected) -> None:
    assert set(values(label, INFO, expr)) == expected


@pytest.mark.parametrize(
    ("expr", "said"),
    [("limitk(x, y)", "limitk takes a scalar"), ('info(m, target_info{job="j"})', "takes label matchers")],
)
def test_what_the_parser_lets_through_is_refused(expr, said) -> None:
    with pytest.raises(ExpressionError, match=said):
        parse(expr)


def test_the_newer_of_two_info_series_counts_and_equal_ones_clash(values, ask) -> None:
    series = {
        'm{instance="a",job="j"}': "1 1 1",
        'target_info{instance="a",job="j",version="old"}': "1 _ _",
        'target_info{instance="a",job="j",version="new"}': "_ 1 _",
    }
    assert set(values("version", series, "info(m)", "20s")) == {"new"}
    series['target_info{instance="a",job="j",version="newest"}'] = "_ 1 _"
    with pytest.raises(EvaluationError, match="found duplicate series for info metric"):
        ask(series, "info(m)", "20s")


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("x * 2 or z * 2", [{"i": "a"}]),
        ("label_replace(rate(x[1m]), 'was', '$1', '__name__', '(.*)')", [{"i": "a", "was": "x"}]),
        ("sum by (__name__) (rate(x[1m]))", [{}]),
        ("sum by (__name__) (x)", [{"__name__": "x"}]),
        ("x == bool 2", [{"i": "a"}]),
        ("last_over_time(abs(x)[30s:10s])", [{"i": "a"}]),
        ("label_replace(abs(x), '__name__', 'y', '', '')", [{"__name__": "y", "i": "a"}]),
        ("topk(1, -x)", [{"i": "a"}]),
    ],
)
def test_names_may_go_at_the_end_of_a_query(expr, expected) -> None:
    store = Store()
    store.load(Loaded(10_000, [(split_metric(f'{name}{{i="a"}}')[0], values_of("1 2")) for name in ("x", "z")]))
    found = Question.compile(expr, delays_names=True).instant(store.filled(), 10_000)
    assert [dict(labels) for labels in answer_of_result(found).points] == expected


def test_info_series_that_disagree_are_an_error_that_names_the_label(ask) -> None:
    series = {
        **INFO,
        'build_info{instance="a",job="j",revision="r"}': "_",
        'build_info{instance="a",job="j",version="v2"}': "1",
    }
    with pytest.raises(EvaluationError, match="conflicting label: version"):
        ask(series, 'info(m, {__name__=~".+_info"})')
