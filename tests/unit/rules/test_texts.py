"""Regular expressions, odd spellings and numbers as Prometheus reads and writes them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.promql import floats
from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.regex import UnsupportedPattern, compiled
from rules.promql.selecting import plain_number
from rules.templates import QueriedSample, Surroundings, Template, TemplateError


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a|b", "ab", False),
        (".*", "a\nb", True),
        ("a$", "a\n", False),
        (r"\d+", "٣", False),
        (r"\s", "\v", False),
        (r"[[:alpha:]_-]+", "a_-b", True),
        ("x{,3}", "x{,3}", True),
        ("a{2,3}", "aaaa", False),
        (r"\Qa.b\E+", "a.bbb", True),
        ("[a&&b]+", "&a", True),
        ("[]a]+", "]a", True),
        (r"[\d.]+", "1.5", True),
        (r"[^\n]+", "ab", True),
        ("(?i)AbC", "aBc", True),
        ("a(?i:B)c", "abc", True),
        ("(?i)a|b", "B", True),
        ("x(?i)a|b", "B", True),
        ("((?i)a)b", "Ab", True),
        ("((?i)a)b", "AB", False),
        ("a(?i)b(?-i)c", "aBC", False),
        ("(?P<x>a)(?<y>b)", "ab", True),
        (r"\x41\x{1F600}", "A😀", True),
        (r"a\/b\-c", "a/b-c", True),
        ("a*?b", "aab", True),
        ("", "", True),
        ("é+", "éé", True),
    ],
)
def test_patterns_match_as_re2_does(pattern: str, text: str, matches: bool) -> None:
    assert (compiled(pattern).fullmatch(text) is not None) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?<!a)b",
        r"(a)\1",
        "a**",
        "a*+",
        "(?>a)",
        "(a",
        "a)",
        "[a",
        "*a",
        r"\pL",
        r"\u0041",
        "(?#x)",
        "(?(1)a)",
        "a{1001}",
        "\\",
        "(?i)é",
        "[z-a]",
        "(?m)^a",
    ],
)
def test_what_re2_and_python_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedPattern):
        compiled(pattern)


@given(st.text(max_size=12))
def test_no_pattern_crashes_the_translation(pattern: str) -> None:
    try:
        compiled(pattern)
    except UnsupportedPattern as error:
        assert str(error).startswith("regular expression")


@given(st.text(alphabet="sumrate(x){}[]=~\"'`ab,1m +-*/><on by#\n\\", max_size=30))
def test_no_text_crashes_the_parser(expr: str) -> None:
    try:
        parse(expr)
    except ExpressionError as error:
        assert str(error)


def test_raw_strings_and_underscores_mean_what_they_mean_in_prometheus() -> None:
    assert parse('x{a=~`\\d+"`} > 1_000') == parse('x{a=~"\\\\d+\\""} > 1000')
    assert parse("x{a='`'}") == parse('x{a="`"}')


@pytest.mark.parametrize(
    ("expr", "plain"),
    [
        ("x offset 0s", "x"),
        ("sum(x offset -0m)", "sum(x)"),
        ("x + 0m", "x + 0"),
        ("offset offset 5m", "offset offset 300s"),
        ('info(x, {a="b"})', 'info(x, {a="b",})'),
        ("x{a='it\\'s'} # 'comment\n > 1", 'x{a="it\'s"} > 1'),
    ],
)
def test_odd_spellings_mean_what_plain_ones_do(expr: str, plain: str) -> None:
    assert parse(expr) == parse(plain)


@pytest.mark.parametrize("expr", ["x[0m]", "x[5m:0s]", "x offset", "info(x, y{a='b'})"])
def test_nothing_is_no_range(expr: str) -> None:
    with pytest.raises(ExpressionError):
        parse(expr)


@pytest.mark.parametrize(
    ("expr", "where"),
    [
        ("x and histogram_count(y)", "1:7"),
        ("1 +\n  histogram_avg(x)", "2:3"),
        ("m + x @ -5", "1:7"),
        ('x{a=~"(?=b)"}', ""),
    ],
)
def test_a_refusal_says_where(expr: str, where: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(expr)
    assert caught.value.where == where


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (0.1, "0.1"),
        (-0.0, "-0"),
        (math.nan, "NaN"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (123456789.25, "123456789.25"),
    ],
)
def test_count_values_writes_numbers_as_go_does(value: float, text: str) -> None:
    assert plain_number(value) == text


def kahan(values: list[float]) -> float:
    sum_, lost = 0.0, 0.0
    for value in values:
        sum_, lost = floats.increment(value, sum_, lost)
    return sum_ if math.isinf(sum_) else sum_ + lost


@given(st.lists(st.lists(st.floats(-1e300, 1e300), min_size=5, max_size=5), min_size=1, max_size=9), st.booleans())
def test_sums_down_columns_have_the_bits_of_the_scalar_loop(rows: list[list[float]], alone: bool) -> None:
    terms = np.array(rows)[:, :1] if alone else np.array(rows)
    expected = [kahan(column) for column in terms.T.tolist()]
    assert floats.total(terms).tolist() == expected


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=2, max_size=30))
def test_means_survive_sums_that_overflow(values: list[float]) -> None:
    with np.errstate(all="ignore"):
        (mean,) = floats.mean(np.array(values)[:, None], np.array([float(len(values))])).tolist()
    low, high = min(values), max(values)
    assert low - abs(low) * 1e-9 <= mean <= high + abs(high) * 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Labels.x ",
        "{{ if }}x{{ end }}",
        "{{ if true }}x",
        "{{ end }}",
        "{{ else }}",
        "{{ foo }}",
        "{{ $labels.a b }}",
        '{{ "a }}',
        "{{ 1 | 2 }}",
        "{{ ( }}",
        "{{ | humanize }}",
        '{{ define "x" }}',
        "{{ $y := }}",
        "{{ }}",
    ],
)
def test_templates_that_go_would_refuse_are_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        Template.parse(text)


@given(st.text(alphabet='{}.$labevu|()"` -ifndprt%5x', max_size=40), st.floats())
def test_no_template_crashes(text: str, value: float) -> None:
    try:
        template = Template.parse(text)
    except TemplateError:
        return
    assert isinstance(template.expand({"a": "b"}, value), str)


AROUND = Surroundings(
    external_labels={"site": "hall"},
    external_url="http://h.example/base",
    query=lambda text: [QueriedSample(labels={"q": text}, value=2.0)],
    at_seconds=12.5,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{{ externalURL }}|{{ $externalURL }}|{{ pathPrefix }}|{{ now }}", "http://h.example/base|http://h.example/base|/base|12.5"),
        ("{{ with $labels.none }}a{{ else with $labels.a }}{{ . }}{{ end }}", "1"),
        ("{{ urlQueryEscape `a b&c` }}", "a+b%26c"),
        ("{{ $externalLabels.site }}{{ with query `up` }}{{ (first .).Labels.q }}{{ (first .).Value }}{{ end }}", "hallup2"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ parseDuration `-5m` }}", "-300"),
        ("{{ stripDomain `a.example.org:80` }} {{ stripDomain `10.0.0.1:80` }} {{ stripDomain `a.b` }}", "a:80 10.0.0.1:80 a"),
    ],
)  # fmt: skip
def test_templates_see_their_surroundings(text: str, written: str) -> None:
    assert Template.parse(text).expand({"a": "1"}, 1.0, AROUND) == written


@pytest.mark.parametrize(
    "text",
    [
        "{{ query `x` | first | label }}", "{{ first 5 }}", "{{ range $value }}{{ end }}", "{{ slice `abc` 2 9 }}",
        "{{ index (query `x`) 7 }}", "{{ value `x` }}", "{{ parseDuration `soon` }}", "{{ $labels.a.b }}",
        '{{ define "t" }}{{ template "t" }}{{ end }}{{ template "t" }}',
        "{{ range 2000000 }}xxxxxxxxxxxxxxxx{{ end }}",
    ],
)  # fmt: skip
def test_a_template_that_fails_says_so_in_its_text(text: str) -> None:
    assert Template.parse(text).expand({"a": "1"}, 1.0, AROUND).startswith("<error expanding template: ")


def test_literal_queries_are_known_before_a_template_is_expanded() -> None:
    text = '{{ with query "a" }}{{ range query `b` }}{{ (query (printf "c%s" .)) }}{{ "d" | query | first }}{{ end }}{{ end }}'
    assert set(Template.parse(text).queries) == {"a", "b", "d"}
