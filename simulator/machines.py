"""The nodes: off, booting, running or hung; their GPUs' power, temperature and presence; what each draws."""

from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from simulator.layout import GPUS, Layout
from simulator.settings import PlantSettings

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

STANDBY_WATTS = 20.0
"""What a BMC draws while its chassis is off and an outlet is on: 1 % of idle, below the 5 % that counts as off."""
BOOTING_WATTS = 1_600.0
GPU_IDLE_WATTS = 75.0
"""An idle H100 in P0; recorded idle ones draw 66-100 W."""
FIXED_WATTS = 1_400.0
"""CPUs, memory, switches and slow fans: with eight idle GPUs 2,000 W."""
FAN_WATTS = 2_400.0
"""What fans, CPUs and NVSwitches add at full GPU load: 3,800 W beside 5,600 W of GPUs."""
GPU_SPAN_WATTS = 5_000.0
DEFAULT_CAP_WATTS = 700.0
MIN_CAP_WATTS = 200.0
LOAD_TIME_CONSTANT_SECONDS = 0.4
SLOWDOWN_CELSIUS, RESUME_CELSIUS, SHUTDOWN_CELSIUS = 89.0, 80.0, 95.0
SLOWDOWN_SHARE = 0.35
"""Hardware slowdown cuts power to this share."""
JUNCTION_KELVIN_PER_WATT = 0.03
COOLANT_JOULES_PER_KILOGRAM_KELVIN = 3_974.0
"""25 % propylene glycol, OCP's sample."""


class NodeState(IntEnum):
    """What a node's host does."""

    OFF = 0
    BOOTING = 1
    RUNNING = 2
    HUNG = 3


class Machines:
    """Arrays over nodes and (nodes, GPUs); `step` moves power and temperature, the other methods are switches."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator, settings: PlantSettings) -> None:
        count = layout.node_count
        self.rng = rng
        self._die = settings.die_joules_per_kelvin
        self._trapped = settings.trapped_kilograms * COOLANT_JOULES_PER_KILOGRAM_KELVIN
        self.state = np.full(count, NodeState.RUNNING, dtype=np.int8)
        self.present: BoolArray = np.ones((count, GPUS), dtype=np.bool_)
        self.demand: FloatArray = np.zeros(count)
        """Watts per GPU that the node's job asks for; 0 without a job."""
        self.cap_set: FloatArray = np.full((count, GPUS), DEFAULT_CAP_WATTS)
        self.cap: FloatArray = self.cap_set.copy()
        """The limit in force, a moment after it was set."""
        self.gpu_watts: FloatArray = np.full((count, GPUS), GPU_IDLE_WATTS)
        self.gpu_celsius: FloatArray = np.full((count, GPUS), 40.0)
        self.coolant_celsius: FloatArray = np.full((count, GPUS), 38.0)
        self.gpu_joules: FloatArray = rng.uniform(1e9, 5e9, (count, GPUS))
        self.throttled: BoolArray = np.zeros((count, GPUS), dtype=np.bool_)
        self.watts: FloatArray = np.full(count, 2_000.0)
        self.booted_at: FloatArray = -rng.uniform(86_400.0, 40 * 86_400.0, count)
        """Virtual seconds at which the operating system came up."""
        self.boots = np.zeros(count, dtype=np.int64)
        self.last_xid = np.zeros((count, GPUS), dtype=np.int64)
        self._phase: FloatArray = rng.uniform(0.0, 2 * np.pi, count)
        self._period: FloatArray = rng.uniform(4.0, 20.0, count)
        self.on_boot: list[Callable[[int], None]] = []
        """Called with a node's index when its operating system has come up."""

    def settle(self, *, supply_celsius: float, coolant_watts_per_kelvin: float) -> None:
        """Put power and temperature where the present load would hold them, so that a site does not start cold."""
        self.gpu_watts[:] = self._gpu_target(0.0)
        self.coolant_celsius[:] = supply_celsius + self.gpu_watts / coolant_watts_per_kelvin
        self.gpu_celsius[:] = self.coolant_celsius + self.gpu_watts * JUNCTION_KELVIN_PER_WATT
        self.watts[:] = self._node_target(np.ones(len(self.state), dtype=np.bool_))

    def switch_on(self, node: int) -> None:
        """Start to boot; a host that is not off stays as it is. Removal of power brings lost GPUs back."""
        if self.state[node] == NodeState.OFF:
            self.state[node] = NodeState.BOOTING
            self.present[node] = True
            self.last_xid[node] = 0
            self.cap_set[node] = self.cap[node] = DEFAULT_CAP_WATTS

    def switch_off(self, node: int) -> None:
        self.state[node] = NodeState.OFF

    def boot_done(self, node: int, seconds: float) -> None:
        if self.state[node] == NodeState.BOOTING:
            self.state[node] = NodeState.RUNNING
            self.booted_at[node] = seconds
            self.boots[node] += 1
            for told in self.on_boot:
                told(node)

    def step(
        self,
        seconds: float,
        now: float,
        *,
        powered: BoolArray,
        supply_celsius: FloatArray,
        coolant_watts_per_kelvin: FloatArray,
    ) -> None:
        """Move on by a step of at most half a second; `powered` and the coolant per node come from outside."""
        self.state[~powered] = NodeState.OFF
        blend = 1.0 - np.exp(-seconds / LOAD_TIME_CONSTANT_SECONDS)
        self.gpu_watts += (self._gpu_target(now) - self.gpu_watts) * blend
        self.gpu_watts[self.state == NodeState.OFF] = 0.0
        self.gpu_watts[~self.present] = 0.0
        np.minimum(self.gpu_watts, np.maximum(self.cap, GPU_IDLE_WATTS), out=self.gpu_watts)
        self.watts[:] = self._node_target(powered)
        self.gpu_joules += self.gpu_watts * seconds
        self._heat(seconds, supply_celsius, coolant_watts_per_kelvin)

    def _gpu_target(self, now: float) -> FloatArray:
        wave = 1.0 + 0.006 * np.sin(2 * np.pi * now / self._period + self._phase)
        noise = 1.0 + 0.004 * self.rng.standard_normal(self.gpu_watts.shape)
        busy = (self.state == NodeState.RUNNING) & (self.demand > 0.0)
        target = np.where(
            busy[:, None], np.minimum((self.demand * wave)[:, None] * noise, self.cap), GPU_IDLE_WATTS * noise
        )
        target[self.throttled] *= SLOWDOWN_SHARE
        target[(self.state == NodeState.OFF)[:, None] | ~self.present] = 0.0
        return target

    def _node_target(self, powered: BoolArray) -> FloatArray:
        gpus = self.gpu_watts.sum(axis=1)
        activity = np.clip((gpus - GPUS * GPU_IDLE_WATTS) / GPU_SPAN_WATTS, 0.0, 1.0)
        watts = FIXED_WATTS + FAN_WATTS * activity + gpus
        watts[self.state == NodeState.BOOTING] = BOOTING_WATTS
        watts[self.state == NodeState.OFF] = STANDBY_WATTS
        watts[~powered] = 0.0
        return np.asarray(watts)

    def _heat(self, seconds: float, supply_celsius: FloatArray, coolant_watts_per_kelvin: FloatArray) -> None:
        into_coolant = (self.gpu_celsius - self.coolant_celsius) / JUNCTION_KELVIN_PER_WATT
        carried = (self.coolant_celsius - supply_celsius[:, None]) * coolant_watts_per_kelvin[:, None]
        self.gpu_celsius += (self.gpu_watts - into_coolant) * (seconds / self._die)
        self.coolant_celsius += (into_coolant - carried) * (seconds / self._trapped)
        self.throttled |= self.gpu_celsius >= SLOWDOWN_CELSIUS
        self.throttled &= self.gpu_celsius > RESUME_CELSIUS
        for node in np.flatnonzero((self.gpu_celsius >= SHUTDOWN_CELSIUS).any(axis=1)):
            self.switch_off(int(node))
