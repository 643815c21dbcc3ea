"""What holds in the plant whatever is done to it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.layout import Layout
from simulator.machines import STANDBY_WATTS, NodeState
from simulator.plant import Plant

LAYOUT = Layout(8, 2)

nodes = st.integers(0, 7)
sides = st.integers(0, 1)
acts = st.one_of(
    st.tuples(st.just("chassis"), nodes, st.booleans()),
    st.tuples(st.just("outlet"), nodes, sides, st.booleans()),
    st.tuples(st.just("feed"), st.integers(0, 1), sides, st.booleans()),
    st.tuples(st.just("hang"), nodes),
    st.tuples(st.just("cap"), nodes, st.floats(200, 700)),
    st.tuples(st.just("gpu"), nodes, st.integers(0, 7)),
    st.tuples(st.just("demand"), nodes, st.sampled_from([0.0, 300.0, 700.0])),
    st.tuples(st.just("wait"), st.floats(0.1, 30.0)),
)


def carry_out(plant: Plant, act: tuple) -> None:
    match act:
        case ("chassis", node, on):
            plant.chassis(node, on=on)
        case ("outlet", node, side, on):
            plant.switch_outlet(node, side, on=on)
        case ("feed", rack, side, live):
            plant.power.feed_live[rack, side] = live
        case ("hang", node):
            plant.hang(node)
        case ("cap", node, watts):
            plant.limit_power(node, range(8), watts)
        case ("gpu", node, gpu):
            plant.drop_gpu(node, gpu)
        case ("demand", node, watts):
            plant.machines.demand[node] = watts
        case ("wait", seconds):
            plant.step(seconds)


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, max_size=25))
def test_power_is_conserved_and_follows_the_state_of_supply_and_machine(history: list[tuple]) -> None:
    plant = Plant(LAYOUT, seed=3)
    for act in history:
        carry_out(plant, act)
        plant.step(0.25)
        machines, power = plant.machines, plant.power
        assert np.allclose(power.outlet_watts.sum(axis=1), machines.watts), (
            "what the outlets give is what the nodes take"
        )
        assert np.isclose(power.phase_watts.sum(), power.outlet_watts.sum()), (
            "what the phases give is what the outlets give"
        )
        assert (power.outlet_watts[~power.live_outlets()] == 0.0).all(), "a dead outlet carries nothing"
        assert (machines.watts[~power.powered()] == 0.0).all(), "no supply, no watts, no running machine"
        assert (machines.state[~power.powered()] == NodeState.OFF).all()
        off = (machines.state == NodeState.OFF) & power.powered()
        assert (machines.watts[off] == STANDBY_WATTS).all()
        assert np.allclose(power.phase_amperes * power.volts, power.phase_watts)
        assert (machines.gpu_watts[~machines.present] == 0.0).all()
        assert (machines.watts <= 10_200.0).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(acts, max_size=15))
def test_counters_never_fall_and_time_never_runs_back(history: list[tuple]) -> None:
    plant = Plant(LAYOUT, seed=4)
    for act in history:
        before = (
            plant.now,
            plant.power.outlet_watt_hours.copy(),
            plant.machines.gpu_joules.copy(),
            plant.fabric_bytes.copy(),
        )
        carry_out(plant, act)
        plant.step(0.5)
        assert plant.now > before[0]
        assert (plant.power.outlet_watt_hours >= before[1]).all()
        assert (plant.machines.gpu_joules >= before[2]).all()
        assert (plant.fabric_bytes >= before[3]).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(acts, max_size=10))
def test_everything_on_and_healed_ends_with_every_node_running(history: list[tuple]) -> None:
    plant = Plant(LAYOUT, seed=5)
    for act in history:
        carry_out(plant, act)
        plant.step(0.25)
    plant.power.feed_live[:] = True
    for node in range(LAYOUT.node_count):
        for side in range(2):
            plant.switch_outlet(node, side, on=True)
        plant.chassis(node, on=False)
    plant.step(15.0)
    for node in range(LAYOUT.node_count):
        plant.chassis(node, on=True)
    plant.step(40.0)
    assert (plant.machines.state == NodeState.RUNNING).all()
    assert plant.machines.present.all()
