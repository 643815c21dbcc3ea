"""Laws of power and heat: nothing comes from nowhere, whatever breaks and whoever commands what."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.battery import Battery
from simulator.breakers import Breakers, TripCurve
from simulator.cooling import JOULES_PER_LITER_KELVIN
from simulator.faults import Faults
from simulator.layout import Layout
from simulator.machines import COOLANT_JOULES_PER_KILOGRAM_KELVIN, JUNCTION_KELVIN_PER_WATT
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.settings import PlantSettings

LAYOUT = Layout(16, 4)
SMALL = PlantSettings(
    generator_watts=40_000.0, grid_watts=150_000.0, bess_watts=60_000.0, bess_watt_hours=5_000.0, bess_charge=0.5
)
NODES = [f"dgx-{number:03d}" for number in range(1, 17)]

faults = st.one_of(
    st.builds(lambda grid: {"fault": "grid-loss", "target": grid}, st.sampled_from(["grid-1", "grid-2"])),
    st.builds(lambda side: {"fault": "side-loss", "target": side}, st.sampled_from(["sub-a", "sub-b"])),
    st.builds(lambda one: {"fault": "string-trip", "target": one}, st.sampled_from(["gen-1", "gen-2", "gen-4"])),
    st.builds(lambda one: {"fault": "string-refuses", "target": one}, st.sampled_from(["gen-1", "gen-3"])),
    st.builds(lambda pdu: {"fault": "feed-loss", "target": pdu}, st.sampled_from(["pdu-r01-a", "pdu-r04-b"])),
    st.builds(lambda ratio: {"fault": "bess-limited", "target": "bess-1", "ratio": ratio}, st.sampled_from([0.0, 0.3])),
    st.builds(lambda ratio: {"fault": "sag", "target": "sub-b", "ratio": ratio}, st.floats(0.5, 1.0)),
    st.builds(lambda node: {"fault": "dead-node", "target": node}, st.sampled_from(NODES)),
    st.builds(lambda node: {"fault": "hung-node", "target": node}, st.just(NODES[5])),
    st.just({"fault": "crossed-outlets", "targets": [NODES[0], NODES[1]]}),
    st.just({"fault": "job-swing", "target": "training/train-a"}),
    st.builds(lambda cdu: {"fault": "flow-loss", "target": cdu, "ratio": 0.0}, st.just("cdu-1")),
    st.just({"fault": "rack-leak", "target": "r02", "liters_per_minute": 30.0}),
)
acts = st.one_of(
    st.tuples(st.just("fault"), faults),
    st.tuples(st.just("heal"), st.integers(0, 5)),
    st.tuples(st.just("bess"), st.floats(-80_000, 80_000), st.booleans(), st.sampled_from([0.0, 5.0, 60.0])),
    st.tuples(st.just("start"), st.integers(0, 3)),
    st.tuples(st.just("demand"), st.integers(0, 15), st.sampled_from([0.0, 300.0, 700.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 7.0, 40.0])),
)
histories = st.lists(acts, max_size=14)


class Site:
    """A plant, its faults, and what may be done to it."""

    def __init__(self, seed: int = 3) -> None:
        self.plant = Plant(LAYOUT, seed=seed, settings=SMALL)
        self.plant.machines.demand[:12] = 600.0
        self.faults = Faults(Reach(self.plant))

    def carry_out(self, act: tuple) -> None:
        match act:
            case ("fault", order):
                if order["fault"] != "hung-node" or self.plant.machines.state[5] == 2:
                    self.faults.begin(order)
            case ("heal", number):
                for name in list(self.faults.active)[number : number + 1]:
                    self.faults.heal(name)
            case ("bess", watts, enabled, reversion):
                self.plant.battery.command(watts=watts, enabled=enabled, reversion_seconds=reversion)
            case ("start", number):
                self.plant.sources.generators.start([number])
            case ("demand", node, watts):
                self.plant.machines.demand[node] = watts
            case ("wait", seconds):
                self.plant.step(seconds)


@settings(max_examples=60, deadline=None)
@given(histories)
def test_what_sources_give_is_what_the_site_takes_and_loses(history: list[tuple]) -> None:
    site = Site()
    sources, power = site.plant.sources, site.plant.power
    for act in history:
        site.carry_out(act)
        site.plant.step(0.5)
        taken = float(power.side_watts.sum() + sources.auxiliary_watts.sum() + sources.loss_watts.sum())
        given_ = sources.given_watts() + sources.unserved_watts
        assert abs(given_ - taken) <= 1e-9 * max(1.0, abs(taken), abs(given_))
        assert np.isclose(power.side_watts.sum(), site.plant.machines.watts.sum(), rtol=1e-12, atol=1e-6)
        assert np.isclose(power.busbar_watts.sum(), power.phase_watts.sum(), rtol=1e-12, atol=1e-6)
        assert (sources.generators.watts >= -1e-9).all()


@settings(max_examples=60, deadline=None)
@given(histories)
def test_the_battery_holds_what_went_in_less_what_came_out_and_no_more_than_fits(history: list[tuple]) -> None:
    site = Site()
    battery = site.plant.battery
    for act in history:
        before = battery.charge_ratio * battery.capacity_watt_hours
        counted = battery.discharged_watt_hours - battery.charged_watt_hours + battery.self_used_watt_hours
        site.carry_out(act)
        site.plant.step(0.5)
        after = battery.charge_ratio * battery.capacity_watt_hours
        flown = battery.discharged_watt_hours - battery.charged_watt_hours + battery.self_used_watt_hours - counted
        assert abs(before - flown - after) <= 1e-6, "to the last milliwatt-hour"
        assert 0.0 <= battery.charge_ratio <= 1.0
        assert abs(battery.watts) <= battery.rated_watts + 1e-6
        assert battery.connected or battery.watts == 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-90_000, 90_000), st.floats(0.1, 4_000.0)), max_size=12))
def test_a_battery_alone_never_gives_what_it_does_not_hold(orders: list[tuple[float, float]]) -> None:
    battery = Battery(SMALL)
    for watts, seconds in orders:
        held = battery.charge_ratio * battery.capacity_watt_hours
        battery.step(seconds, watts)
        assert battery.watts * seconds / 3600.0 <= held + 1e-9
        assert 0.0 <= battery.charge_ratio <= 1.0


@settings(max_examples=40, deadline=None)
@given(histories)
def test_heat_is_conserved_and_no_temperature_jumps(history: list[tuple]) -> None:
    site = Site()
    machines, cooling = site.plant.machines, site.plant.cooling
    die = SMALL.die_joules_per_kelvin
    plate = SMALL.trapped_kilograms * COOLANT_JOULES_PER_KILOGRAM_KELVIN
    for act in history:
        site.carry_out(act)
        gpus, plates, supply = (
            machines.gpu_celsius.copy(),
            machines.coolant_celsius.copy(),
            cooling.supply_celsius.copy(),
        )
        site.plant.step(0.5)
        stored = ((machines.gpu_celsius - gpus) * die + (machines.coolant_celsius - plates) * plate).sum(axis=1)
        made = machines.gpu_watts.sum(axis=1) * 0.5
        assert np.allclose(made - machines.into_loop_watts * 0.5, stored, rtol=1e-9, atol=1e-6)
        through = np.abs(gpus - plates).max() / JUNCTION_KELVIN_PER_WATT
        assert np.abs(machines.gpu_celsius - gpus).max() <= 0.5 * (700.0 + through) / die + 1e-9
        warming = cooling.heat_watts / (cooling.nodes_on * 10.0 * JOULES_PER_LITER_KELVIN)
        assert (np.abs(cooling.supply_celsius - supply) <= 0.5 * warming + 0.5 * 20.0 / 30.0 + 0.11).all()


ratios = st.floats(0.0, 4.9)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ratios, ratios, st.floats(0.25, 30.0)), min_size=1, max_size=20), st.floats(50.0, 500.0))
def test_a_breaker_trips_no_earlier_than_its_curve_and_no_later_than_a_step_after_it(
    loads: list[tuple[float, float, float]], heat: float
) -> None:
    breakers, gathered, closed = Breakers((2,), TripCurve(heat_to_trip_seconds=heat)), [0.0, 0.0], [True, True]
    for first, second, seconds in loads:
        breakers.step(seconds, np.array([first, second]))
        for place, ratio in enumerate((first, second)):
            if not closed[place]:
                continue
            gathered[place] = max(0.0, gathered[place] + (ratio * ratio - 1.0) * seconds)
            if abs(gathered[place] - heat) < 1e-6 * heat:
                return
            closed[place] = gathered[place] < heat
            assert breakers.closed[place] == closed[place]
    assert breakers.trips == closed.count(False)


@settings(max_examples=15, deadline=None)
@given(histories, st.integers(0, 2**31))
def test_the_same_seed_and_the_same_acts_give_the_same_history_to_the_last_bit(history: list[tuple], seed: int) -> None:
    first, second = Site(seed), Site(seed)
    for act in history:
        for site in (first, second):
            site.carry_out(act)
            site.plant.step(1.0)
    one, other = first.plant, second.plant
    assert np.array_equal(one.machines.gpu_celsius, other.machines.gpu_celsius)
    assert np.array_equal(one.power.phase_amperes, other.power.phase_amperes)
    assert np.array_equal(one.cooling.supply_celsius, other.cooling.supply_celsius)
    assert one.sources.given_watts() == other.sources.given_watts()
    assert one.battery.charge_ratio == other.battery.charge_ratio
