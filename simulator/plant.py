"""The whole plant as a pure model in virtual time: `step(seconds)` moves it on, methods are commands to it.

Commands take effect a moment after they were accepted (1-2 s, below the 5 s that the site declares), as in real devices.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.battery import Battery
from simulator.cooling import Cooling
from simulator.fabric import Fabric
from simulator.gpuhealth import GpuHealth
from simulator.identity import DRIVER_VERSION
from simulator.layout import GPUS, Layout
from simulator.logs import NodeEvent, SelRecord, sxid_event, watchdog_record, xid_event
from simulator.machines import DEFAULT_CAP_WATTS, RUNNING, Machines, NodeState
from simulator.power import PowerTree
from simulator.sensors import Sensors
from simulator.settings import PlantSettings
from simulator.sources import Sources

if TYPE_CHECKING:
    from simulator.jobs import JobRun

LONGEST_STEP_SECONDS = 1.0
"""Commands fall due between parts of a longer step."""
CHASSIS_OFF_SECONDS = 1.5
CHASSIS_ON_SECONDS = 1.2
RELAY_SECONDS = 1.0
CAP_SECONDS = 0.8
BMC_BOOT_SECONDS = 6.0
WATCHDOG_SECONDS = 5.0
"""From the hang to the BMC's watchdog record."""
REBOOT_SECONDS = 2.0
"""From the order to the end of the old system."""
GPU_RESET_SECONDS = 8.0
"""`nvidia-smi -r` of one GPU: a default of ours."""


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
        self.battery = Battery(settings)
        self.sources = Sources(settings, self.power, self.battery)
        self.dead = np.zeros(layout.node_count, dtype=np.bool_)
        """Nodes whose power supplies are broken."""
        self.fabric = Fabric(layout.node_count, rng=rng)
        self.health = GpuHealth(layout.node_count)
        self.sensors = Sensors()
        self.straggling: NDArray[np.float64] = np.ones(layout.node_count)
        """By how much longer a step takes on a node."""
        self.job_runs: dict[str, JobRun] = {}
        """How jobs get on, by `namespace/name`; the workload fills it."""
        self.poisoned: set[str] = set()
        """Jobs that crash every host that runs them."""
        self.driver_versions = [DRIVER_VERSION] * layout.node_count
        self.clock_offset_seconds: NDArray[np.float64] = np.zeros(layout.node_count)
        """How far each node's clock is off."""
        count = layout.node_count
        self.wanted_on: NDArray[np.bool_] = np.ones(count, dtype=np.bool_)
        """The chassis latch: what the node does when its supply comes back."""
        self.bmc_up_at: NDArray[np.float64] = np.zeros(count)
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
        for _ in range(120):
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
        live = self.power.live_outlets()
        powered = live[:, 0] | live[:, 1]
        self._follow_supplies(powered)
        self.machines.step(
            seconds,
            self.now,
            powered=powered,
            supply_celsius=self.cooling.supply_by_node(),
            coolant_watts_per_kelvin=self.cooling.per_gpu_watts_per_kelvin(),
        )
        self.power.step(seconds, self.machines.watts, live)
        self.cooling.step(seconds, self.machines.watts)
        self.sources.step(seconds)
        up = self.fabric_up()
        self.fabric.step(seconds, up & (self.machines.demand > 0.0), up)
        self.health.step(seconds, self.machines)

    def _follow_supplies(self, powered: NDArray[np.bool_]) -> None:
        if np.array_equal(powered, self._was_powered):
            return
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
        if self._orders[node] != order or self.dead[node] or not self.power.powered()[node]:
            return
        if self.machines.state[node] != NodeState.OFF:
            return
        self.machines.switch_on(node)
        self.health.reset(node, list(range(GPUS)))
        self._boot(node)

    def _boot(self, node: int) -> None:
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
        self.machines.cap[node, gpus] = np.minimum(self.machines.cap_set[node, gpus], self.machines.bmc_cap[node])

    def reset_gpus(self, node: int, gpus: Sequence[int]) -> None:
        """What the driver does for `nvidia-smi -r`: pending rows are remapped; a GPU off the bus stays lost."""
        chosen = list(gpus)
        self.after(GPU_RESET_SECONDS, lambda: self._reset_now(node, chosen))

    def _reset_now(self, node: int, gpus: list[int]) -> None:
        if self.machines.state[node] == NodeState.RUNNING:
            self.health.reset(node, gpus)
            self.machines.last_xid[node, gpus] = 0
            self.machines.cap_set[node, gpus] = DEFAULT_CAP_WATTS
            self._cap_now(node, gpus)

    def reboot(self, node: int) -> None:
        """The operating system restarts itself; power stays on, so a GPU off the bus stays lost."""
        if self.machines.state[node] == NodeState.RUNNING:
            self._orders[node] += 1
            order = self._orders[node]
            self.after(REBOOT_SECONDS, lambda: self._reboot_now(node, order))

    def _reboot_now(self, node: int, order: int) -> None:
        if self._orders[node] == order and self.machines.state[node] == NodeState.RUNNING:
            self.machines.restart(node)
            self.health.reset(node, list(range(GPUS)))
            self._boot(node)

    # Faults ---------------------------------------------------------------------------------------------------------

    def hang(self, node: int) -> None:
        """The host stops doing anything; its BMC's watchdog notices."""
        if self.machines.state[node] == NodeState.RUNNING:
            self.machines.state[node] = NodeState.HUNG
            self.after(WATCHDOG_SECONDS, lambda: self._watchdog(node))

    def _watchdog(self, node: int) -> None:
        if self.machines.state[node] == NodeState.HUNG:
            self.sel[node].append(watchdog_record(self.now))

    def unhang(self, node: int) -> None:
        if self.machines.state[node] == NodeState.HUNG:
            self.machines.state[node] = NodeState.RUNNING

    def drop_gpu(self, node: int, gpu: int) -> None:
        """The GPU falls off the bus: gone from every reading until the node's power was removed."""
        if not 0 <= gpu < GPUS:
            raise ValueError(f"gpu {gpu}: a node has GPUs 0 to {GPUS - 1}")
        self.machines.present[node, gpu] = False
        self.log_xid(node, gpu, 79, "GPU has fallen off the bus.")

    def log_xid(self, node: int, gpu: int, code: int, text: str) -> None:
        """The driver writes an error of a GPU to the kernel's log; a host that does not run writes nothing."""
        if self.machines.state[node] != NodeState.RUNNING:
            return
        self.machines.last_xid[node, gpu] = code
        self.events[node].append(xid_event(self.now, gpu, code, text))

    def log_sxid(self, node: int, code: int, *, fatal: bool) -> None:
        """The driver of the NVSwitches writes an error: one switch of the node, not one GPU."""
        if self.machines.state[node] == NodeState.RUNNING:
            self.events[node].append(sxid_event(self.now, code, fatal=fatal))

    def die(self, node: int) -> None:
        """The node's power supplies are gone: nothing of it runs or starts again, and it draws next to nothing."""
        self.dead[node] = True
        self.machines.switch_off(node)

    # What others ask ------------------------------------------------------------------------------------------------

    def fabric_up(self) -> NDArray[np.bool_]:
        """Whether each node's fabric port is active: the host has to run, and the link to be up."""
        return np.asarray((self.machines.state == RUNNING) & ~self.fabric.cut)

    @property
    def fabric_bytes(self) -> NDArray[np.float64]:
        """What each node's port has carried."""
        return self.fabric.bytes

    def nodes_of_job(self, key: str) -> list[int]:
        """Where a job of the default workload was placed at the start."""
        return [self.layout.node_index[name] for name, (job, _) in self.layout.placement.items() if job.key == key]

    def healthy(self) -> NDArray[np.bool_]:
        """Nodes whose host runs with all of its GPUs and its fabric port."""
        return np.asarray(self.fabric_up() & self.machines.present.all(axis=1))

    def slowness(self) -> NDArray[np.float64]:
        """How much longer a step takes on each node: its own slowness, and what its power limits cost it."""
        wanted = np.maximum(self.machines.demand, 1.0)
        limited = np.maximum(wanted / self.machines.cap.min(axis=1), 1.0)
        return np.asarray(self.straggling * np.sqrt(limited))

    def bmc_alive(self, node: int) -> bool:
        """A BMC lives on any live outlet, a few seconds after it came."""
        return bool(self._was_powered[node]) and self.now >= self.bmc_up_at[node]
