"""Figures that are published at a pace of their own: the margin to the dew point."""

import pytest

from rules.engine import Engine
from rules.files.load import load_rules
from rules.models.paced import CONDENSATION

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
