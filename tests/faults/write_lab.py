"""An actuator with a writer of the test's, in one small installation."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from devices.orders import Order, Remember, Report, State, Verdict
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.model import Wire
from fleet.settings import load_settings
from remediator.actuator.act import Act
from remediator.actuator.actuator import Actuator
from remediator.actuator_client import Answer, IntentMessage
from remediator.verbs import Lane
from tests.faults.write_site import make_installation


@dataclass
class FakeWriter:
    """Sends when told to; counts."""

    remember: Remember
    hold_before: asyncio.Event | None = None
    hold_after: asyncio.Event | None = None
    ending: State = State.ACKNOWLEDGED
    before_the_send: Callable[[], None] = lambda: None
    orders: list[Order] = field(default_factory=list)
    sends: int = 0
    settled: list[str] = field(default_factory=list)
    hold_settling: asyncio.Event | None = None

    async def act(self, order: Order, report: Report) -> Verdict:
        self.orders.append(order)
        if self.hold_before is not None:
            await self.hold_before.wait()
        self.before_the_send()
        try:
            self.remember(order.intent, "note")
        except Exception as error:
            return Verdict(state=State.NOT_SENT, before="on", text=str(error))
        self.sends += 1
        report(State.SENT)
        if self.hold_after is not None:
            await self.hold_after.wait()
        report(self.ending)
        return Verdict(state=self.ending, before="on", after="off", text="done")

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        self.settled.append(note)
        if self.hold_settling is not None:
            await self.hold_settling.wait()
        report(State.FENCED)
        return Verdict(state=State.UNKNOWN, after="off", text="looked")


class Forgetful:
    """A writer that does not say when its send is next."""

    async def act(self, order: Order, report: Report) -> Verdict:
        report(State.SENT)
        return Verdict(state=State.ACKNOWLEDGED, text="done")


class Lab:
    """One installation and its actuators."""

    def __init__(self, folder: Path) -> None:
        self.settings = make_installation(folder)
        self.data = load_settings(self.settings).data
        self.site = load_site(folder / "site.yaml")
        self.writer = FakeWriter(remember=lambda _i, _n: None)

    @asynccontextmanager
    async def actuator(self, lane: Lane = Lane.CORRECTIVE, *, forgetful: bool = False) -> AsyncIterator[Actuator]:
        def make(remember: Remember) -> dict[Wire, Callable[[], object]]:
            self.writer.remember = remember
            fake: object = Forgetful() if forgetful else self.writer
            return {wire: lambda: fake for wire in Wire}

        actuator = Actuator(lane=lane, site=self.site, data=self.data, clock=SystemClock(), make_writers=make)
        started = asyncio.Event()
        running = asyncio.create_task(actuator.run(started.set))
        await started.wait()
        try:
            yield actuator
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def all_of(act: Act) -> list[Answer]:
    return [answer async for answer in act.answers()]


async def ask(actuator: Actuator, message: IntentMessage) -> list[Answer]:
    return await all_of(actuator.take(message))
