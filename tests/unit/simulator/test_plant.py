"""The plant: what commands and faults do to watts, temperatures and states, in virtual time."""

import numpy as np
import pytest

from simulator.layout import Layout
from simulator.machines import STANDBY_WATTS, NodeState
from simulator.plant import Plant

LAYOUT = Layout()
TIGHT = LAYOUT.overload_rack or 0
PROOF_OF_OFF_WATTS = 0.05 * 2_000.0


def loaded() -> Plant:
    plant = Plant(LAYOUT, seed=7)
    for node, (job, _) in LAYOUT.placement.items():
        plant.machines.demand[LAYOUT.node_index[node]] = job.demand_watts
    plant.settle()
    return plant


def run(plant: Plant, seconds: float) -> None:
    for _ in range(round(seconds / 0.25)):
        plant.step(0.25)


def outlets(plant: Plant, node: int) -> float:
    return float(plant.power.outlet_watts[node].sum())


def test_an_idle_node_draws_two_kilowatts_and_a_training_node_about_nine() -> None:
    plant = loaded()
    assert outlets(plant, 50) == pytest.approx(2_000, rel=0.02)
    assert outlets(plant, 0) == pytest.approx(9_150, rel=0.03)


def test_both_supplies_share_the_load() -> None:
    a, b = loaded().power.outlet_watts[0]
    assert a == pytest.approx(b, rel=0.05)


def test_chassis_off_takes_effect_within_its_declared_latency_and_leaves_only_the_bmc() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 1.0)
    assert outlets(plant, 0) > 2_000, "not at once: a command has a latency"
    run(plant, 1.5)
    assert outlets(plant, 0) == pytest.approx(STANDBY_WATTS)
    assert outlets(plant, 0) < PROOF_OF_OFF_WATTS
    assert plant.bmc_alive(0)


def test_a_node_that_is_switched_on_boots_for_twenty_seconds_and_draws_power_meanwhile() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 5)
    plant.chassis(0, on=True)
    run(plant, 4)
    assert plant.machines.state[0] == NodeState.BOOTING
    assert outlets(plant, 0) > 1_000
    run(plant, 18)
    assert plant.machines.state[0] == NodeState.RUNNING
    assert plant.machines.boots[0] == 1


def test_off_after_on_wins_even_while_the_node_boots() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 5)
    plant.chassis(0, on=True)
    run(plant, 10)
    plant.chassis(0, on=False)
    run(plant, 60)
    assert plant.machines.state[0] == NodeState.OFF


def test_on_right_after_off_wins_and_the_node_never_stops() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 0.5)
    plant.chassis(0, on=True)
    run(plant, 60)
    assert plant.machines.state[0] == NodeState.RUNNING
    assert plant.machines.boots[0] == 0


def test_a_boot_that_was_cut_short_does_not_count_for_the_next() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 5)
    plant.chassis(0, on=True)
    run(plant, 15)
    plant.chassis(0, on=False)
    run(plant, 3)
    plant.chassis(0, on=True)
    run(plant, 15)
    assert plant.machines.state[0] == NodeState.BOOTING
    run(plant, 8)
    assert plant.machines.state[0] == NodeState.RUNNING


def test_a_second_on_while_the_node_boots_changes_nothing() -> None:
    plant = loaded()
    plant.chassis(0, on=False)
    run(plant, 5)
    plant.chassis(0, on=True)
    run(plant, 5)
    plant.chassis(0, on=True)
    run(plant, 17)
    assert plant.machines.state[0] == NodeState.RUNNING


def test_a_node_without_live_outlets_is_dead_and_so_is_its_bmc() -> None:
    plant = loaded()
    plant.switch_outlet(0, 0, on=False)
    run(plant, 2)
    assert plant.machines.state[0] == NodeState.RUNNING, "the other supply carries it"
    plant.switch_outlet(0, 1, on=False)
    run(plant, 2)
    assert outlets(plant, 0) == 0.0
    assert plant.machines.state[0] == NodeState.OFF
    assert not plant.bmc_alive(0)


def test_power_that_returns_restores_what_the_chassis_was_doing() -> None:
    plant = loaded()
    plant.chassis(1, on=False)
    for node in (0, 1):
        for side in (0, 1):
            plant.switch_outlet(node, side, on=False)
    run(plant, 5)
    for node in (0, 1):
        plant.switch_outlet(node, 0, on=True)
    run(plant, 40)
    assert plant.machines.state[0] == NodeState.RUNNING
    assert plant.machines.state[1] == NodeState.OFF
    assert outlets(plant, 1) == pytest.approx(STANDBY_WATTS)


def test_the_last_of_two_opposite_outlet_orders_wins() -> None:
    plant = loaded()
    plant.switch_outlet(0, 0, on=False)
    plant.switch_outlet(0, 0, on=True)
    run(plant, 3)
    assert plant.power.relay[0, 0]


def test_a_lost_feed_leaves_the_sibling_to_carry_all_and_only_the_tight_rack_overloads() -> None:
    for rack in (0, 9, TIGHT):
        plant = loaded()
        before = plant.power.outlet_watts.sum()
        plant.power.feed_live[rack, 0] = False
        run(plant, 2)
        ratio = plant.power.load_ratio()
        assert plant.power.volts[rack, 0].max() == plant.power.phase_amperes[rack, 0].max() == 0.0
        assert plant.power.outlet_watts[list(LAYOUT.nodes_of_rack(rack)), 0].max() == 0.0
        assert plant.power.outlet_watts.sum() == pytest.approx(before, rel=0.02)
        if rack == TIGHT:
            assert 1.05 < ratio[rack, 1].min() and ratio[rack, 1].max() < 1.18
        else:
            assert ratio.max() < 0.95


def test_caps_alone_do_not_suffice_on_the_tight_rack_but_the_idle_hosts_outlet_does_the_rest() -> None:
    plant = loaded()
    plant.power.feed_live[TIGHT, 0] = False
    run(plant, 2)
    research, batch_1, batch_2, idle = LAYOUT.nodes_of_rack(TIGHT)
    for node in (research, batch_1, batch_2):
        plant.limit_power(node, range(8), 400.0)
    run(plant, 5)
    worst = plant.power.load_ratio()[TIGHT, 1].max()
    assert 0.95 < worst < 1.0
    plant.switch_outlet(idle, 1, on=False)
    run(plant, 5)
    assert plant.power.load_ratio()[TIGHT, 1].max() <= 0.95
    plant.power.feed_live[TIGHT, 0] = True
    run(plant, 40)
    assert plant.power.load_ratio()[TIGHT].max() < 0.7
    assert plant.machines.state[idle] == NodeState.RUNNING, "feed A carries it again, and it boots"


def test_a_power_limit_is_never_exceeded_once_it_bites() -> None:
    plant = loaded()
    plant.limit_power(0, [0, 1], 300.0)
    run(plant, 2)
    for _ in range(40):
        plant.step(0.25)
        assert plant.machines.gpu_watts[0, :2].max() <= 300.0
    assert plant.machines.gpu_watts[0, 2:].min() > 600.0


def test_a_hung_node_idles_loses_its_port_and_gets_a_watchdog_record_after_five_seconds() -> None:
    plant = loaded()
    plant.hang(0)
    run(plant, 4.75)
    assert not plant.sel[0]
    run(plant, 5)
    assert outlets(plant, 0) == pytest.approx(2_000, rel=0.05)
    assert not plant.fabric_up()[0]
    assert [(record.sensor_type, record.offset) for record in plant.sel[0]] == [(0x23, 0)]
    assert plant.bmc_alive(0)


def test_a_power_cycle_ends_a_hang() -> None:
    plant = loaded()
    plant.hang(0)
    run(plant, 6)
    plant.chassis(0, on=False)
    run(plant, 3)
    plant.chassis(0, on=True)
    run(plant, 25)
    assert plant.machines.state[0] == NodeState.RUNNING


def test_a_gpu_off_the_bus_comes_back_only_with_a_power_cycle() -> None:
    plant = loaded()
    plant.drop_gpu(0, 3)
    run(plant, 30)
    assert plant.machines.present[0].sum() == 7
    assert plant.machines.gpu_watts[0, 3] == 0.0
    assert [(event.kind, event.code, event.gpu) for event in plant.events[0]] == [("xid", "79", 3)]
    plant.chassis(0, on=False)
    run(plant, 3)
    plant.chassis(0, on=True)
    run(plant, 25)
    assert plant.machines.present[0].sum() == 8


def test_a_loaded_gpu_runs_at_about_62_degrees_and_an_idle_one_cooler() -> None:
    plant = loaded()
    assert 55 < plant.machines.gpu_celsius[0].max() < 70
    assert plant.machines.gpu_celsius[50].max() < 45


def test_without_flow_a_loaded_gpu_throttles_within_two_minutes_and_then_protects_itself() -> None:
    plant = loaded()
    plant.cooling.pump_healthy[0] = False
    run(plant, 120)
    assert plant.machines.throttled[0].all() or plant.machines.state[0] == NodeState.OFF
    assert plant.cooling.flow[0] < 5
    assert plant.machines.gpu_celsius.max() < 110


def test_one_pump_alone_keeps_the_row_below_its_slowdown() -> None:
    plant = loaded()
    plant.cooling.pump_healthy[0, 0] = False
    run(plant, 300)
    assert plant.cooling.flow[0] == pytest.approx(0.65 * 240, rel=0.02)
    assert not plant.machines.throttled.any()


def test_the_same_seed_gives_the_same_history() -> None:
    first, second = loaded(), loaded()
    run(first, 10)
    run(second, 10)
    assert np.array_equal(first.machines.gpu_watts, second.machines.gpu_watts)
    assert np.array_equal(first.power.phase_amperes, second.power.phase_amperes)
