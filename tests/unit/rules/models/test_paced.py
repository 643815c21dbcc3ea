"""Figures that are published at a pace of their own: fouling over weeks, the margin to the dew point."""

import pytest

from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.paced import CONDENSATION, FOULING

RULE = """
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Seen
        expr: {metric} > -1000
        labels: {{severity: info}}
        annotations: {{summary: s, description: "{{{{ $labels.asset }}}}"}}
"""


@pytest.fixture
def seen(bench, tmp_path):
    """What a model publishes after a run of series: labels and value."""

    def run(model, metric, times, series):
        b = bench(RULE.format(metric=metric))
        b.engine = Engine(load_rules([tmp_path]), models=[model])
        for at in times:
            b.at(at, series(at))
        assert b.engine.failures == {}
        return [(dict(alert.labels), alert.value) for _, alert in b.engine.alerts()]

    return run


def test_air_of_27_degrees_and_60_percent_condenses_at_18_6_degrees(seen) -> None:
    """Catalogue, C10."""
    series = {
        'cdu_supply_temperature_celsius{asset="cdu-1",zone="1"}': 20.6,
        'room_temperature_celsius{asset="room-1",zone="1"}': 27.0,
        'room_relative_humidity_ratio{asset="room-1",zone="1"}': 0.60,
    }
    ((labels, margin),) = seen(CONDENSATION, "condensation_margin_kelvin", [0], lambda _: series)
    assert labels["asset"] == "cdu-1"
    assert margin == pytest.approx(2.0, abs=0.05)


def test_a_measured_dew_point_counts_before_a_computed_one_and_the_worst_of_a_zone_counts(seen) -> None:
    series = {
        'cdu_supply_temperature_celsius{asset="cdu-1",zone="1"}': 20.0,
        'room_temperature_celsius{asset="room-1",zone="1"}': 27.0,
        'room_relative_humidity_ratio{asset="room-1",zone="1"}': 0.60,
        'room_dew_point_celsius{asset="room-1",zone="1"}': 12.0,
        'room_dew_point_celsius{asset="room-2",zone="1"}': 14.0,
        'room_dew_point_celsius{asset="room-3",zone="2"}': 19.0,
    }
    ((_, margin),) = seen(CONDENSATION, "condensation_margin_kelvin", [0], lambda _: series)
    assert margin == pytest.approx(6.0)


def gpu(at: int, watts: float) -> dict[str, float]:
    del at
    return {
        'fleet_cools{asset="r01",cdu="cdu-1",loop="l",rack="r01",zone="1"}': 1.0,
        'cdu_supply_temperature_celsius{asset="cdu-1",zone="1"}': 43.0,
        'DCGM_FI_DEV_GPU_TEMP{asset="n1",gpu="0",node="n1",rack="r01"}': 64.0,
        'DCGM_FI_DEV_POWER_USAGE{asset="n1",gpu="0",node="n1",rack="r01"}': watts,
    }


def test_a_loaded_gpu_has_the_thermal_resistance_of_its_cold_plate(seen) -> None:
    """21 K over 700 W: 0.03 K/W, as the catalogue's section 8 has it."""
    found = seen(
        FOULING, "gpu_thermal_resistance_kelvin_per_watt", range(0, 300_000, 10_000), lambda at: gpu(at, 700.0)
    )
    ((labels, resistance),) = found
    assert labels["asset"] == "n1"
    assert resistance == pytest.approx(0.03)


def test_a_gpu_that_was_idle_within_five_minutes_says_nothing_of_its_cold_plate(seen) -> None:
    idle = lambda at: gpu(at, 100.0 if at == 100_000 else 700.0)  # noqa: E731
    assert seen(FOULING, "gpu_thermal_resistance_kelvin_per_watt", range(0, 300_000, 10_000), idle) == []


def test_a_filter_is_judged_at_one_flow_whatever_flows(seen) -> None:
    metric = "cdu_filter_reference_pressure_difference_pascals"
    series = {
        'cdu_filter_pressure_difference_pascals{asset="cdu-1"}': 10_000.0,
        'cdu_flow_liters_per_minute{asset="cdu-1"}': 500.0,
    }
    ((_, pascals),) = seen(FOULING, metric, [0], lambda _: series)
    assert pascals == pytest.approx(40_000.0)
