"""The nodes: off, booting, running or hung; their GPUs' power, temperature and presence; what each draws."""

import math
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


OFF, BOOTING, RUNNING = int(NodeState.OFF), int(NodeState.BOOTING), int(NodeState.RUNNING)
"""The same as plain integers, for comparisons of whole arrays."""


class Machines:
    """Arrays over nodes and (nodes, GPUs); `step` moves power and temperature, the other methods are switches."""

    def __init__(self, layout: Layout, *, rng: np.random.Generator, settings: PlantSettings) -> None:
        count = layout.node_count
        self.rng = rng
        self._die = settings.die_joules_per_kelvin
        self._trapped = settings.trapped_kilograms * COOLANT_JOULES_PER_KILOGRAM_KELVIN
        self._longest_heat_seconds = self._trapped * JUNCTION_KELVIN_PER_WATT * 0.15
        """The thermal model is explicit: with steps of a seventh of the plate's time constant it stays near the exact one."""
        self.state = np.full(count, NodeState.RUNNING, dtype=np.int8)
        self.present: BoolArray = np.ones((count, GPUS), dtype=np.bool_)
        self.demand: FloatArray = np.zeros(count)
        """Watts per GPU that the node's job asks for; 0 without a job."""
        self.cap_set: FloatArray = np.full((count, GPUS), DEFAULT_CAP_WATTS)
        self.cap: FloatArray = self.cap_set.copy()
        """The limit in force, a moment after it was set: the driver's, or the BMC's where that is lower."""
        self.bmc_cap: FloatArray = np.full(count, DEFAULT_CAP_WATTS)
        """What the BMC's limit of the whole node leaves each GPU."""
        self.gpu_watts: FloatArray = np.full((count, GPUS), GPU_IDLE_WATTS)
        self.gpu_celsius: FloatArray = np.full((count, GPUS), 40.0)
        self.coolant_celsius: FloatArray = np.full((count, GPUS), 38.0)
        self.gpu_joules: FloatArray = rng.uniform(1e9, 5e9, (count, GPUS))
        self.throttled: BoolArray = np.zeros((count, GPUS), dtype=np.bool_)
        self.watts: FloatArray = np.full(count, 2_000.0)
        self.into_loop_watts: FloatArray = np.zeros(count)
        """Heat of a node's GPUs that its coolant carries away."""
        self.booted_at: FloatArray = -rng.uniform(86_400.0, 40 * 86_400.0, count)
        """Virtual seconds at which the operating system came up."""
        self.boots = np.zeros(count, dtype=np.int64)
        self.last_xid = np.zeros((count, GPUS), dtype=np.int64)
        self.swing_ratio: FloatArray = np.zeros(count)
        """By how much the power of a node's GPUs falls in the quiet part of each iteration of its job."""
        self.swing_hertz: FloatArray = np.ones(count)
        self.plate_flow: FloatArray = np.ones((count, GPUS))
        """Flow through each cold plate, of what the loop offers it: less behind a half-shut coupling."""
        self.plate_resistance: FloatArray = np.ones((count, GPUS))
        """Thermal resistance of each plate, of a new one: fouling and dry paste raise it."""
        self.hot = False
        """Whether any GPU holds itself back for heat."""
        self._plates_differ = False
        self._swings = False
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

    def set_plate(self, node: int, gpu: int, *, flow: float = 1.0, resistance: float = 1.0) -> None:
        """Change one cold plate."""
        self.plate_flow[node, gpu], self.plate_resistance[node, gpu] = flow, resistance
        self._plates_differ = bool((self.plate_flow != 1.0).any() or (self.plate_resistance != 1.0).any())

    def set_swing(self, node: int, *, ratio: float, hertz: float) -> None:
        """Let a node's GPUs rest for half of each iteration of their job; 0 ends it."""
        self.swing_ratio[node], self.swing_hertz[node] = ratio, hertz
        self._swings = bool(self.swing_ratio.any())

    def switch_on(self, node: int) -> None:
        """Start to boot; a host that is not off stays as it is. Removal of power brings lost GPUs back."""
        if self.state[node] == NodeState.OFF:
            self.state[node] = NodeState.BOOTING
            self.present[node] = True
            self.last_xid[node] = 0
            self.cap_set[node] = DEFAULT_CAP_WATTS
            self.apply_caps(node)

    def apply_caps(self, node: int) -> None:
        """Let the limits that were set bite."""
        self.cap[node] = np.minimum(self.cap_set[node], self.bmc_cap[node])

    def restart(self, node: int) -> None:
        """The operating system begins anew without a loss of power: limits are the driver's own again."""
        self.state[node] = NodeState.BOOTING
        self.last_xid[node] = 0
        self.cap_set[node] = DEFAULT_CAP_WATTS
        self.apply_caps(node)

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
        self.state[~powered] = OFF
        blend = 1.0 - math.exp(-seconds / LOAD_TIME_CONSTANT_SECONDS)
        target = self._gpu_target(now)
        target -= self.gpu_watts
        target *= blend
        self.gpu_watts += target
        self.gpu_watts *= self.present & (self.state != OFF)[:, None]
        np.minimum(self.gpu_watts, self.cap, out=self.gpu_watts)
        self.watts[:] = self._node_target(powered)
        self.gpu_joules += self.gpu_watts * seconds
        self.into_loop_watts[:] = 0.0
        for _ in range(parts := math.ceil(seconds / self._longest_heat_seconds)):
            self.into_loop_watts += self._heat(seconds / parts, supply_celsius, coolant_watts_per_kelvin) / parts
        self._protect()

    def _gpu_target(self, now: float) -> FloatArray:
        wave = 1.0 + 0.006 * np.sin(2 * np.pi * now / self._period + self._phase)
        noise = self.rng.standard_normal(self.gpu_watts.shape, dtype=np.float32) * np.float32(0.004)
        busy = (self.state == RUNNING) & (self.demand > 0.0)
        if self._swings:
            quiet = np.sin(2 * np.pi * now * self.swing_hertz) < 0.0
            wave *= 1.0 - self.swing_ratio * quiet
        wanted = np.where(busy, self.demand * wave, GPU_IDLE_WATTS)[:, None]
        target = wanted + wanted * noise
        np.minimum(target, self.cap, out=target)
        if self.hot:
            target[self.throttled] *= SLOWDOWN_SHARE
        return np.asarray(target)

    def _node_target(self, powered: BoolArray) -> FloatArray:
        gpus = self.gpu_watts.sum(axis=1)
        activity = (gpus - GPUS * GPU_IDLE_WATTS) * (1.0 / GPU_SPAN_WATTS)
        np.minimum(np.maximum(activity, 0.0, out=activity), 1.0, out=activity)
        watts = gpus + (FIXED_WATTS + FAN_WATTS * activity)
        if self.state.min() < RUNNING:
            watts[self.state == BOOTING] = BOOTING_WATTS
            watts[self.state == OFF] = STANDBY_WATTS
        watts *= powered
        return np.asarray(watts)

    def _heat(self, seconds: float, supply_celsius: FloatArray, coolant_watts_per_kelvin: FloatArray) -> FloatArray:
        """Heat goes from dies to plates and from plates to the loop; what each node's loop takes, in watts."""
        per_kelvin = coolant_watts_per_kelvin[:, None]
        into_coolant = self.gpu_celsius - self.coolant_celsius
        into_coolant *= 1.0 / JUNCTION_KELVIN_PER_WATT
        if self._plates_differ:
            into_coolant /= self.plate_resistance
            per_kelvin = per_kelvin * self.plate_flow
        carried = self.coolant_celsius - supply_celsius[:, None]
        carried *= per_kelvin
        taken = carried.sum(axis=1)
        np.subtract(into_coolant, carried, out=carried)
        carried *= seconds / self._trapped
        self.coolant_celsius += carried
        np.subtract(self.gpu_watts, into_coolant, out=into_coolant)
        into_coolant *= seconds / self._die
        self.gpu_celsius += into_coolant
        return np.asarray(taken)

    def _protect(self) -> None:
        """The hardware's own protection: less power when hot, none when too hot."""
        hottest = self.gpu_celsius.max()
        if hottest >= SLOWDOWN_CELSIUS or self.hot:
            self.throttled |= self.gpu_celsius >= SLOWDOWN_CELSIUS
            self.throttled &= self.gpu_celsius > RESUME_CELSIUS
            self.hot = bool(self.throttled.any())
        if hottest >= SHUTDOWN_CELSIUS:
            for node in np.flatnonzero((self.gpu_celsius >= SHUTDOWN_CELSIUS).any(axis=1)):
                self.switch_off(int(node))
