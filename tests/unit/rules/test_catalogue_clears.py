"""What the sidecars of cooling, jobs and schedulers add: alerts end at their clear threshold and not before, gaps are held,
and defaults in rules are those of the table of thresholds."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bus.frames import FrameWriter, SeriesLayout
from fleet.thresholds import THRESHOLDS
from fleet.thresholds.cooling import COOLING
from fleet.thresholds.jobs import JOBS
from rules.engine import Engine

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"
AREAS = ("cooling", "coolant", "heat", "air", "jobs", "schedulers", "platform", "trust")
DEFAULT = re.compile(r'fleet_threshold\{name="(\w+)"\}\) or vector\(([\d.]+)\)')


@pytest.mark.parametrize("area", AREAS)
def test_a_default_in_a_rule_is_the_default_of_the_table(area: str) -> None:
    texts = [path.read_text() for path in CATALOGUE.glob(f"{area}*.yaml")]
    assert all(text.count("fleet_threshold") == len(DEFAULT.findall(text)) for text in texts)
    for name, default in [found for text in texts for found in DEFAULT.findall(text)]:
        assert float(default) == THRESHOLDS[name].default, name


def test_every_threshold_of_cooling_and_jobs_is_read_by_a_rule() -> None:
    text = "".join(path.read_text() for area in AREAS for path in CATALOGUE.glob(f"{area}*.yaml"))
    read = {name for name, _ in DEFAULT.findall(text)}
    assert {*COOLING, *JOBS} == read


Value = float | Callable[[int], float]
"""At a time in milliseconds."""


@dataclass(frozen=True)
class Clearing:
    """One alert through four phases: what makes it fire, what is not yet healthy, what is, and how long that must last."""

    area: str
    alert: str
    hot: Mapping[str, Value]
    between: Mapping[str, Value]
    cool: Mapping[str, Value]
    clear_seconds: int
    hot_seconds: int = 60
    between_seconds: int = 60
    step_seconds: int = 1
    always: Mapping[str, Value] = field(default_factory=dict)
    before: Sequence[tuple[int, Mapping[str, Value]]] = ()

    @property
    def phases(self) -> list[tuple[int, Mapping[str, Value]]]:
        return [
            *self.before,
            (self.hot_seconds, self.hot),
            (self.between_seconds, self.between),
            (self.clear_seconds + 2 * self.step_seconds, self.cool),
        ]


def key(series: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    name, _, inside = series.partition("{")
    return name, tuple(sorted(re.findall(r'(\w+)="([^"]*)"', inside)))


class Run:
    """An engine over one rule file in virtual time."""

    def __init__(self, area: str, alert: str) -> None:
        self.engine = Engine([CATALOGUE / f"{area}.yaml"], models=())
        self._groups = [uid for uid, group in self.engine.groups.items() if alert in {r.rule.name for r in group.rules}]
        self._writer = FrameWriter(1)

    def at(self, at_ms: int, series: Mapping[str, Value]) -> list[tuple[str, str]]:
        """One step; the alerts that changed, with their state."""
        values = {key(name): value(at_ms) if callable(value) else value for name, value in series.items()}
        for number, (one, value) in enumerate(values.items()):
            layout = SeriesLayout.of([one])
            packed = _array(value)
            for message in self._writer.messages(f"s/{number}/{one[0]}", 1, layout, at_ms, packed):
                self.engine.append_frame(message.value)
        changed = [(each.alertname, str(each.state)) for each in self.engine.evaluate(at_ms, self._groups)]
        assert self.engine.failures == {}
        return changed

    def firing(self, alert: str) -> int:
        return sum(
            1 for _, each in self.engine.alerts() if each.labels["alertname"] == alert and str(each.state) == "firing"
        )


def _array(value: float) -> npt.NDArray[np.float64]:
    return np.array([value])


CDU = 'asset="cdu-1",job="modbus",zone="1"'
COOLS = {'fleet_cools{asset="r01",cdu="cdu-1",loop="l",rack="r01",zone="1"}': 1.0, 'pdu_outlet_power_watts{asset="p1",outlet="1",rack="r01"}': 50_000.0}  # fmt: skip
FLOW = f"cdu_flow_liters_per_minute{{{CDU}}}"
PUMP = f'cdu_pump_speed_rpm{{{CDU},pump="1"}}'
SUPPLY, RETURN = f"cdu_supply_temperature_celsius{{{CDU}}}", f"cdu_return_temperature_celsius{{{CDU}}}"
WET = f'cdu_leak_detected{{{CDU},detector="1"}}', f'cdu_leak_detected{{{CDU},detector="2"}}'
PRESSURE, LEVEL = f"cdu_supply_pressure_pascals{{{CDU}}}", f"cdu_reservoir_level_ratio{{{CDU}}}"
FILTER = f"cdu_filter_pressure_difference_pascals{{{CDU}}}"
POSITION, COMMAND = f"cdu_valve_position_ratio{{{CDU}}}", f"cdu_valve_command_ratio{{{CDU}}}"
PRIMARY = f"cdu_primary_supply_temperature_celsius{{{CDU}}}"
WATER, WARM_WATER = f"cdu_primary_flow_liters_per_minute{{{CDU}}}", f"cdu_primary_return_temperature_celsius{{{CDU}}}"
MARGIN = f"condensation_margin_kelvin{{{CDU}}}"
AIR = 'crac_supply_temperature_celsius{asset="crac-1",zone="1"}'
RESISTANCE = 'gpu_thermal_resistance_kelvin_per_watt{asset="n1",gpu="0",node="n1",rack="r01"}'
RESTARTS = 'kube_pod_container_status_restarts_total{container="m",namespace="t",node="n1",pod="a-0"}'
JOB_RESTARTS = 'job_restarts_total{job_id="a"}'
AGE, EVERY = 'agent_checkpoint_age_seconds{job_id="a",node="n1"}', 'job_checkpoint_interval_seconds{job_id="a"}'


def one(area: str, alert: str, series: str, values: tuple[float, float, float], clear: int, **more: object) -> Clearing:
    """An alert on one series."""
    hot, between, cool = ({series: value} for value in values)
    return Clearing(area, alert, hot, between, cool, clear, **more)  # type: ignore[arg-type]


CLEARINGS = [
    one("cooling", "CduFlowLow", FLOW, (40.0, 57.0, 59.5), 60, always=COOLS),
    one("cooling", "CoolantFlowLost", FLOW, (10.0, 57.0, 59.5), 60, always=COOLS | {PUMP: 0.0}),
    one("cooling", "CduPumpStopped", PUMP, (0.0, 400.0, 600.0), 5),
    one("cooling", "CoolantSupplyHot", SUPPLY, (49.0, 46.5, 45.5), 300, step_seconds=5),
    one("cooling", "CoolantSupplyTooHot", SUPPLY, (53.0, 50.5, 49.5), 300, step_seconds=5),
    one("cooling", "CoolantDeltaTooHigh", RETURN, (61.0, 58.5, 57.5), 60, always={SUPPLY: 40.0}),
    Clearing(
        "cooling",
        "CoolantLeakConfirmed",
        {WET[0]: 1.0, WET[1]: 1.0},
        {WET[0]: 1.0, WET[1]: 0.0},
        {WET[0]: 0.0, WET[1]: 0.0},
        300,
        step_seconds=5,
    ),
    one("coolant", "CoolantSupplyWarm", SUPPLY, (45.5, 43.5, 42.5), 300, step_seconds=5),
    one("coolant", "CoolantDeltaHigh", RETURN, (55.5, 53.5, 52.5), 60, step_seconds=5, always={SUPPLY: 40.0}),
    one(
        "coolant",
        "CoolantBypass",
        RETURN,
        (45.0, 46.5, 47.5),
        300,
        step_seconds=10,
        hot_seconds=320,
        always=COOLS | {SUPPLY: 40.0, 'fleet_rack_power_limit_watts{asset="r01",rack="r01"}': 60_000.0},
    ),
    one("coolant", "CoolantFlowReduced", FLOW, (54.0, 58.0, 59.5), 60, step_seconds=5, always=COOLS),
    one(
        "coolant",
        "RackFlowLow",
        'rack_flow_liters_per_minute{asset="r01",rack="r01"}',
        (40.0, 58.0, 59.5),
        60,
        step_seconds=5,
        always=COOLS,
    ),
    one("coolant", "ValveOffCommand", POSITION, (0.4, 0.46, 0.48), 10, step_seconds=5, always={COMMAND: 0.5}),
    one(
        "coolant",
        "LoopPressureFalling",
        PRESSURE,
        (330e3, 380e3, 399e3),
        300,
        step_seconds=5,
        hot_seconds=20,
        between_seconds=20,
        before=[(30, {PRESSURE: 400e3})],
    ),
    one("coolant", "LoopPressureHigh", PRESSURE, (545e3, 520e3, 505e3), 60, step_seconds=5),
    one("coolant", "ReservoirLow", LEVEL, (0.28, 0.33, 0.36), 60, step_seconds=5),
    one("coolant", "FilterClogged", FILTER, (81e3, 60e3, 49e3), 600, step_seconds=60, hot_seconds=720),
    one("coolant", "FacilityWaterHot", PRIMARY, (38.5, 37.5, 36.5), 300, step_seconds=15, hot_seconds=330),
    Clearing(
        "coolant",
        "FacilityWaterFlowLow",
        {WATER: 250.0, WARM_WATER: 46.0},
        {WATER: 340.0, WARM_WATER: 42.0},
        {WATER: 380.0, WARM_WATER: 40.0},
        60,
        hot_seconds=90,
        step_seconds=15,
        always={PRIMARY: 30.0},
        before=[(600, {WATER: 400.0, WARM_WATER: 40.0})],
    ),
    one(
        "coolant",
        "WetBulbHigh",
        'weather_wet_bulb_celsius{horizon="now"}',
        (26.5, 25.5, 24.5),
        1_800,
        step_seconds=60,
        hot_seconds=960,
    ),
    one(
        "heat",
        "GpuThermalResistanceRisen",
        RESISTANCE,
        (0.037, 0.0345, 0.0325),
        1_800,
        step_seconds=60,
        hot_seconds=2_400,
        between_seconds=600,
        always={RESISTANCE.replace("resistance", "resistance_baseline"): 0.03},
    ),
    one("air", "CondensationMarginLow", MARGIN, (2.5, 3.3, 3.6), 300, step_seconds=5, hot_seconds=90),
    one("air", "CondensationMarginVeryLow", MARGIN, (1.5, 2.5, 3.1), 300, step_seconds=5, hot_seconds=90),
    one("air", "Condensation", MARGIN, (-0.5, 0.5, 1.5), 300, step_seconds=5),
    one("air", "CracSupplyWarm", AIR, (28.0, 26.0, 24.5), 300, step_seconds=10, hot_seconds=330),
    one("air", "CracSupplyHot", AIR, (33.0, 31.0, 29.5), 300, step_seconds=10, hot_seconds=330),
    one(
        "schedulers",
        "SlurmHealthCheckFailed",
        'slurm_node_health_check{asset="n1",node="n1"}',
        (0.0, 0.0, 1.0),
        300,
        step_seconds=10,
    ),
    one(
        "schedulers",
        "PodCrashLooping",
        RESTARTS,
        (3.0, 3.0, 3.0),
        600,
        step_seconds=15,
        between_seconds=450,
        before=[(60, {RESTARTS: 0.0})],
    ),
    one(
        "jobs",
        "JobRestartLoop",
        JOB_RESTARTS,
        (3.0, 3.0, 3.0),
        1_800,
        step_seconds=60,
        between_seconds=1_200,
        before=[(60, {JOB_RESTARTS: 0.0})],
    ),
    one("jobs", "CheckpointOld", AGE, (1_300.0, 900.0, 500.0), 0, step_seconds=15, always={EVERY: 600.0}),
    one("jobs", "SpareNodesNone", 'fleet_spare_nodes_count{group="rail-1"}', (0.0, 0.0, 1.0), 60, step_seconds=15),
]


@pytest.mark.parametrize("case", CLEARINGS, ids=lambda case: case.alert)
def test_an_alert_ends_when_its_clear_threshold_has_held_and_not_before(case: Clearing) -> None:
    run = Run(case.area, case.alert)
    now, counts, ended = 0, [], 0
    for seconds, series in case.phases:
        began = now
        while now < began + seconds * 1_000:
            if (case.alert, "resolved") in run.at(now, {**case.always, **series}):
                ended = now
            now += case.step_seconds * 1_000
        counts.append(run.firing(case.alert))
    assert counts[-3:] == [1, 1, 0], "fires, stays in between, ends"
    healthy_since = now - (case.clear_seconds + 2 * case.step_seconds) * 1_000
    if case.alert not in {"PodCrashLooping", "JobRestartLoop"}:  # their health is a range that empties
        assert ended >= healthy_since + case.clear_seconds * 1_000


def test_every_clear_threshold_of_these_areas_is_shown_to_hold() -> None:
    rules = [
        rule.rule
        for area in AREAS
        for group in Engine([CATALOGUE / f"{area}.yaml"], models=()).groups.values()
        for rule in group.alerting
    ]
    assert {rule.name for rule in rules if rule.sidecar.clear} == {case.alert for case in CLEARINGS}
    assert all(rule.catalogue for rule in rules)


def test_a_hot_loop_whose_cdu_falls_silent_stays_hot_and_ends_as_unknown() -> None:
    run = Run("cooling", "CoolantSupplyHot")
    for now in range(0, 20_000, 1_000):
        run.at(now, {SUPPLY: 49.0})
    assert run.firing("CoolantSupplyHot") == 1
    changes = [(now, state) for now in range(20_000, 700_000, 5_000) for _, state in run.at(now, {})]
    assert [state for _, state in changes] == ["unknown"]
    silent = changes[0][0] - 19_000
    assert 590_000 <= silent <= 610_000, "five minutes of lookback, and five that its sidecar holds"


def test_a_hot_supply_is_told_while_the_bus_lags_too() -> None:
    """What its rule leaves out is the engine's own word, which does not fall silent with the bus."""
    rules = {rule.rule.name: rule for rule in Engine([CATALOGUE / "cooling.yaml"]).groups["cooling.yaml/loop"].alerting}
    assert not any(rule.reads_silence for rule in rules.values())
