"""What grows over weeks, beside what it was: cold plates and filters."""

import pytest

from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.fouling import LEARNT_MINUTES, Fouling

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
        block, board = b.engine.window.blocks.get(metric), b.engine.window.board
        rows = [] if block is None else [row for row in range(block.size) if not board.dead[block.start + row]]
        return [(block.labels.row(row), float(board.current[block.start + row])) for row in rows]

    return run


SUPPLY = 'cdu_supply_temperature_celsius{asset="cdu-1",zone="1"}'


def gpu(at: int, watts: float) -> dict[str, float]:
    del at
    return {
        'fleet_cools{asset="r01",cdu="cdu-1",loop="l",rack="r01",zone="1"}': 1.0,
        SUPPLY: 43.0,
        'DCGM_FI_DEV_GPU_TEMP{asset="n1",gpu="0",node="n1",rack="r01"}': 64.0,
        'DCGM_FI_DEV_POWER_USAGE{asset="n1",gpu="0",node="n1",rack="r01"}': watts,
    }


def test_a_loaded_gpu_has_the_thermal_resistance_of_its_cold_plate(seen) -> None:
    """21 K over 700 W: 0.03 K/W, as the catalogue's section 8 has it."""
    found = seen(
        Fouling(), "gpu_thermal_resistance_kelvin_per_watt", range(0, 300_000, 10_000), lambda at: gpu(at, 700.0)
    )
    ((labels, resistance),) = found
    assert labels["asset"] == "n1"
    assert resistance == pytest.approx(0.03)


def test_a_gpu_that_was_idle_within_five_minutes_says_nothing_of_its_cold_plate(seen) -> None:
    idle = lambda at: gpu(at, 100.0 if at == 100_000 else 700.0)  # noqa: E731
    assert seen(Fouling(), "gpu_thermal_resistance_kelvin_per_watt", range(0, 300_000, 10_000), idle) == []


def test_a_filter_is_judged_at_one_flow_whatever_flows(seen) -> None:
    metric = "cdu_filter_reference_pressure_difference_pascals"
    series = {
        'cdu_filter_pressure_difference_pascals{asset="cdu-1"}': 10_000.0,
        'cdu_flow_liters_per_minute{asset="cdu-1"}': 500.0,
    }
    ((_, pascals),) = seen(Fouling(), metric, [0], lambda _: series)
    assert pascals == pytest.approx(40_000.0)


BASELINE = "gpu_thermal_resistance_baseline_kelvin_per_watt"


def test_what_a_gpu_was_is_known_after_an_hour_of_load_and_follows_over_a_week(seen) -> None:
    hour = int(LEARNT_MINUTES) * 60_000
    assert seen(Fouling(), BASELINE, range(0, hour - 60_000, 60_000), lambda at: gpu(at, 700.0)) == []
    fouled = lambda at: gpu(at, 700.0) | ({} if at < 2 * hour else {SUPPLY: 36.0})  # noqa: E731
    ((_, before),) = seen(Fouling(), BASELINE, range(0, 2 * hour + 600_000, 60_000), fouled)
    assert 0.030 < before < 0.0325, "ten fouled minutes move a mean of two hours by little"


def test_a_filter_was_clean_where_its_pressure_was_lowest(seen) -> None:
    series = lambda at: {  # noqa: E731
        'cdu_filter_pressure_difference_pascals{asset="cdu-1"}': 10_000.0 if at < 600_000 else 40_000.0,
        'cdu_flow_liters_per_minute{asset="cdu-1"}': 1_000.0,
    }
    metric = "cdu_filter_clean_pressure_difference_pascals"
    ((_, clean),) = seen(Fouling(), metric, range(0, 1_800_000, 60_000), series)
    assert clean == pytest.approx(10_000.0, rel=0.001)
