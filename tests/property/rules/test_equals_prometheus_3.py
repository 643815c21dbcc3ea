"""Every expression means what Prometheus 3 says it means."""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("HALLKEEPER_PROMQL_EXAMPLES", "40"))
QUERIES = 10


def test_random_expressions_over_random_telemetry_equal_prometheus_3(oracle, kit) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=EXAMPLES <= 40,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, Phase.shrink)
        if "SHRINK" in os.environ
        else (Phase.explicit, Phase.generate),
    )
    @given(
        queries=st.lists(kit["vectors"](), min_size=QUERIES, max_size=QUERIES),
        seed=st.integers(0, 2**32 - 1),
        on_edge=st.booleans(),
    )
    def check(queries, seed, on_edge) -> None:
        deliveries = kit["telemetry"](seed)
        start = kit["START_MS"]
        shift = 0 if on_edge else seed % 997
        times = [start + shift + step * 1_000 for step in (60, 125, 190, 300, 395)]
        mine = kit["ours"](deliveries, queries, times, seed)
        theirs = oracle.ask(kit["question"](deliveries), queries, times)
        for at, got, expected in zip(times, mine, theirs, strict=True):
            for expr, a, b in zip(queries, got, expected, strict=True):
                difference = kit["differences"](expr, a, b)
                assert difference is None, f"at {at - start}: {difference}"

    check()


pytestmark = pytest.mark.timeout(600)
