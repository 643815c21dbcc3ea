"""The plant against the reference's own numbers: what happens, and when, if nobody acts."""

import numpy as np
import pytest

from simulator.breakers import Breakers, TripCurve
from simulator.facility import grant
from simulator.layout import Layout
from simulator.plant import Plant
from simulator.settings import PlantSettings

WITHIN = 0.2
"""The reference's model is lumped; ours has a loop around it."""


def cold_plates(die: float, trapped: float) -> Plant:
    """Four nodes at 700 W a GPU and 43 °C of coolant: the reference's table."""
    settings = PlantSettings(coolant_celsius=43.0, die_joules_per_kelvin=die, trapped_kilograms=trapped)
    plant = Plant(Layout(4, 1), seed=1, settings=settings)
    plant.machines.demand[:] = 700.0
    plant.settle()
    plant.machines.coolant_celsius[:] = 43.0
    plant.machines.gpu_celsius[:] = 64.0
    plant.cooling.pump_healthy[:] = False
    plant.cooling.pump_rpm[:] = 0.0
    return plant


def seconds_until(plant: Plant, celsius: float, *, cap_at: float | None = None, limit: float = 400.0) -> float:
    begun = plant.now
    while plant.now - begun < limit:
        if cap_at is not None and plant.now - begun >= cap_at:
            for node in range(4):
                plant.machines.cap[node] = plant.machines.cap_set[node] = 200.0
        plant.step(0.25)
        if plant.machines.gpu_celsius.max() >= celsius:
            return plant.now - begun
    return float("inf")


@pytest.mark.parametrize(
    ("die", "trapped", "slowdown", "shutdown", "capped_at_5", "capped_at_10"),
    [
        (300, 0.05, 21, 38, 68, 56),
        (450, 0.05, 27, 47, 88, 75),
        (450, 0.15, 45, 87, 171, 159),
        (700, 0.15, 56, 103, 205, 192),
        (450, 0.4, 84, 183, None, None),
    ],
)
def test_without_flow_and_without_an_act_gpus_reach_slowdown_and_shutdown_when_the_reference_says(
    die, trapped, slowdown, shutdown, capped_at_5, capped_at_10
) -> None:
    assert seconds_until(cold_plates(die, trapped), 89.0) == pytest.approx(slowdown, rel=WITHIN)
    assert seconds_until(cold_plates(die, trapped), 95.0) == pytest.approx(shutdown, rel=WITHIN)
    for at, expected in ((5.0, capped_at_5), (10.0, capped_at_10)):
        reached = seconds_until(cold_plates(die, trapped), 89.0, cap_at=at, limit=300.0)
        if expected is None:
            assert reached == float("inf")
        else:
            assert reached == pytest.approx(expected, rel=WITHIN)


def test_half_flow_settles_below_slowdown() -> None:
    plant = Plant(Layout(16, 4), seed=1, settings=PlantSettings(coolant_celsius=43.0))
    plant.machines.demand[:] = 700.0
    plant.settle()
    plant.cooling.pump_speed[:] = 0.5
    plant.step(300.0)
    assert plant.machines.gpu_celsius.max() < 89.0
    assert plant.machines.gpu_celsius.mean() > 68.0


def test_a_loop_that_gives_no_heat_away_warms_as_its_water_says() -> None:
    plant = Plant(Layout(16, 4), seed=1)
    plant.machines.demand[:] = 300.0
    plant.settle()
    plant.cooling.rejecting[:] = False
    before, watts = float(plant.cooling.supply_celsius[0]), float(plant.cooling.heat_watts[0])
    plant.step(100.0)
    assert watts == pytest.approx(16 * 5_000, rel=0.1)
    liters = 160.0
    expected = watts * 100.0 / (liters * 1.030 * 3_974.0)
    assert float(plant.cooling.supply_celsius[0]) - before == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("ratio", "low", "high"), [(1.1, 600, 1_800), (1.35, 60, 7_200), (2.0, 10, 100)])
def test_a_branch_breaker_trips_in_the_band_of_the_standards(ratio, low, high) -> None:
    assert low <= TripCurve().seconds_to_trip(ratio) <= high


def test_an_overload_without_an_act_trips_at_the_time_of_its_curve_and_takes_the_nodes_with_it() -> None:
    layout = Layout()
    tight = layout.overload_rack or 0
    plant = Plant(layout, seed=1)
    for node, (job, _) in layout.placement.items():
        plant.machines.demand[layout.node_index[node]] = job.demand_watts
    plant.settle()
    plant.power.feed_live[tight, 0] = False
    plant.step(2.0)
    worst = float(plant.power.load_ratio()[tight, 1].max())
    expected = plant.power.breakers.curve.seconds_to_trip(worst)
    begun = plant.now
    while not plant.power.breakers.trips:
        plant.step(1.0)
        assert plant.now - begun < 2 * expected
    assert plant.now - begun == pytest.approx(expected, rel=WITHIN)
    plant.step(2.0)
    dark = [node for node in layout.nodes_of_rack(tight) if not plant.power.powered()[node]]
    assert dark, "who hung on that phase has no supply left"
    assert plant.machines.watts[dark].max() == 0.0


def test_a_cold_breaker_holds_its_rating_for_ever() -> None:
    breakers = Breakers((1,), TripCurve())
    for _ in range(1_000):
        assert not breakers.step(3_600.0, np.array([1.0]))


def test_an_island_that_loses_a_string_shares_its_load_and_sinks_by_its_droop() -> None:
    plant = Plant(Layout(), seed=1, settings=PlantSettings(island=True, generator_watts=60_000.0, bess_watts=1.0))
    for node, (job, _) in plant.layout.placement.items():
        plant.machines.demand[plant.layout.node_index[node]] = job.demand_watts
    plant.machines.demand[:] = np.minimum(plant.machines.demand, 200.0)
    plant.settle()
    sources = plant.sources
    ratio = float(sources.generators.watts.sum()) / 240_000.0
    assert sources.frequency_hertz == pytest.approx(50.0 * (1.0 - 0.04 * max(0.0, ratio - 1.0)), abs=0.05)
    before = float(sources.generators.watts.sum())
    sources.generators.trip(1)
    plant.step(20.0)
    assert sources.generators.watts[1] == 0.0
    assert float(sources.generators.watts.sum()) == pytest.approx(before, rel=0.02)
    assert sources.frequency_hertz < 50.0


def test_a_lost_grid_is_carried_by_the_battery_until_strings_have_started() -> None:
    plant = Plant(Layout(), seed=1)
    plant.settle()
    plant.sources.grid_live[0] = False
    plant.step(5.0)
    battery, strings = plant.battery, plant.sources.generators
    assert battery.transfer_seconds == pytest.approx(0.31)
    assert battery.watts > 50_000.0 and not strings.running().any()
    plant.step(30.0)
    assert strings.running().all()
    assert battery.watts == pytest.approx(0.0, abs=1.0)
    assert (plant.machines.state == 2).all(), "nobody noticed"


def test_a_standby_pump_takes_over_within_a_second() -> None:
    plant = Plant(Layout(16, 4), seed=1, settings=PlantSettings(standby_pumps=True))
    plant.settle()
    assert plant.cooling.pump_rpm[0, 1] == 0.0
    plant.cooling.pump_healthy[0, 0] = False
    plant.step(5.0)
    assert plant.cooling.flow[0] > 0.95 * 240.0


def test_a_closed_valve_gives_its_flow_to_the_neighbours_and_stops_the_leak() -> None:
    plant = Plant(Layout(16, 4), seed=1)
    plant.settle()
    plant.cooling.leak_liters_per_minute[0] = 60.0
    plant.step(10.0)
    assert plant.cooling.lost_liters[0] == pytest.approx(10.0, rel=0.01)
    plant.cooling.valve_wanted[0] = 0.0
    plant.step(10.0)
    lost = float(plant.cooling.lost_liters[0])
    plant.step(60.0)
    assert float(plant.cooling.lost_liters[0]) == lost
    assert plant.cooling.rack_liters_per_minute()[:4] == pytest.approx([0.0, 80.0, 80.0, 80.0])


def test_jobs_that_swing_show_in_the_sites_power() -> None:
    plant = Plant(Layout(), seed=1)
    for node, (job, _) in plant.layout.placement.items():
        plant.machines.demand[plant.layout.node_index[node]] = job.demand_watts
    plant.settle()
    quiet = [(plant.step(0.25), float(plant.machines.watts.sum()))[1] for _ in range(40)]
    for node in range(36):
        plant.machines.set_swing(node, ratio=0.6, hertz=0.4)
    loud = [(plant.step(0.25), float(plant.machines.watts.sum()))[1] for _ in range(40)]
    assert np.ptp(quiet) < 0.02 * np.mean(quiet)
    assert np.ptp(loud) > 0.2 * np.mean(loud)


def test_strings_of_an_island_give_a_full_battery_nothing_however_hard_it_is_told_to_charge() -> None:
    plant = Plant(Layout(16, 4), seed=1, settings=PlantSettings(island=True, generator_watts=1e5, bess_charge=1.0))
    plant.settle()
    plant.battery.self_use_watts = 0.0
    plant.battery.charge_ratio = 1.0
    plant.battery.command(watts=-50_000.0, enabled=True, reversion_seconds=0.0)
    plant.step(1.0)
    demand = float(plant.sources.demand().sum())
    assert plant.battery.watts == 0.0
    assert float(plant.sources.generators.watts.sum()) == pytest.approx(demand, rel=1e-9)


def test_people_isolate_a_rack_reset_a_string_and_start_a_pump_when_they_are_asked() -> None:
    plant = Plant(Layout(16, 4), seed=1, settings=PlantSettings(standby_pumps=True))
    plant.sources.generators.trip(1)
    for asset in ("r02", "cdu-1", "gen-2"):
        grant(plant, asset)
    plant.step(20.0)
    assert plant.cooling.rack_liters_per_minute()[1] == 0.0
    assert plant.cooling.pump_rpm[0, 1] > 2_900.0
    assert plant.sources.generators.running()[1]
    with pytest.raises(ValueError, match="dgx-001"):
        grant(plant, "dgx-001")
