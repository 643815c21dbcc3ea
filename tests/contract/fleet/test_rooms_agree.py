"""What fleet says and what the other rooms do with it must be the same words."""

import pytest

from devices.profiles import PROFILES
from devices.profiles.profile import SIGNAL_SECONDS
from fleet.endpoints import PROFILES as KNOWN
from fleet.metrics import METRICS
from fleet.settings import Intervals

NEVER_POLLED = {"slurm"}
"""Commanded, and read for looks and proofs alone: it has no points."""


def test_the_loader_knows_the_families_that_devices_speak() -> None:
    assert set(PROFILES) | NEVER_POLLED == KNOWN
    assert not set(PROFILES) & NEVER_POLLED


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_every_point_of_a_family_is_a_known_metric(name: str) -> None:
    points = {point.metric for table in PROFILES[name].tables for point in table.points}
    assert points <= set(METRICS), points - set(METRICS)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_no_family_says_more_than_its_metric_can_be(name: str) -> None:
    """A family's own range may be narrower than the register's, never wider."""
    for table in PROFILES[name].tables:
        for point in table.points:
            metric = METRICS[point.metric]
            assert point.low is None or point.low >= metric.low, point.metric
            assert point.high is None or point.high <= metric.high, point.metric


def test_every_signal_that_is_polled_has_an_interval_in_the_settings() -> None:
    intervals = Intervals().model_dump()
    assert {signal: intervals.get(signal) for signal in SIGNAL_SECONDS} == dict(SIGNAL_SECONDS)
