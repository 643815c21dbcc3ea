"""The models of power in the engine: heat that outlives the process, swings of a waveform."""

import math

import pytest

from bus.frames import FrameWriter
from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.power import BreakerHeat, FeederOscillation

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Seen
        expr: {metric} {condition}
        labels: {{severity: info}}
        annotations: {{summary: s, description: "{{{{ $value }}}}"}}
"""
CURRENT = 'pdu_phase_current_amperes{asset="p1",phase="1",rack="r01"}'
RATED = 'fleet_pdu_phase_rated_amperes{asset="p1",phase="1"}'


def load(ratio: float) -> dict[str, float]:
    return {CURRENT: 32.0 * ratio, RATED: 32.0}


def engine_of(bench, folder, model, metric: str, condition: str):
    b = bench(RULE.format(metric=metric, condition=condition))
    b.engine = Engine(load_rules([folder]), models=[model])
    return b


@pytest.fixture
def breaker(bench, tmp_path):
    return lambda: engine_of(bench, tmp_path, BreakerHeat(), "breaker_time_to_trip_seconds", "< 60")


def test_a_phase_at_110_percent_is_told_a_minute_before_its_breaker_trips(breaker) -> None:
    """126 s of heat over 0.21 a second are ten minutes; a minute before that is after nine."""
    b = breaker()
    fired = [at for at in range(0, 600_000, 1_000) for _ in b.at(at, load(1.1))]
    assert len(fired) == 1
    assert 538_000 <= fired[0] <= 542_000


def test_a_phase_at_its_rating_never_trips(breaker) -> None:
    b = breaker()
    assert [b.at(at, load(1.0)) for at in range(0, 60_000, 1_000)] == [[]] * 60
    assert b.engine.failures == {}


def test_heat_outlives_the_process_and_a_gap_counts_for_half_a_minute_at_most(breaker) -> None:
    b, again = breaker(), breaker()
    for at in range(0, 500_000, 1_000):
        b.at(at, load(1.1))
    again.writer = FrameWriter(9)
    again.engine.restore(b.engine.state(500_000), 3_000_000)
    fired = [at for at in range(3_000_000, 3_100_000, 1_000) for _ in again.at(at, load(1.1))]
    assert 3_005_000 <= fired[0] <= 3_015_000


def test_a_phase_whose_meter_is_lost_says_nothing_and_keeps_its_heat(breaker) -> None:
    b = breaker()
    for at in range(0, 530_000, 1_000):
        b.at(at, load(1.1))
    b.feed(530_000, load(1.1), quality=[2, 0])
    assert b.engine.evaluate(530_000) == []
    for at in range(531_000, 535_000, 1_000):
        b.feed(at, load(1.1), quality=[2, 0])
        b.engine.evaluate(at)
    fired = [at for at in range(535_000, 560_000, 1_000) for _ in b.at(at, load(1.1))]
    assert 540_000 <= fired[0] <= 548_000


@pytest.fixture
def feeder(bench, tmp_path):
    def run(samples_a_second: int, share: float, seconds: int):
        b = engine_of(bench, tmp_path, FeederOscillation(), "feeder_oscillation_ratio", "> 0.02")
        for number in range(seconds * samples_a_second):
            at = number * 1_000 // samples_a_second
            watts = 5e6 * (1.0 + share * math.sqrt(2.0) * math.sin(2.0 * math.pi * 0.4 * at / 1_000))
            b.feed(at, {'feeder_power_waveform_watts{asset="feed-a"}': watts})
        changes = b.engine.evaluate(seconds * 1_000)
        assert b.engine.failures == {}
        return [each.value for each in changes]

    return run


def test_a_feeder_that_swings_by_three_percent_at_0_4_hertz_is_seen(feeder) -> None:
    (value,) = feeder(100, 0.03, 70)
    assert value == pytest.approx(0.03, rel=0.05)


def test_a_feeder_that_swings_by_one_percent_is_not(feeder) -> None:
    assert feeder(50, 0.01, 70) == []


def test_a_meter_too_slow_for_the_band_says_nothing(feeder) -> None:
    assert feeder(10, 0.10, 70) == []
