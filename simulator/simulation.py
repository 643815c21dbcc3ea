"""The running site: every server bound on loopback in front of one plant, and the step that moves them all."""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from simulator.authority import server_context
from simulator.control import Control
from simulator.exporters.dcgm import DcgmExporter
from simulator.exporters.fabric import FabricExporter
from simulator.exporters.serve import metrics_handler
from simulator.faults import Faults
from simulator.generators import STRINGS
from simulator.http import Service, listen
from simulator.identity import derived_uuid
from simulator.ipmi.commands import Bmc
from simulator.ipmi.server import BmcServer
from simulator.ipmi.sessions import PRIVILEGE_ADMINISTRATOR, PRIVILEGE_USER, Account, Sessions
from simulator.kube.api import KubeApi
from simulator.kube.cluster import Cluster
from simulator.layout import Layout
from simulator.modbus.cdu import cdu_registers
from simulator.modbus.generator import generator_registers
from simulator.modbus.server import READ_HOLDING, READ_INPUT, Device, Registers, Write, listen_modbus
from simulator.modbus.setpoints import battery_write, cdu_set_points, cdu_write
from simulator.modbus.sunspec import battery_registers
from simulator.nodeagent.jobs import Checkpoints
from simulator.nodeagent.server import NodeAgent
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.scenarios.schema import Scenario
from simulator.scenarios.stage import Stage
from simulator.secretfiles import SiteSecrets
from simulator.settings import PlantSettings
from simulator.sitefile import Ports, write_site
from simulator.snmp.accounts import access_of
from simulator.snmp.agent import SnmpAgent, engine_id_of
from simulator.snmp.apc import ApcPdu
from simulator.snmp.eaton import EatonPdu
from simulator.truth import GroundTruth
from simulator.workload import Workload

STEP_SECONDS = 0.25
SUITES = frozenset({3, 17})
ENGINE_BOOTS = 1


class Closable(Protocol):
    """Something bound that can be let go."""

    def close(self) -> None: ...


@dataclass(slots=True)
class Simulation:
    """One site. `open` binds it, `run` moves it, `close` lets everything go."""

    directory: Path
    layout: Layout
    seed: int = 1
    speed: float = 1.0
    settings: PlantSettings = field(default_factory=PlantSettings)
    scenario: Scenario | None = None
    """What may happen here, once the control API begins it."""
    plant: Plant = field(init=False)
    reach: Reach = field(init=False)
    workload: Workload = field(init=False)
    cluster: Cluster = field(init=False)
    faults: Faults = field(init=False)
    truth: GroundTruth = field(init=False)
    control: Control = field(init=False)
    stage: Stage | None = field(init=False)
    ports: Ports = field(default_factory=Ports)
    secrets: SiteSecrets = field(default_factory=SiteSecrets)
    control_port: int = 0
    snmp_agents: dict[str, SnmpAgent] = field(default_factory=dict)
    _agents: list[NodeAgent] = field(default_factory=list)
    _events_seen: list[int] = field(default_factory=list)
    _open: list[Closable] = field(default_factory=list)
    _epoch_seconds: float = 0.0
    _run_id: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self.plant = Plant(self.layout, seed=self.seed, settings=self.settings)
        self.reach = Reach(self.plant)
        self.workload = Workload(self.plant)
        self.cluster = Cluster(self.reach, self.workload)
        self.plant.settle()
        self.cluster.nodes.reset_heartbeats()
        self.faults = Faults(self.reach)
        self.stage = None if self.scenario is None else Stage(self.scenario, self.faults)
        self._epoch_seconds = time.time() - self.plant.now / self.speed
        self._events_seen = [0] * self.layout.node_count

    def unix_seconds_at(self, plant_seconds: float) -> float:
        """Wall time of a moment of the plant."""
        return self._epoch_seconds + plant_seconds / self.speed

    def step(self, seconds: float) -> None:
        """Move the plant, then let everybody who lives on it look."""
        if self.stage is not None:
            self.stage.before_step()
        self.plant.step(seconds)
        if self.stage is not None:
            self.stage.after_step()
        self.workload.sweep()
        self.cluster.step()
        for node, agent in enumerate(self._agents):
            count = len(self.plant.events[node])
            if count != self._events_seen[node]:
                self._events_seen[node] = count
                agent.wake()

    async def run(self) -> None:
        """Follow real time at `speed` until cancelled. A late wake-up is made up for."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        self._epoch_seconds = time.time() - self.plant.now / self.speed
        while True:
            await asyncio.sleep(STEP_SECONDS - (loop.time() - last) % STEP_SECONDS)
            now = loop.time()
            self.step(min(now - last, 10.0) * self.speed)
            last = now

    async def open(self) -> None:
        """Bind every server, then write what a client needs: `ca.pem`, the secrets, and last `site.yaml`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.truth = GroundTruth(self.directory / "ground-truth.jsonl")
        self._open.append(self.truth)
        self.secrets.write(self.directory)
        tls = server_context(self.directory)
        for pdu in range(len(self.layout.pdus)):
            await self._open_pdu(pdu)
        checkpoints = Checkpoints(self.plant)
        for node in range(self.layout.node_count):
            await self._open_node(node, tls, checkpoints)
        await self._open_plant_devices()
        api = await self._open_kubernetes(tls)
        await self._open_control(api)
        write_site(self.directory, self.layout, self.ports, self.settings)

    def close(self) -> None:
        """Let every port and file go; safe after a failed `open`."""
        while self._open:
            self._open.pop().close()

    async def _udp(self, make: Callable[[], asyncio.DatagramProtocol]) -> int:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(make, local_addr=("127.0.0.1", 0))
        self._open.append(transport)
        return int(transport.get_extra_info("sockname")[1])

    # Power -----------------------------------------------------------------------------------------------------------

    async def _open_pdu(self, pdu: int) -> None:
        name, rack, started = self.layout.pdus[pdu], pdu // 2, time.monotonic()
        engine_id = engine_id_of(name)
        view = (ApcPdu if self.layout.is_apc(rack) else EatonPdu)(self.plant, pdu)
        mib = view.mib(engine_id=engine_id, boots=ENGINE_BOOTS, seconds=lambda: time.monotonic() - started)
        agent = SnmpAgent(
            name=name, mib=mib, access=access_of(self.layout, self.secrets, rack, engine_id), engine_id=engine_id, boots=ENGINE_BOOTS, started=started,
            truth=self.truth, reach=self.reach,
        )  # fmt: skip
        self.snmp_agents[name] = agent
        self.ports.pdus[name] = await self._udp(lambda: agent)

    # Nodes -----------------------------------------------------------------------------------------------------------

    async def _open_node(self, node: int, tls: ssl.SSLContext, checkpoints: Checkpoints) -> None:
        name, reach = self.layout.nodes[node], self.reach
        self.ports.bmcs[name] = await self._open_bmc(node)
        page = DcgmExporter(self.plant, node).page
        exporter = await listen(
            Service(
                handler=metrics_handler(page),
                answers=lambda: reach.exporter(name),
                delay_seconds=lambda: reach.delay_seconds(name),
            )
        )
        agent = NodeAgent(
            plant=self.plant, node=node, jobs_of=self.workload.jobs_on, checkpoints=checkpoints, truth=self.truth,
            tokens={self.secrets.agent_read.word: False, self.secrets.agent_write.word: True}, unix_seconds_at=self.unix_seconds_at, speed=self.speed,
            run_id=self._run_id,
        )  # fmt: skip
        self._agents.append(agent)
        served = await listen(
            Service(
                handler=agent.handle,
                answers=lambda: reach.agent(name),
                unheard=agent.unheard,
                delay_seconds=lambda: reach.delay_seconds(name),
            ),
            tls=tls,
        )
        self._open += (exporter, served)
        self.ports.exporters[name], self.ports.agents[name] = exporter.port, served.port

    async def _open_bmc(self, node: int) -> int:
        name, reach = self.layout.nodes[node], self.reach
        guid = derived_uuid("bmc", name).bytes
        logins = ((self.secrets.bmc_read, PRIVILEGE_USER), (self.secrets.bmc_write, PRIVILEGE_ADMINISTRATOR))
        accounts = {login.name.encode(): Account(login.word[:20].encode(), privilege) for login, privilege in logins}
        bmc = Bmc(
            plant=self.plant, node=node, guid=guid, unix_seconds_at=self.unix_seconds_at,
            lies=lambda: name in reach.lying_bmcs, seen=lambda *_: None,
        )  # fmt: skip
        sessions = Sessions(accounts=accounts, suites=SUITES, guid=guid)
        bmc.forget = sessions.forget_all
        server = BmcServer(
            name=name, bmc=bmc, sessions=sessions, suites=SUITES, truth=self.truth,
            answers=lambda: reach.bmc(name), loses_replies=lambda: name in reach.lossy, delay_seconds=lambda: reach.delay_seconds(name),
        )  # fmt: skip
        return await self._udp(lambda: server)

    # Cooling, battery, fabric ----------------------------------------------------------------------------------------

    async def _open_plant_devices(self) -> None:
        for row, name in enumerate(self.layout.cdus):
            registers = {READ_INPUT: cdu_registers(self.plant, row), READ_HOLDING: cdu_set_points(self.plant, row)}
            self.ports.cdus[name] = await self._open_modbus(name, registers, cdu_write(self.plant, row))
        battery = self.plant.battery
        self.ports.battery = await self._open_modbus(
            "bess-1", {READ_HOLDING: battery_registers(battery)}, battery_write(battery)
        )
        for place in range(STRINGS):
            name = f"gen-{place + 1}"
            self.ports.generators[name] = await self._open_modbus(
                name, {READ_INPUT: generator_registers(self.plant, place)}
            )
        for row, name in enumerate(self.layout.switches):
            self.ports.switches[name] = await self._open_page(name, FabricExporter(self.plant, row).page)

    async def _open_modbus(self, name: str, registers: Mapping[int, Registers], write: Write | None = None) -> int:
        reach = self.reach
        device = Device(
            name=name, unit=1, registers=registers, write=write, truth=self.truth, answers=lambda: reach.device(name),
            delay_seconds=lambda: reach.delay_seconds(name),
        )  # fmt: skip
        listener = await listen_modbus(device)
        self._open.append(listener)
        return listener.port

    async def _open_page(self, name: str, page: Callable[[], bytes]) -> int:
        reach = self.reach
        listener = await listen(
            Service(
                handler=metrics_handler(page),
                answers=lambda: reach.device(name),
                delay_seconds=lambda: reach.delay_seconds(name),
            )
        )
        self._open.append(listener)
        return listener.port

    # Kubernetes, control ---------------------------------------------------------------------------------------------

    async def _open_kubernetes(self, tls: ssl.SSLContext) -> KubeApi:
        reach = self.reach
        tokens = {self.secrets.kubernetes_read.word: False, self.secrets.kubernetes_write.word: True}
        api = KubeApi(
            name="k8s-1", cluster=self.cluster, truth=self.truth, tokens=tokens, answers=lambda: reach.device("k8s-1")
        )
        listener = await listen(
            Service(
                handler=api.handle,
                answers=lambda: reach.device("k8s-1"),
                unheard=api.unheard,
                delay_seconds=lambda: reach.delay_seconds("k8s-1"),
            ),
            tls=tls,
        )
        self._open.append(listener)
        self.ports.kubernetes = listener.port
        return api

    async def _open_control(self, api: KubeApi) -> None:
        self.control = Control(
            reach=self.reach,
            faults=self.faults,
            truth=self.truth,
            workload=self.workload,
            kube=api,
            speed=self.speed,
            stage=self.stage,
        )
        listener = await listen(Service(handler=self.control.handle))
        self._open.append(listener)
        self.control_port = listener.port
