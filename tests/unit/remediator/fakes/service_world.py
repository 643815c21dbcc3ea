"""The whole corrective service over the fake site: alerts in, ground truth and pages out."""

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from bus.events import AlertEvent, AlertState, CommandEvent, IncidentEvent, RemediationEvent, decode_event, encode_event
from bus.identity import alert_id, fingerprint
from bus.port import Message
from bus.signing import SigningKey, sign
from bus.topics import ALERTS, COMMANDS, INCIDENTS, REMEDIATIONS
from fleet.clock import VirtualClock
from fleet.settings import Keys, PlaybookMode, Remediation, Settings, TrustedKey
from remediator.service import RemediatorService
from tests.unit.remediator.fakes.actuator import FakeActuator
from tests.unit.remediator.fakes.bus import FakeBus
from tests.unit.remediator.fakes.plant import FakeCluster, FakePlant
from tests.unit.remediator.fakes.sitefile import make_site
from tests.unit.remediator.fakes.window import FakeWindow

HUNG = ("node.yaml/node/NodeHung", "NodeHung")
FELL_OFF = ("gpu.yaml/gpu/GpuFellOffBus", "GpuFellOffBus")
HEARTBEAT = ("node.yaml/node/NodeHeartbeatLost", "NodeHeartbeatLost")
BMC_SILENT = ("node.yaml/node/BmcSilent", "BmcSilent")
TOGETHER = ("node.yaml/zone/NodesSilentTogether", "NodesSilentTogether")
FEED_LOST = ("power.yaml/pdu/PduFeedLost", "PduFeedLost")
OVERLOAD = ("power.yaml/pdu/PduPhaseOverload", "PduPhaseOverload")


class SilentWindow(FakeWindow):
    """Frames come from the plant directly."""

    def append(self, _frame: object) -> None:
        pass


class Serving:
    """One service, or several, over one bus and one plant."""

    def __init__(self, folder: Path, *, racks: int = 5, mode: str = "enforce", bus_url: str = "embedded") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.clock = VirtualClock()
        self.site = make_site(folder, racks=racks)
        self.bus = FakeBus(self.clock)
        self.window = SilentWindow()
        self.plant = FakePlant(self.site, self.clock, self.window)
        self.actuator = FakeActuator(self.plant, self.clock, self.data)
        self.service_key = SigningKey.from_seed(b"s" * 32)
        self.operator = SigningKey.from_seed(b"o" * 32)
        self.admin = SigningKey.from_seed(b"a" * 32)
        self.stranger = SigningKey.from_seed(b"x" * 32)
        self.service_key.save(folder / "service.json") if not (folder / "service.json").exists() else None
        modes = {name: PlaybookMode(default=mode) for name in ("node-hung", "gpu-fell-off-bus", "phase-overload")}
        trusted = {
            key.key_id: TrustedKey(public=key.public, role=role, name=name)
            for key, role, name in (
                (self.service_key, "service", "hallkeeper"),
                (self.operator, "operator", "alice"),
                (self.admin, "admin", "bob"),
            )
        }
        self.settings = Settings(
            site=folder / "site.yaml",
            data=self.data,
            bus=bus_url,
            remediation=Remediation(modes=modes),
            keys=Keys(sign="file:service.json", trusted=trusted),
        )
        self.settings._base = folder
        self._commands = 0
        self.tasks: list[asyncio.Task] = []

    def service(self, **seams: object) -> RemediatorService:
        return RemediatorService(
            self.site,
            self.bus,
            self.clock,
            self.settings,
            CollectorRegistry(),
            actuator=self.actuator,
            cluster=FakeCluster(self.plant),
            window=self.window,
            **seams,
        )

    @asynccontextmanager
    async def running(self, *, warm_seconds: int = 40):
        plant = asyncio.create_task(self.plant.run())
        task = self.start()
        try:
            await self.clock.advance(warm_seconds)
            yield self
            for running in self.tasks:
                if running.done() and not running.cancelled():
                    running.result()
        finally:
            plant.cancel()
            await self.stop(*self.tasks)
            await asyncio.gather(plant, return_exceptions=True)
        del task

    def start(self, **seams: object) -> asyncio.Task:
        task = asyncio.create_task(self.service(**seams).run())
        self.tasks.append(task)
        return task

    async def stop(self, *tasks: asyncio.Task) -> None:
        for task in tasks:
            task.cancel()
        gone = asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(200):
            if gone.done():
                break
            await self.clock.advance(1)
        for task in tasks:
            if task in self.tasks:
                self.tasks.remove(task)

    # what others put on the bus

    def alert(self, rule: tuple[str, str], state: str = "firing", severity: str = "critical", **labels: str) -> str:
        uid, name = rule
        wanted = {"alertname": name, "severity": severity, **labels}
        if "asset" in labels:
            asset = self.site.asset(labels["asset"])
            wanted |= {k: v for k, v in asset.labels.items() if k in {"node", "rack", "zone"}}
        mark = fingerprint(wanted)
        key = alert_id(uid, mark)
        self._since = getattr(self, "_since", {})
        since = self._since.setdefault(key, self.clock.now_ms())
        if state == "resolved":
            self._since.pop(key)
        event = AlertEvent(
            alert_id=key,
            rule=uid,
            alertname=name,
            state=AlertState(state),
            severity=severity,
            labels=wanted,
            annotations={"summary": f"{name} on {labels}"},
            value=1.0,
            active_since_ms=since,
            evaluated_at_ms=self.clock.now_ms(),
            fingerprint=mark,
            group_interval_seconds=1.0,
        )
        self.bus.put(Message(ALERTS, event.key(), encode_event(event)))
        return key

    def command(self, kind: str, subject: str, *, key: SigningKey | None = None, **fields: object) -> None:
        self._commands += 1
        event = CommandEvent(
            command_id=f"c{self._commands}",
            kind=kind,
            subject=subject,
            actor="somebody",
            role="operator",
            reason=str(fields.pop("reason", "because")),
            at_ms=self.clock.now_ms(),
            **fields,
        )
        value = encode_event(event)
        self.bus.put(Message(COMMANDS, event.key(), value, sign(value, key or self.operator)))

    # what came of it

    def incidents(self) -> dict[str, IncidentEvent]:
        found = {}
        for record in self.bus.log[INCIDENTS]:
            found[record.key] = decode_event(record.value)
        return found

    def pages(self) -> list[str]:
        """Incidents of which a person was ever told."""
        return sorted({r.key for r in self.bus.log[INCIDENTS] if decode_event(r.value).pages})

    def remediations(self) -> dict[str, RemediationEvent]:
        return {record.key: decode_event(record.value) for record in self.bus.log[REMEDIATIONS]}

    def phases(self, target: str) -> list[str]:
        return [event.phase for r in self.bus.log[REMEDIATIONS] if (event := decode_event(r.value)).target == target]
