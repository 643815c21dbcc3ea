"""Prometheus's own test scripts pass on our engine, read where Go keeps them."""

import pytest

from tests.oracle import conformance
from tests.oracle.conformance import Verdict
from tests.oracle.program import NoOracle, prometheus_sources


@pytest.mark.timeout(300)
def test_every_case_on_floats_and_classic_histograms_passes() -> None:
    try:
        folder = prometheus_sources() / conformance.SCRIPTS
    except NoOracle as error:
        pytest.skip(str(error))
    outcomes = conformance.run_all(folder)
    failed = [
        f"{each.case.where}: {each.case.expr}\n{each.said}" for each in outcomes if each.verdict is Verdict.FAILED
    ]
    assert failed == []
    assert sum(each.verdict is Verdict.PASSED for each in outcomes) >= 1485
