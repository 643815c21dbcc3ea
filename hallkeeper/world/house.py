"""The product's processes in the virtual hall: collectors, rules, remediator and actuator, started and started again."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

from prometheus_client import CollectorRegistry

from fleet.errors import Ambiguous, Unreachable
from hallkeeper.world.collecting import Collecting
from hallkeeper.world.hall import Hall
from hallkeeper.world.instruments import Instruments
from hallkeeper.world.modbus_devices import modbus_lines
from hallkeeper.world.own_meters import OwnMeters
from hallkeeper.world.process import Killed, Process, ProcessClock
from hallkeeper.world.truth import ServerTruth
from hallkeeper.world.window import QuickWindow
from remediator.actuator.actuator import Actuator
from remediator.actuator_client import Answer, IntentMessage
from remediator.protective import METER_METRICS, ProtectiveService
from remediator.protective import WINDOW_SECONDS as METER_SECONDS
from remediator.service import WINDOW_SECONDS, RemediatorService
from remediator.sight import METRICS
from remediator.verbs import Lane
from rules.keeping import write_whole
from rules.service import RulesService

COLLECTORS, RULES, REMEDIATOR, ACTUATOR = "collectors", "rules", "remediator", "actuator"
SECOND = "remediator-2"
PROTECTIVE, PROTECTIVE_ACTUATOR = "protective", "actuator-protective"
SOCKET_SECONDS = 0.002
"""From one process to another over a Unix socket."""


class House:
    """Starts each process anew over what the hall's disk and bus hold."""

    def __init__(self, hall: Hall, *, whole: bool = False) -> None:
        """`whole`: with every instrument that the site has, and with the protective lane."""
        self.hall = hall
        self._whole = whole
        self._actuators: dict[Lane, tuple[Process, Actuator]] = {}
        self.collecting: Collecting | None = None
        self.remediator: RemediatorService | None = None
        self._starts = 0

    def start_all(self) -> None:
        """The whole product."""
        for start in (self.start_collectors, self.start_actuator, self.start_rules, self.start_remediator):
            start()
        if self._whole:
            self.start_protective_actuator()
            self.start_protective()

    def start(self, name: str) -> None:
        """One process by name."""
        starts: Mapping[str, Callable[[], None]] = {
            COLLECTORS: self.start_collectors,
            RULES: self.start_rules,
            REMEDIATOR: self.start_remediator,
            ACTUATOR: self.start_actuator,
            PROTECTIVE: self.start_protective,
            PROTECTIVE_ACTUATOR: self.start_protective_actuator,
        }
        starts[name]()

    def _boot(self) -> int:
        """A number that no start had before."""
        self._starts += 1
        return (self.hall.seed << 20) + self._starts

    def start_collectors(self) -> None:
        """Who asks the instruments."""
        hall, process = self.hall, self.hall.process(COLLECTORS)
        instruments = Instruments(
            hall.plant, hall.reach, hall.workload, hall.checkpoints, hall.site, hall.settings.intervals
        )
        blocks = tuple(instruments.blocks(registers=self._whole))
        self.collecting = Collecting(
            hall.site, hall.plant, hall.reach, hall.network, blocks, self._boot(), hall.epoch_ms, together=hall.coarse
        )
        if self._whole:
            self.collecting.lines = modbus_lines(hall.site, hall.plant, hall.reach, ServerTruth(hall.truth))
        process.start(self.collecting.run(hall.bus(process), ProcessClock(process)))

    def start_rules(self) -> None:
        """Who judges."""
        hall, process = self.hall, self.hall.process(RULES)

        async def disk(path: Path, content: bytes) -> None:
            process.point("keep")
            write_whole(path, content)
            process.point("kept")

        service = RulesService(
            hall.site, hall.bus(process), ProcessClock(process), hall.settings, CollectorRegistry(), boot=self._boot(), disk=disk
        )  # fmt: skip
        process.start(service.run())

    def start_remediator(self) -> None:
        """Who heals."""
        self._remediator(REMEDIATOR)

    def start_second_remediator(self) -> Process | None:
        """One that somebody starts by mistake over the same folder; None where there is a second one already."""
        known = self.hall.processes.get(SECOND)
        return None if known is not None and known.alive else self._remediator(SECOND)

    def _remediator(self, name: str) -> Process:
        hall, process = self.hall, self.hall.process(name)
        service = RemediatorService(
            hall.site,
            hall.bus(process),
            ProcessClock(process),
            hall.settings,
            CollectorRegistry(),
            actuator=ActuatorSocket(self, process, Lane.CORRECTIVE),
            cluster=hall.cluster_for(process),
            window=QuickWindow(depth_seconds=WINDOW_SECONDS, names=METRICS),
            connect=hall.disk.connector(process),
        )
        process.start(service.run())
        if name == REMEDIATOR:
            self.remediator = service
        return process

    def start_protective(self) -> None:
        """Who sheds."""
        hall, process = self.hall, self.hall.process(PROTECTIVE)
        clock = ProcessClock(process)
        service = ProtectiveService(
            hall.site,
            hall.bus(process),
            clock,
            hall.settings,
            CollectorRegistry(),
            actuator=ActuatorSocket(self, process, Lane.PROTECTIVE),
            cluster=hall.cluster_for(process),
            meters=OwnMeters(hall.plant, hall.reach, hall.network, process, clock),
            own_window=QuickWindow(depth_seconds=METER_SECONDS, names=METER_METRICS),
            wider_window=QuickWindow(depth_seconds=METER_SECONDS, names=METRICS),
            random=Random(hall.seed),
        )
        process.start(service.run())

    def start_actuator(self) -> None:
        """Who alone commands, in the corrective lane."""
        self._actuator(ACTUATOR, Lane.CORRECTIVE)

    def start_protective_actuator(self) -> None:
        """The same in the protective lane."""
        self._actuator(PROTECTIVE_ACTUATOR, Lane.PROTECTIVE)

    def _actuator(self, name: str, lane: Lane) -> None:
        hall, process = self.hall, self.hall.process(name)
        clock = ProcessClock(process)
        actuator = Actuator(
            lane=lane,
            site=hall.site,
            data=hall.settings.data,
            clock=clock,
            make_writers=lambda remember: hall.writers(process, clock, remember),
            connect=hall.disk.connector(process),
        )
        self._actuators[lane] = process, actuator
        process.start(actuator.run())

    def actuator(self, lane: Lane) -> tuple[Process, Actuator] | None:
        """The lane's actuator while it lives."""
        found = self._actuators.get(lane)
        return None if found is None or not found[0].alive else found


class ActuatorSocket:
    """`remediator.actuator_client.Actuator`: the actuator's process, reached as over its socket."""

    def __init__(self, house: House, process: Process, lane: Lane) -> None:
        self._house, self._process, self._lane = house, process, lane

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        """States until a final one. Raises `Unreachable` before anything was handed over, `Ambiguous` after."""
        self._process.point("hand over")
        found = self._house.actuator(self._lane)
        if found is None or found[0].stopped:
            await self._process.sleep(2.0 if found else 0.0)
            raise Unreachable("no actuator answers, try starting it")
        other, actuator = found
        await self._process.sleep(SOCKET_SECONDS)
        if not other.alive:
            raise Unreachable("no actuator answers, try starting it")
        try:
            act = actuator.take(message)
        except Killed:
            other.kill()
            raise Ambiguous(f"intent {message.intent}: the actuator is gone") from None
        self._process.point("handed over")
        async with aclosing(self._told(act.answers(), other, message.intent)) as answers:
            async for answer in answers:
                yield answer

    async def _told(self, answers: AsyncIterator[Answer], other: Process, intent: str) -> AsyncGenerator[Answer, None]:
        """Each answer as it comes. Raises `Ambiguous` when the actuator is gone."""
        while True:
            coming = asyncio.ensure_future(anext(answers, None))
            both: set[asyncio.Future[Any]] = {coming, other.dead}
            either = asyncio.ensure_future(asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED))
            try:
                await self._process.wait(either)
            finally:
                if not coming.done():
                    coming.cancel()
            if not coming.done() or coming.cancelled():
                raise Ambiguous(f"intent {intent}: the actuator's answer was lost, its effect is read")
            answer = coming.result()
            if answer is None:
                return
            await self._process.sleep(SOCKET_SECONDS)
            self._process.point("answer")
            yield answer
