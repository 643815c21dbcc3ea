"""One remediation's world: real judgement, real ledger, fake plant; time moves only when a test says so."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fleet.clock import VirtualClock
from fleet.model import AssetId
from remediator.attempt import Bench
from remediator.course import Course
from remediator.fact_source import FactSource, Surroundings
from remediator.ledger import Ledger, connect
from remediator.looks import Looks
from remediator.playbook import Playbook
from remediator.playbook_loader import load_playbooks
from remediator.records import Remediation, remediation_id_of
from remediator.sight import Sight, Signal
from remediator.switches import Switches
from remediator.usual import UsualDraw
from remediator.verbs import Cause, Mode
from remediator.world import Wish, World
from tests.unit.remediator.fakes.actuator import FakeActuator
from tests.unit.remediator.fakes.plant import FakeCluster, FakePlant
from tests.unit.remediator.fakes.sitefile import make_site
from tests.unit.remediator.fakes.window import FakeWindow

PLAYBOOKS = {book.playbook: book for book in load_playbooks()}


def signal(metric: str) -> Signal:
    return Signal(2_000 if metric.startswith(("pdu_", "agent_", "bmc_")) else 1_000)


class OneWorld:
    """Everything that a course touches."""

    def __init__(self, folder: Path, *, racks: int = 5, actuator: type[FakeActuator] = FakeActuator) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.clock = VirtualClock()
        self.site = make_site(folder, racks=racks)
        self.window = FakeWindow()
        self.plant = FakePlant(self.site, self.clock, self.window)
        self.actuator = actuator(self.plant, self.clock, self.data)
        self.usual = UsualDraw()
        self.stop_events: dict[str, list[str]] = {}
        self.epoch: int | None = 1
        self.around = Surroundings(bus_lag_ms=0.0, clock_offset_ms=0.0)
        self.wish: Wish | None = None
        self.told: list[Remediation] = []
        self.flushes = True
        self.open_ledger()

    def open_ledger(self, connect: Callable[[Path], sqlite3.Connection] = connect) -> None:
        self.use_ledger(Ledger.open(self.data / "ledger.sqlite", connect=connect))

    def use_ledger(self, ledger: Ledger) -> None:
        self.ledger = ledger
        sight = Sight(
            site=self.site,
            window=self.window,
            cluster=FakeCluster(self.plant),
            signal=signal,
            usual_watts=self.usual,
            stop_events=lambda node, _since: self.stop_events.get(node, []),
        )
        self.world = World(
            clock=self.clock,
            site=self.site,
            ledger=self.ledger,
            bench=Bench(clock=self.clock, actuator=self.actuator, holds_lease=lambda epoch: epoch == self.epoch),
            facts=FactSource(
                site=self.site,
                sight=sight,
                ledger=self.ledger,
                switches=Switches(self.data),
                surroundings=lambda _state, _now: self.around,
            ),
            looks=Looks(self.site, sight),
            epoch=lambda: self.epoch,
            flush=self._flush,
            wish=lambda _state: self.wish,
            told=lambda state, _gate: self.told.append(state),
        )

    async def _flush(self) -> None:
        if not self.flushes:
            await self.clock.sleep(3600)

    @asynccontextmanager
    async def running(self):
        """The plant lives; what usually is drawn gets known."""
        task = asyncio.create_task(self.plant.run())
        try:
            for _ in range(20):
                await self.clock.advance(2)
                self.learn()
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.ledger.close()

    def learn(self) -> None:
        now = self.clock.now_ms()
        for node in self.plant.nodes.values():
            if node.in_band:
                for outlet in self.site.graph.outlets_of(AssetId(node.name)):
                    self.usual.feed(outlet.id, self.plant.outlet_watts(outlet.id), now)

    def remediation(self, playbook: str, target: str, *, mode: Mode = Mode.ENFORCE, ordinal: int = 0) -> Remediation:
        now = self.clock.now_ms()
        return Remediation(
            remediation_id=remediation_id_of("incident", playbook, target, ordinal),
            incident_id="incident",
            playbook=playbook,
            mode=mode,
            cause=Cause(PLAYBOOKS[playbook].cause),
            target=AssetId(target),
            created_at_ms=now,
            updated_at_ms=now,
            trace="trace",
        )

    def course(self, playbook: str, target: str, *, mode: Mode = Mode.ENFORCE, book: Playbook | None = None) -> Course:
        self.around = replace(self.around, active_since_ms=self.around.active_since_ms or self.clock.now_ms())
        state = self.remediation(playbook, target, mode=mode)
        return Course(self.ledger.remediation(state.remediation_id) or state, book or PLAYBOOKS[playbook], self.world)

    async def drive(self, course: Course, seconds: float) -> Course:
        """Let the course run for so long, or to its end."""
        task = asyncio.create_task(course.run())
        for _ in range(round(seconds)):
            if task.done():
                break
            await self.clock.advance(1)
        if not task.done():
            task.cancel()
            gone = asyncio.gather(task, return_exceptions=True)
            while not gone.done():
                await self.clock.advance(1)
        elif task.exception() is not None:
            raise task.exception()
        return course
