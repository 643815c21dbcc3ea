"""Every expression means what Prometheus 3 says it means: the same results, the same errors."""

import os

import pytest

from tests.oracle import campaign, mutation
from tests.oracle.program import Oracle

QUERIES = int(os.environ.get("HALLKEEPER_PROMQL_QUERIES", "1500"))
SEED = int(os.environ.get("HALLKEEPER_PROMQL_SEED", "1"))
MUTATIONS = int(os.environ.get("HALLKEEPER_PROMQL_MUTATIONS", "1500"))
SECONDS = 75.0
"""After which no new round begins, unless a number of queries is asked for."""


@pytest.mark.timeout(3600)
def test_random_expressions_over_random_telemetry_equal_prometheus_3(oracle: Oracle) -> None:
    seconds = None if "HALLKEEPER_PROMQL_QUERIES" in os.environ else SECONDS
    tally = campaign.run(oracle, QUERIES, SEED, seconds)
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.queries >= min(QUERIES, 100)
    assert tally.empty < tally.answers * 0.5, "most questions were about nothing"
    assert len(tally.errors) >= 5, "errors were hardly asked for"


def test_spoilt_expressions_are_refused_where_prometheus_refuses_them(oracle: Oracle) -> None:
    found, taken = mutation.differences(oracle, MUTATIONS, SEED)
    assert not found, "\n".join(found)
    assert taken > MUTATIONS / 20
