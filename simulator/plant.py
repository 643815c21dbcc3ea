"""The whole plant as a pure model in virtual time: `step(seconds)` moves it on, methods are commands to it.

Commands take effect a moment after they were accepted (1-2 s, below the 5 s that the site declares), as in real devices.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.battery import Battery
from simulator.cooling import Cooling
from simulator.identity import pci_bus_id
from simulator.layout import GPUS, Layout
from simulator.machines import Machines, NodeState
from simulator.power import PowerTree
from simulator.settings import PlantSettings

LONGEST_STEP_SECONDS = 0.5
"""The thermal model is explicit: longer steps would make it swing."""
CHASSIS_OFF_SECONDS = 1.5
CHASSIS_ON_SECONDS = 1.2
RELAY_SECONDS = 1.0
CAP_SECONDS = 0.8
BMC_BOOT_SECONDS = 6.0
WATCHDOG_SECONDS = 5.0
"""From the hang to the BMC's watchdog record."""
SEL_WATCHDOG2 = (0x23, 0x00)
"""Sensor type Watchdog 2, offset 0: timer expired, status only."""
FABRIC_BYTES_PER_SECOND = 18e9


@dataclass(frozen=True, slots=True)
class SelRecord:
    """One record of a BMC's event log, before encoding."""

    at_seconds: float
    sensor_type: int
    offset: int
    sensor_number: int


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """One event that the node's kernel logged and its agent hands out."""

    at_seconds: float
    kind: str
    code: str
    gpu: int
    text: str


class Plant:
    """Machines, power tree, cooling and battery with one virtual clock; the only state of the physical site."""

    def __init__(
        self, layout: Layout, *, seed: int, boot_seconds: float = 20.0, settings: PlantSettings | None = None
    ) -> None:
        settings = settings or PlantSettings()
        rng = np.random.default_rng(seed)
        self.layout = layout
        self.settings = settings
        self.rng = rng
        self.boot_seconds = boot_seconds
        self.now = 0.0
        """Virtual seconds since the start."""
        self.tick = 0
        """Grows with every step: what was rendered from the plant is old when this has moved."""
        self.machines = Machines(layout, rng=rng, settings=settings)
        self.power = PowerTree(layout, rng=rng)
        self.cooling = Cooling(layout, rng=rng, settings=settings)
        self.battery = Battery()
        count = layout.node_count
        self.wanted_on: NDArray[np.bool_] = np.ones(count, dtype=np.bool_)
        """The chassis latch: what the node does when its supply comes back."""
        self.bmc_up_at: NDArray[np.float64] = np.zeros(count)
        self.fabric_bytes: NDArray[np.float64] = rng.uniform(1e12, 1e14, count)
        self.sel: list[list[SelRecord]] = [[] for _ in range(count)]
        self.events: list[list[NodeEvent]] = [[] for _ in range(count)]
        self._was_powered = self.power.powered()
        self._orders = np.zeros(count, dtype=np.int64)
        self._starts = np.zeros(count, dtype=np.int64)
        self._sequence = itertools.count()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def settle(self) -> None:
        """Reach the steady state of the present jobs, before anybody looks."""
        self.machines.settle(
            supply_celsius=float(self.cooling.supply_celsius.mean()),
            coolant_watts_per_kelvin=float(self.cooling.per_gpu_watts_per_kelvin().mean()),
        )
        for _ in range(240):
            self.step(LONGEST_STEP_SECONDS)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Run `act` once that much virtual time has passed; in order of time, then of asking."""
        heapq.heappush(self._timers, (self.now + seconds, next(self._sequence), act))

    def step(self, seconds: float) -> None:
        """Let time pass: due commands first, then currents, heat and counters."""
        while seconds > 1e-9:
            part = min(seconds, LONGEST_STEP_SECONDS)
            seconds -= part
            self.now += part
            self._run_timers()
            self._flow(part)
        self.tick += 1

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.now:
            heapq.heappop(self._timers)[2]()

    def _flow(self, seconds: float) -> None:
        powered = self.power.powered()
        self._follow_supplies(powered)
        self.machines.step(
            seconds,
            self.now,
            powered=powered,
            supply_celsius=self.cooling.supply_by_node(),
            coolant_watts_per_kelvin=self.cooling.per_gpu_watts_per_kelvin(),
        )
        self.power.step(seconds, self.machines.watts)
        self.cooling.step(seconds, self.machines.watts)
        self.battery.step(seconds)
        moving = (self.machines.state == NodeState.RUNNING) & (self.machines.demand > 0.0)
        self.fabric_bytes += np.where(moving, FABRIC_BYTES_PER_SECOND, 2e3 * self.fabric_up()) * seconds

    def _follow_supplies(self, powered: NDArray[np.bool_]) -> None:
        for node in np.flatnonzero(powered & ~self._was_powered).tolist():
            self.bmc_up_at[node] = self.now + BMC_BOOT_SECONDS
            if self.wanted_on[node]:
                self._order_on(node, delay_seconds=CHASSIS_ON_SECONDS)
        self._was_powered = powered

    # Commands ------------------------------------------------------------------------------------------------------

    def chassis(self, node: int, *, on: bool) -> None:
        """The BMC's chassis control: off cuts the host's power hard, on starts it."""
        self.wanted_on[node] = on
        if on:
            self._order_on(node, delay_seconds=CHASSIS_ON_SECONDS)
            return
        self._orders[node] += 1
        order = self._orders[node]
        self.after(CHASSIS_OFF_SECONDS, lambda: self._off_now(node, order))

    def _off_now(self, node: int, order: int) -> None:
        if self._orders[node] == order:
            self.machines.switch_off(node)

    def _order_on(self, node: int, *, delay_seconds: float) -> None:
        self._orders[node] += 1
        order = self._orders[node]
        self.after(delay_seconds, lambda: self._on_now(node, order))

    def _on_now(self, node: int, order: int) -> None:
        if self._orders[node] != order or not self.power.powered()[node] or self.machines.state[node] != NodeState.OFF:
            return
        self.machines.switch_on(node)
        self._starts[node] += 1
        start = self._starts[node]
        self.after(self.boot_seconds, lambda: self._up_now(node, start))

    def _up_now(self, node: int, start: int) -> None:
        if self._starts[node] == start:
            self.machines.boot_done(node, self.now)

    def switch_outlet(self, node: int, side: int, *, on: bool, delay_seconds: float = 0.0) -> None:
        """Open or close a node's relay on one PDU after the PDU's own delay."""
        self.power.pending[node, side] = 1 if on else -1
        self.after(RELAY_SECONDS + delay_seconds, lambda: self._relay_now(node, side, on=on))

    def _relay_now(self, node: int, side: int, *, on: bool) -> None:
        if self.power.pending[node, side] == (1 if on else -1):
            self.power.relay[node, side] = on
            self.power.pending[node, side] = 0

    def limit_power(self, node: int, gpus: Sequence[int], watts: float) -> None:
        """Set the power limit of some GPUs of a node; it bites a moment later."""
        chosen = list(gpus)
        self.machines.cap_set[node, chosen] = watts
        self.after(CAP_SECONDS, lambda: self._cap_now(node, chosen))

    def _cap_now(self, node: int, gpus: list[int]) -> None:
        self.machines.cap[node, gpus] = self.machines.cap_set[node, gpus]

    # Faults ---------------------------------------------------------------------------------------------------------

    def hang(self, node: int) -> None:
        """The host stops doing anything; its BMC's watchdog notices."""
        if self.machines.state[node] == NodeState.RUNNING:
            self.machines.state[node] = NodeState.HUNG
            self.after(WATCHDOG_SECONDS, lambda: self._watchdog(node))

    def _watchdog(self, node: int) -> None:
        if self.machines.state[node] == NodeState.HUNG:
            self.sel[node].append(SelRecord(self.now, *SEL_WATCHDOG2, sensor_number=0x60))

    def unhang(self, node: int) -> None:
        if self.machines.state[node] == NodeState.HUNG:
            self.machines.state[node] = NodeState.RUNNING

    def drop_gpu(self, node: int, gpu: int) -> None:
        """The GPU falls off the bus: gone from every reading until the node's power was removed."""
        if not 0 <= gpu < GPUS:
            raise ValueError(f"gpu {gpu}: a node has GPUs 0 to {GPUS - 1}")
        self.machines.present[node, gpu] = False
        self.machines.last_xid[node, gpu] = 79
        text = f"NVRM: Xid (PCI:{pci_bus_id(gpu)[4:-2].lower()}): 79, GPU has fallen off the bus."
        self.events[node].append(NodeEvent(self.now, "xid", "79", gpu, text))

    # What others ask ------------------------------------------------------------------------------------------------

    def fabric_up(self) -> NDArray[np.bool_]:
        """Whether each node's fabric port is active: the host has to run."""
        return np.asarray(self.machines.state == NodeState.RUNNING)

    def bmc_alive(self, node: int) -> bool:
        """A BMC lives on any live outlet, a few seconds after it came."""
        return bool(self._was_powered[node]) and self.now >= self.bmc_up_at[node]
