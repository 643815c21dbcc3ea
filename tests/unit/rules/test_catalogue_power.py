"""What the sidecars of power, the plant, the site and Hallkeeper itself add: alerts end at their clear threshold and not
before, gaps are held, and defaults in rules are those of the table of thresholds."""

import re
from pathlib import Path

import pytest

from fleet.thresholds import THRESHOLDS
from fleet.thresholds.plant import PLANT
from fleet.thresholds.power import POWER
from fleet.thresholds.service import SERVICE
from rules.files.load import load_rules
from rules.files.model import AlertRule
from tests.unit.rules.test_catalogue_clears import Clearing, Run, one

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"
AREAS = (
    "power", "outlets", "feeders", "bess", "generators", "site", "emissions", "permit", "energy", "efficiency", "service",
)  # fmt: skip
FILES = [CATALOGUE / f"{area}{ending}" for area in AREAS for ending in (".yaml", ".hallkeeper.yaml")]
DEFAULT = re.compile(r'scalar\(max\(fleet_threshold\{name="(\w+)"\}\) or vector\(([\d.e-]+)\)\)')
BY_KIND = re.compile(r'fleet_threshold\{name=~"(.+?)"\}')
"""Thresholds that are joined by a label: a source of power, a pollutant."""
RULES = [
    rule
    for area in AREAS
    for group in load_rules([CATALOGUE / f"{area}.yaml"]).groups
    for rule in group.rules
    if isinstance(rule, AlertRule)
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_default_in_a_rule_is_the_default_of_the_table(path: Path) -> None:
    text = path.read_text()
    assert text.count("fleet_threshold") == len(DEFAULT.findall(text)) + len(BY_KIND.findall(text))
    for name, default in DEFAULT.findall(text):
        assert float(default) == THRESHOLDS[name].default, name


def test_every_threshold_of_power_and_of_hallkeeper_is_read_by_a_rule() -> None:
    text = "".join(path.read_text() for path in FILES)
    read = {name for name, _ in DEFAULT.findall(text)}
    read |= {name for kind in BY_KIND.findall(text) for name in THRESHOLDS if re.fullmatch(kind, name)}
    assert {*POWER, *PLANT, *SERVICE} == read


def test_every_file_stays_below_three_hundred_lines() -> None:
    assert [path.name for path in FILES if len(path.read_text().splitlines()) > 300] == []


def pdu(metric: str, **labels: str) -> str:
    return series(metric, job="snmp", asset="pdu-a", rack="r01", zone="1", **labels)


def series(metric: str, **labels: str) -> str:
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def plant(metric: str, asset: str, **labels: str) -> str:
    return series(metric, job="modbus", asset=asset, zone="1", **labels)


VOLTS = pdu("pdu_phase_voltage_volts", phase="1")
AMPERES = pdu("pdu_phase_current_amperes", phase="1")
RATED = {pdu("fleet_pdu_phase_rated_amperes", phase="1"): 50.0}
NOMINAL = {pdu("fleet_pdu_nominal_volts"): 230.0}
SISTER = {series("pdu_phase_current_amperes", job="snmp", asset="pdu-b", rack="r01", zone="1", phase="1"): 20.0}
FEEDS = {
    series("fleet_pdu_info", asset=f"pdu-{feed}", rack="r01", feed=feed): 1.0 for feed in ("a", "b")
} | {
    series("fleet_pdu_phase_rated_amperes", asset=f"pdu-{feed}", rack="r01", phase="1"): 50.0 for feed in ("a", "b")
}  # fmt: skip
PHASES = [pdu("pdu_phase_current_amperes", phase=phase) for phase in ("1", "2", "3")]
THREE = {pdu("fleet_pdu_phase_rated_amperes", phase=phase): 50.0 for phase in ("1", "2", "3")} | {
    PHASES[0]: 20.0,
    PHASES[1]: 20.0,
}
BUS = {plant("fleet_power_rated_watts", "bus-a", kind="busbar"): 1e6}
BUS_WATTS = plant("feeder_power_watts", "bus-a")
JOINTS = {plant("busbar_joint_temperature_celsius", "bus-a", joint=joint): 40.0 for joint in ("1", "2")}
JOINT = plant("busbar_joint_temperature_celsius", "bus-a", joint="3")
GRID = {plant("fleet_plant_info", "grid-1", kind="grid_supply"): 1.0}
GRID_VOLTS = plant("feeder_voltage_volts", "grid-1", phase="1")
HERTZ = plant("feeder_frequency_hertz", "grid-1")
SWING, PEAK = plant("feeder_oscillation_ratio", "grid-1"), plant("feeder_oscillation_peak_ratio", "grid-1")
BELOW = {
    series("fleet_power_feeds", asset="pdu-a", feeder="sub-a"): 1.0,
    pdu("pdu_input_power_watts"): 97_000.0,
}
BESS = {plant("fleet_plant_info", "bess-1", kind="bess"): 1.0, "site_power_watts": 1e7}
CHARGE = plant("bess_state_of_charge_ratio", "bess-1")
WARMEST, COOLEST = plant("bess_cell_temperature_max_celsius", "b"), plant("bess_cell_temperature_min_celsius", "b")
RUNS = {plant("generator_state", "gen-1"): 2.0}
LAG = 'hallkeeper_rules_lag_seconds{instance="a"}'


def polls(silent: int) -> dict[str, float]:
    """A hundred targets of which so many are silent."""
    return {f'up{{job="snmp",instance="{number}"}}': float(number >= silent) for number in range(100)}


CLEARINGS = [
    one("power", "PduPhaseOverload", AMPERES, (50.0, 46.0, 44.0), 0, always=RATED),
    one("power", "PduPhaseHigh", AMPERES, (41.0, 38.0, 37.0), 300, hot_seconds=90, step_seconds=5, always=RATED),
    one("power", "BreakerTripSoon", pdu("breaker_time_to_trip_seconds", phase="1"), (59.0, 1_700.0, 1_900.0), 0),
    one("power", "RackFeedIdle", AMPERES, (0.1, 0.9, 1.1), 10, always={VOLTS: 230.0} | SISTER),
    one("power", "PduVoltageOff", VOLTS, (206.0, 215.0, 220.0), 60, always=NOMINAL),
    one("power", "PduVoltageSag", VOLTS, (180.0, 205.0, 209.0), 10, always=NOMINAL),
    one("power", "RackOneFeedTooSmall", AMPERES, (20.5, 18.0, 17.0), 300, hot_seconds=330, step_seconds=10,
        always=FEEDS | SISTER),
    one("power", "PduPhaseImbalance", PHASES[2], (27.0, 25.0, 23.0), 300, hot_seconds=660, step_seconds=15, always=THREE),
    one("power", "PduPhaseImbalanceSevere", PHASES[2], (40.0, 33.0, 29.0), 300, hot_seconds=660, step_seconds=15,
        always=THREE),
    one("power", "RackPowerHigh", pdu("pdu_outlet_power_watts", outlet="1"), (48_000.0, 46_000.0, 44_000.0), 0,
        step_seconds=5, always={'fleet_rack_power_limit_watts{asset="r01",rack="r01"}': 50_000.0}),
    one("outlets", "PduWarm", pdu("pdu_temperature_celsius", probe="1"), (61.0, 56.0, 54.0), 300, hot_seconds=90,
        step_seconds=5),
    one("outlets", "PduHot", pdu("pdu_temperature_celsius", probe="1"), (71.0, 66.0, 64.0), 60, hot_seconds=90,
        step_seconds=5),
    one("feeders", "UtilityLost", GRID_VOLTS, (2.0, 40.0, 50.0), 60, always=GRID),
    one("feeders", "FeederOscillating", SWING, (0.021, 0.011, 0.009), 60),
    one("feeders", "FeederOscillatingHard", SWING, (0.051, 0.026, 0.024), 60),
    one("feeders", "FeederOscillatingAtOneFrequency", PEAK, (0.011, 0.006, 0.004), 60),
    one("feeders", "BusbarOverload", BUS_WATTS, (990e3, 910e3, 890e3), 120, always=BUS),
    one("feeders", "BusbarHigh", BUS_WATTS, (810e3, 760e3, 740e3), 300, hot_seconds=90, step_seconds=5, always=BUS),
    one("feeders", "BusbarJointHot", JOINT, (71.0, 61.0, 59.0), 600, hot_seconds=90, step_seconds=5, always=JOINTS),
    one("feeders", "MeterBalanceOff", plant("feeder_power_watts", "sub-a"), (101e3, 99.5e3, 98.5e3), 900,
        hot_seconds=960, step_seconds=15, always=BELOW),
    one("bess", "BessPowerShort", plant("bess_available_power_watts", "bess-1"), (10.9e6, 11.3e6, 11.6e6), 60,
        hot_seconds=90, step_seconds=5, always=BESS),
    one("bess", "RideThroughShort", plant("bess_available_energy_joules", "bess-1"), (9.9e9, 10.9e9, 11.2e9), 300,
        hot_seconds=90, step_seconds=5, always=BESS),
    one("bess", "BessChargeFalling", CHARGE, (0.49, 0.54, 0.56), 60, hot_seconds=90, step_seconds=5),
    one("bess", "BessChargeLow", CHARGE, (0.39, 0.44, 0.46), 60, hot_seconds=90, step_seconds=5),
    one("bess", "BessChargeCritical", CHARGE, (0.19, 0.24, 0.26), 60, step_seconds=5),
    one("bess", "BessCellsWarm", WARMEST, (46.0, 43.0, 41.0), 300, hot_seconds=90, step_seconds=5),
    one("bess", "BessCellsHot", WARMEST, (56.0, 51.0, 49.0), 600, step_seconds=5),
    one("bess", "BessCellsApart", WARMEST, (46.0, 43.0, 41.0), 600, hot_seconds=90, step_seconds=5,
        always={COOLEST: 37.0}),
    one("generators", "GeneratorOverloaded", plant("generator_load_ratio", "gen-1"), (1.01, 0.96, 0.94), 60),
    one("generators", "GeneratorFuelPressureLow", plant("generator_fuel_pressure_pascals", "gen-1"), (9e4, 10.5e4, 11.5e4),
        30, always=RUNS),
    one("generators", "GeneratorFuelLow", plant("generator_fuel_level_ratio", "gen-1"), (0.24, 0.29, 0.31), 300,
        hot_seconds=90, step_seconds=5),
    one("site", "SitePowerHigh", "site_grid_power_watts", (47.6e6, 46.5e6, 45.5e6), 90, hot_seconds=150,
        between_seconds=120, step_seconds=5),
    one("site", "SiteRampHigh", "site_ramp_watts_per_second", (84_000.0, 70_000.0, 60_000.0), 120, step_seconds=5),
    one("site", "GridFrequencyOff", HERTZ, (59.7, 59.84, 59.86), 60),
    one("site", "GridFrequencyAlarm", HERTZ, (59.45, 59.65, 59.75), 60),
    one("site", "GridFrequencyCritical", HERTZ, (59.25, 59.4, 59.55), 60),
    one("site", "GridPeakLikely", 'grid_peak_probability_ratio{instance="utility"}', (0.61, 0.55, 0.45), 300,
        hot_seconds=90, step_seconds=15),
    one("emissions", "NoxForecastHigh", "emissions_nox_4h_forecast_ratio", (22.6e-6, 22e-6, 21.5e-6), 600,
        hot_seconds=420, step_seconds=60),
    one("emissions", "NoxForecastCritical", "emissions_nox_4h_forecast_ratio", (24.5e-6, 24e-6, 23.5e-6), 600,
        hot_seconds=240, step_seconds=60),
    one("emissions", "FuelSulfurHigh", plant("fuel_sulfur_ratio", "gen-1"), (0.0006, 0.00057, 0.0005), 900,
        hot_seconds=960, step_seconds=60),
    one("permit", "NoxMonthHigh", 'emissions_nox_30d_ratio{asset="gen-1"}', (22.6e-6, 22.2e-6, 21.5e-6), 3_600,
        hot_seconds=3_900, between_seconds=600, step_seconds=300),
    one("energy", "PueImpossible", "site_power_watts", (7.9e6, 8.05e6, 8.1e6), 300, hot_seconds=420, step_seconds=60,
        always={pdu("pdu_input_power_watts"): 8e6}),
    one("efficiency", "PueHigh", 'site_power_usage_effectiveness_ratio{window="24h"}', (1.21, 1.19, 1.17), 3_600,
        hot_seconds=3_900, between_seconds=600, step_seconds=300),
    one("efficiency", "RenewableShareLow", 'site_renewable_ratio{window="30d"}', (0.39, 0.405, 0.42), 3_600,
        hot_seconds=3_900, between_seconds=600, step_seconds=300),
    one("service", "RulesLagging", LAG, (6.0, 3.0, 2.0), 30),
    one("service", "RulesLaggingBadly", LAG, (31.0, 11.0, 9.0), 10),
    Clearing("service", "PollsFailing", polls(6), polls(4), polls(2), 60, hot_seconds=150, step_seconds=5),
    Clearing("service", "PollsFailingWidely", polls(31), polls(21), polls(19), 60, step_seconds=5),
]  # fmt: skip
SUMMER_MS = 1_752_000_000_000
"""July 2025: the months in which a grid's peak is told."""


@pytest.mark.parametrize("case", CLEARINGS, ids=lambda case: case.alert)
def test_an_alert_ends_when_its_clear_threshold_has_held_and_not_before(case: Clearing) -> None:
    run = Run(case.area, case.alert)
    now, counts, ended = SUMMER_MS, [], 0
    for seconds, values in case.phases:
        began = now
        while now < began + seconds * 1_000:
            if (case.alert, "resolved") in run.at(now, {**case.always, **values}):
                ended = now
            now += case.step_seconds * 1_000
        counts.append(run.firing(case.alert))
    assert counts == [1, 1, 0], "fires, stays in between, ends"
    assert ended >= now - 2 * case.step_seconds * 1_000


def test_every_clear_threshold_of_these_areas_is_shown_to_hold() -> None:
    cleared = {rule.name for rule in RULES if rule.sidecar.clear}
    assert cleared == {case.alert for case in CLEARINGS}
    assert [rule.name for rule in RULES if not rule.catalogue] == ["RackPowerHigh"], "a limit of the site's own"


def test_hot_cells_that_fall_silent_stay_hot_for_an_hour_and_end_as_unknown() -> None:
    run = Run("bess", "BessCellsHot")
    for now in range(0, 60_000, 5_000):
        run.at(now, {WARMEST: 56.0})
    assert run.firing("BessCellsHot") == 1
    changes = [
        (now, state)
        for now in range(60_000, 4_500_000, 60_000)
        for name, state in run.at(now, {})
        if name == "BessCellsHot"
    ]
    assert [state for _, state in changes] == ["unknown"]
    assert 3_840_000 <= changes[0][0] - 55_000 <= 4_020_000, "five minutes of lookback, and the hour of its sidecar"


@pytest.mark.parametrize(
    ("area", "alert", "hot"),
    [
        ("feeders", "UtilityLost", {GRID_VOLTS: 2.0} | GRID),
        ("generators", "GeneratorTripped", {plant("generator_state", "gen-1"): 5.0}),
        ("bess", "BessGasOrSmoke", {plant("bess_offgas_detected", "bess-1", detector="1"): 1.0}),
        ("power", "PduFeedLost", {VOLTS: 0.0}),
    ],
)
def test_a_device_that_falls_silent_has_not_recovered(area: str, alert: str, hot: dict[str, float]) -> None:
    run = Run(area, alert)
    for now in range(0, 10_000, 1_000):
        run.at(now, hot)
    assert run.firing(alert) == 1
    ended = [state for now in range(10_000, 400_000, 5_000) for name, state in run.at(now, {}) if name == alert]
    assert ended in ([], ["unknown"])
