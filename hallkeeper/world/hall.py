"""The hall put together: plant, devices and bus for ever, processes that come and go."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from bus.port import Message, Record
from devices.orders import Order, Remember, Writer
from fleet.loader import load_site
from fleet.model import Site, Wire
from fleet.settings import Settings
from hallkeeper.world.bus import Log, VirtualBus
from hallkeeper.world.cluster import WorldCluster
from hallkeeper.world.disk import Disk
from hallkeeper.world.loop import VirtualLoop
from hallkeeper.world.network import Network
from hallkeeper.world.power_devices import PowerDevices
from hallkeeper.world.power_writers import BmcWriter, PduWriter
from hallkeeper.world.process import Point, Process, ProcessClock
from hallkeeper.world.truth import ServerTruth, Truth
from hallkeeper.world.web_devices import TOKEN, Handle, Server, VirtualAgentWriter, VirtualKubernetesWriter
from simulator.faults import Faults
from simulator.kube.api import KubeApi
from simulator.kube.cluster import Cluster
from simulator.layout import Layout
from simulator.nodeagent.jobs import Checkpoints
from simulator.nodeagent.server import NodeAgent
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.secretfiles import SiteSecrets
from simulator.settings import PlantSettings
from simulator.sitefile import invented_ports, write_site
from simulator.workload import Workload

START_MS = 1_767_225_600_000
"""2026-01-01 00:00 UTC."""
STEP_SECONDS = 1.0
COARSE_SCHEDULER_SECONDS = 3
COARSE_PATIENCE = 3.0
RESTART_SECONDS = 2.0
"""After which the supervisor starts a process again that ended by itself."""
SCHEDULER = "k8s-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What many runs share: the shape of the site, its file, its settings."""

    layout: Layout
    folder: Path
    """Of the site file and its secrets."""
    settings: Settings
    site: Site

    @classmethod
    def made(cls, folder: Path, layout: Layout, settings: Settings, plant: PlantSettings | None = None) -> "Ground":
        """Write the site's file and the secrets that it names."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_text("none\n")
        SiteSecrets().write(folder)
        write_site(folder, layout, invented_ports(layout), plant or PlantSettings())
        site = load_site(folder / "site.yaml")
        return cls(layout=layout, folder=folder, settings=settings, site=site)


@dataclass(slots=True)
class Hall:
    """One run's world: what is there without the product, and what the product's processes are given."""

    loop: VirtualLoop
    site: Site
    settings: Settings
    """With this run's own data folder."""
    plant: Plant
    seed: int
    coarse: bool = False
    """For speed: instruments are asked in bursts, and the scheduler's controllers look every few seconds."""
    point: Point = lambda _process, _name: None
    restart: Callable[[str], None] = lambda _process: None
    reach: Reach = field(init=False)
    workload: Workload = field(init=False)
    cluster: Cluster = field(init=False)
    faults: Faults = field(init=False)
    network: Network = field(init=False)
    truth: Truth = field(init=False)
    log: Log = field(init=False)
    disk: Disk = field(default_factory=Disk)
    power: PowerDevices = field(init=False)
    servers: dict[str, Server] = field(init=False)
    checkpoints: Checkpoints = field(init=False)
    processes: dict[str, Process] = field(default_factory=dict)
    watchers: list[Callable[[], None]] = field(default_factory=list)
    """Called after every step of the plant."""
    before: list[Callable[[], None]] = field(default_factory=list)
    """Called before every step of the plant."""
    wall_offset_ms: int = 0
    """By how much the host's wall clock is wrong."""
    fallen: list[tuple[float, str, BaseException]] = field(default_factory=list)
    """Processes that ended by themselves: when, which, of what."""
    _epoch: float = 0.0

    def __post_init__(self) -> None:
        random = Random(self.seed)
        tokens = Random(random.getrandbits(64))
        self.reach = Reach(self.plant)
        self.workload = Workload(self.plant)
        self.cluster = Cluster(self.reach, self.workload, token=lambda: tokens.randbytes(8))
        self.plant.settle()
        self.cluster.nodes.reset_heartbeats()
        self._epoch = self.plant.now
        self.faults = Faults(self.reach)
        self.network = Network(Random(random.getrandbits(64)))
        self.truth = Truth(self.now_ms, self.boottime_ns)
        self.log = Log(self.loop, START_MS, Random(random.getrandbits(64)))
        self.log.patience = COARSE_PATIENCE if self.coarse else 1.0
        self.power = PowerDevices(self.plant, self.reach, self.network, self.truth)
        self.checkpoints = Checkpoints(self.plant)
        self.servers = self._served()

    @property
    def epoch_ms(self) -> int:
        """Unix time of the plant's zero."""
        return START_MS - round(1000 * self._epoch)

    def now_ms(self) -> int:
        """True Unix time."""
        return START_MS + int(self.loop.time() * 1000)

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME of every host."""
        return round(self.loop.time() * 1e9)

    # nature

    async def nature(self) -> None:
        """The plant, its workload and its scheduler live on, second by second."""
        every, second = (COARSE_SCHEDULER_SECONDS if self.coarse else 1), 0
        while True:
            await asyncio.sleep(STEP_SECONDS)
            for act in self.before:
                act()
            self.plant.step(STEP_SECONDS)
            second += 1
            if second % every == 0:
                self.workload.sweep()
                self.cluster.step()
            for look in self.watchers:
                look()

    def _served(self) -> dict[str, Server]:
        truth = ServerTruth(self.truth)
        reach, tokens = self.reach, {TOKEN: True}
        api = KubeApi(
            name=SCHEDULER, cluster=self.cluster, truth=truth, tokens=tokens, answers=lambda: reach.device(SCHEDULER)
        )
        servers = {SCHEDULER: self._server(SCHEDULER, api.handle, lambda: reach.device(SCHEDULER), truth)}
        for node, name in enumerate(self.plant.layout.nodes):
            agent = NodeAgent(
                plant=self.plant, node=node, jobs_of=self.workload.jobs_on, checkpoints=self.checkpoints, truth=truth,
                tokens=tokens, unix_seconds_at=lambda at: START_MS / 1000 + at - self._epoch, speed=1.0, run_id="world",
            )  # fmt: skip
            servers[name] = self._server(name, agent.handle, partial(reach.agent, name), truth)
        return servers

    def _server(self, asset: str, handle: Handle, answers: Callable[[], bool], truth: ServerTruth) -> Server:
        slow = self.reach.delay_seconds
        return Server(
            asset, handle, answers=answers, truth=truth, network=self.network, slow_seconds=lambda: slow(asset)
        )

    # processes

    def process(self, name: str) -> Process:
        """A new process of that name; an older one must be dead."""
        before = self.processes.get(name)
        assert before is None or not before.alive
        made = Process(name, self.loop, start_ms=START_MS + self.wall_offset_ms, point=self._reached, fell=self._fell)
        self.processes[name] = made
        return made

    def _reached(self, process: str, name: str) -> None:
        self.point(process, name)

    def _fell(self, process: str, error: BaseException) -> None:
        """The supervisor starts again what ended by itself."""
        self.fallen.append((self.loop.time(), process, error))
        self.loop.call_later(RESTART_SECONDS, self.restart, process)

    def bus(self, process: Process) -> VirtualBus:
        """The bus as that process reaches it."""
        return VirtualBus(self.log, process)

    def cluster_for(self, process: Process) -> WorldCluster:
        """The scheduler as that process reads it."""
        return WorldCluster(
            self.cluster.store,
            process,
            lambda: self.reach.device(SCHEDULER),
            lambda: self.reach.delay_seconds(SCHEDULER),
        )

    def writers(self, process: Process, clock: ProcessClock, remember: Remember) -> Mapping[Wire, Callable[[], Writer]]:
        """The actuator's hands: one writer a wire."""

        def scheduler(_: Order) -> Server:
            return self.servers[SCHEDULER]

        def agent(order: Order) -> Server:
            return self.servers[str(order.asset)]

        return {
            Wire.IPMI: lambda: BmcWriter(self.power, process, clock, remember),
            Wire.SNMP: lambda: PduWriter(self.power, process, clock, remember),
            Wire.KUBERNETES: lambda: VirtualKubernetesWriter(scheduler, process, clock, remember),
            Wire.AGENT: lambda: VirtualAgentWriter(agent, process, clock, remember),
        }

    def records(self, topic: str) -> Sequence[Record]:
        """What the bus holds of a topic."""
        return self.log.records[topic]

    def put(self, *messages: Message) -> None:
        """Something comes onto the bus from outside."""
        self.log.put(messages)
