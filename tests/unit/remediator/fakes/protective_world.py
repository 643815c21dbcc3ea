"""The protective service over the fake site: its own meters in, ground truth and proofs out."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import numpy as np
from prometheus_client import CollectorRegistry

from bus.frames import Frame, SeriesTable, decode, values_of
from devices.reading import Reading
from fleet.errors import Unreachable
from fleet.model import AssetId, Kind
from remediator.protective import ProtectiveService
from tests.unit.remediator.fakes.actuator import FakeActuator
from tests.unit.remediator.fakes.plant import FakeCluster
from tests.unit.remediator.fakes.service_world import Serving, SilentWindow
from tests.unit.remediator.fakes.window import FakeWindow


class FrameWindow(FakeWindow):
    """Takes frames and tables as the live window does."""

    def __init__(self) -> None:
        super().__init__()
        self._tables: dict[int, SeriesTable] = {}

    def append(self, value: bytes) -> None:
        found = decode(value)
        if isinstance(found, SeriesTable):
            self._tables[found.layout] = found
            return
        assert isinstance(found, Frame)
        table = self._tables[found.layout]
        for (name, labels), number in zip(table.series, values_of(found), strict=True):
            self.put(name, float(number), found.at, **dict(labels))


class FakeMeters:
    """Every PDU, at once and exact; a test may silence some."""

    def __init__(self, world: "Protecting") -> None:
        self._world = world
        self._series: dict[tuple, tuple] = {}

    async def read(self, pdu: AssetId, due: frozenset[str]) -> Sequence[Reading]:
        await asyncio.sleep(0)
        if pdu in self._world.silent_meters:
            raise Unreachable(f"{pdu}: silent")
        return [self._reading(pdu, signal) for signal in sorted(due)]

    def _reading(self, pdu: AssetId, signal: str) -> Reading:
        values = self._world.currents(pdu) if signal == "inlet" else self._world.outlets(pdu)
        values = {key: value for key, value in values.items() if (pdu, key) not in self._world.lost_phases}
        name, label = (
            ("pdu_phase_current_amperes", "phase") if signal == "inlet" else ("pdu_outlet_power_watts", "outlet")
        )
        key = (pdu, signal, tuple(values))
        series = self._series.setdefault(key, tuple((name, ((label, each),)) for each in values))
        return Reading(
            series=series,
            values=np.array(list(values.values()), dtype=np.float64),
            at_ms=self._world.clock.now_ms(),
            signal=signal,
        )


class FakeAlarms:
    """The rule's word: a phase at 99 % of its rating for two seconds."""

    def __init__(self, world: "Protecting") -> None:
        self._world = world
        self._since: dict[AssetId, int] = {}

    def append(self, _frame: bytes) -> None:
        pass

    def firing(self, now_ms: int) -> frozenset[AssetId]:
        for pdu in self._world.site.of_kind(Kind.PDU):
            over = any(a >= 0.99 * pdu.ratings["rated_amperes"] for a in self._world.currents(pdu.id).values())
            if over and pdu.id not in self._world.silent_meters:
                self._since.setdefault(pdu.id, now_ms)
            else:
                self._since.pop(pdu.id, None)
        return frozenset(pdu for pdu, since in self._since.items() if now_ms - since >= 2_000)


class Protecting(Serving):
    """One protective service."""

    def __init__(self, folder: Path, *, racks: int = 4, mode: str = "enforce") -> None:
        super().__init__(folder, racks=racks, mode=mode)
        self.own = FrameWindow()
        self.wider = SilentWindow()
        self.plant.window = self.wider
        self.guard = FakeActuator(self.plant, self.clock, self.data)
        self.silent_meters: set[str] = set()
        self.lost_phases: set[tuple[str, str]] = set()
        self.rated: dict[str, float] = {}

    def outlets(self, pdu: AssetId) -> dict[str, float]:
        found = [self.site.asset(below) for below in sorted(self.site.graph.downstream(pdu))]
        return {
            o.labels["outlet"]: 0.0 if pdu in self.plant.dead_pdus else self.plant.outlet_watts(o.id)
            for o in found
            if o.kind is Kind.OUTLET
        }

    def currents(self, pdu: AssetId) -> dict[str, float]:
        phases = {"1": 0.0, "2": 0.0, "3": 0.0}
        for outlet, watts in self.outlets(pdu).items():
            phases[str(int(self.site.asset(f"{pdu}#{outlet}").ratings["phase"]))] += watts / 230.0
        return phases

    def worst(self, pdu: str) -> float:
        return max(self.currents(AssetId(pdu)).values()) / self.site.asset(pdu).ratings["rated_amperes"]

    def tell_jobs(self) -> None:
        """What the collectors know of jobs and GPUs."""
        now = self.clock.now_ms()
        for series in list(self.wider._series["fleet_job_info"]):
            self.wider._series["fleet_job_info"].pop(series)
        for pod in self.plant.pods.values():
            tier = self.plant.jobs[pod.job].tier.lower()
            self.wider.put("fleet_job_info", 1, now, job_id=pod.job, node=pod.node, priority=f"{tier}-x")
        for node in self.plant.nodes.values():
            labels = {"asset": node.name, "node": node.name}
            watts = 0.82 * node.cap if node.busy else 75.0
            self.wider.put("agent_gpu_power_watts", watts, now, gpu="0", **labels)
            self.wider.put("agent_gpu_power_limit_watts", node.cap, now, gpu="0", **labels)
            self.wider.put("agent_gpu_default_power_limit_watts", 700.0, now, gpu="0", **labels)

    async def _collect(self) -> None:
        while True:
            if not self.bus.down:
                self.tell_jobs()
            await self.clock.sleep(2)

    def service(self, **seams: object) -> ProtectiveService:
        return ProtectiveService(
            self.site,
            self.bus,
            self.clock,
            self.settings,
            CollectorRegistry(),
            actuator=self.guard,
            cluster=FakeCluster(self.plant),
            meters=FakeMeters(self),
            alarms=FakeAlarms(self),
            own_window=self.own,
            wider_window=self.wider,
            random=Random(1),
            **seams,
        )

    @asynccontextmanager
    async def running(self, *, warm_seconds: int = 20):
        collect = asyncio.create_task(self._collect())
        try:
            async with super().running(warm_seconds=warm_seconds):
                yield self
        finally:
            collect.cancel()
            await asyncio.gather(collect, return_exceptions=True)
