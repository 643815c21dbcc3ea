"""What a BMC does to its host and to itself beyond on and off: a graceful end, a restart of its own, a limit of the draw."""

import numpy as np

from simulator.layout import GPUS
from simulator.machines import DEFAULT_CAP_WATTS, FAN_WATTS, FIXED_WATTS, GPU_IDLE_WATTS, GPU_SPAN_WATTS, NodeState
from simulator.plant import CAP_SECONDS, Plant

SHUTDOWN_SECONDS = 8.0
"""From the button to the end of an operating system that listens: a default of ours."""
BMC_RESTART_SECONDS = 60.0
"""A BMC that starts anew; real ones take 30 to 180 s [reference, P-BMC]."""


def soft_off(plant: Plant, node: int) -> None:
    """Press the button: a host that runs ends itself; one that hangs hears nothing."""
    if plant.machines.state[node] == NodeState.RUNNING:
        plant.after(SHUTDOWN_SECONDS, lambda: _ended(plant, node))


def _ended(plant: Plant, node: int) -> None:
    if plant.machines.state[node] == NodeState.RUNNING:
        plant.wanted_on[node] = False
        plant.machines.switch_off(node)


def restart_bmc(plant: Plant, node: int) -> None:
    """The BMC starts anew; its host notices nothing."""
    plant.bmc_up_at[node] = plant.now + BMC_RESTART_SECONDS


def limit_node(plant: Plant, node: int, watts: float | None) -> None:
    """Keep a node's draw below so many watts by its GPUs' limits; None lifts it."""
    machines = plant.machines
    machines.bmc_cap[node] = DEFAULT_CAP_WATTS if watts is None else gpu_watts_for(watts)
    plant.after(CAP_SECONDS, lambda: machines.apply_caps(node))


def gpu_watts_for(node_watts: float) -> float:
    """What each GPU may draw so that the node with fans and all else draws no more; never below idle."""
    share = FAN_WATTS / GPU_SPAN_WATTS
    gpus = (node_watts - FIXED_WATTS + share * GPUS * GPU_IDLE_WATTS) / (1.0 + share)
    return float(np.clip(gpus / GPUS, GPU_IDLE_WATTS, DEFAULT_CAP_WATTS))
