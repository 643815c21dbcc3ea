"""Where releases agree, Debian's Prometheus 2.42 says the same over HTTP."""

import math
import os
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.oracle.answers import Answer, difference, names_in
from tests.oracle.campaign import Round
from tests.oracle.expressions import Writer
from tests.oracle.server import serving
from tests.oracle.telemetry import START_MS, largest_values, stored

QUERIES = int(os.environ.get("HALLKEEPER_PROMQL_2_QUERIES", "250"))
SEED = int(os.environ.get("HALLKEEPER_PROMQL_2_SEED", "11"))
LATER = re.compile(
    r"limitk|limit_ratio|info\(|mad_over_time|ts_of_|first_over_time|double_exponential|histogram_|sort_by_label|max_of|min_of"
    r"|fill|\b(?:start|end|range|step)\(\)(?<!@ start\(\))(?<!@ end\(\))|integral|\"a\.b\"|odd|without \(\)|__type__"
)
"""What came after 2.42, or changed since: docs/reference/promql.md names the differences."""
CHANGED = re.compile(
    r"huge|atan2|NaN|Inf|when|topk|bottomk|stddev|stdvar|label_replace|label_join|count_values|predict_linear|deriv|on \(__name__\)|day_of_year"
    r"|absent_over_time|__name__|\b(?:rate|increase)\((?:m|w|u|up|huge)\b"
)
NESTED = re.compile(r"\[[^\]]*\].*\[\w+:|\[\w+:.*\[")
"""Ranges within subqueries end on multiples of the step, where samples lie on the edge that 3.x moved."""


def plain(seed: int) -> Round:
    """A round without stale markers and odd values, asked off every edge."""
    found = Round(seed)
    kept = []
    for delivery in found.found:
        values = {
            key: value
            for key, value in delivery.values.items()
            if value is not None and math.isfinite(value) and key not in delivery.bad and key[0] not in {"odd", "huge"}
        }
        kept.append(replace(delivery, values=values, bad=frozenset()))
    found.found = [delivery for delivery in kept if delivery.values]
    found.series, found.largest = stored(found.found), largest_values(found.found)
    found.whole, found.stepped, found.delays_names = True, False, False
    found.times = [START_MS + 190_000 + 337]
    writer = Writer(random.Random(seed), future=True, first_ms=found.times[0])
    found.expressions = []
    while len(found.expressions) < QUERIES:
        expression = writer.any()
        text = str(expression)
        if not LATER.search(text) and not CHANGED.search(text) and not NESTED.search(text) and " @ " not in text:
            found.expressions.append(expression)
    return found


@pytest.mark.peer("prometheus")
@pytest.mark.peer("promtool")
@pytest.mark.timeout(300)
def test_random_expressions_equal_prometheus_2_over_http(tmp_path: Path) -> None:
    found = plain(SEED)
    with serving(found.series, tmp_path) as server:
        theirs = [[server.ask(each) for each in found.questions(str(one))] for one in found.expressions]
    failures, told = [], 0
    for expression, mine, expected in zip(found.expressions, found.ours(found.expressions), theirs, strict=True):
        said = _difference(str(expression), mine[0], expected[0], found)
        told += bool(expected[0].points)
        if said is not None:
            failures.append(f"{expression}\n  {said}")
    assert not failures, "\n".join(failures)
    assert told > QUERIES / 3, "most questions were about nothing"


def _difference(text: str, mine: Answer, theirs: Answer, found: Round) -> str | None:
    if mine.error_class in {"many-to-one matching must be explicit", "grouping labels must ensure unique matches"}:
        return None  # 2.42 looks for such clashes among what a comparison lets through, 3.x before that
    largest = max((found.largest.get(name, 0.0) for name in names_in(text)), default=0.0)
    if re.search(r"\btime|{node=", text):
        largest = max([*found.largest.values(), START_MS / 1000])
    return difference(mine, theirs, largest, same_class=False)
