"""From the ledger to the bus: in order, signed, and forgotten only when the bus has accepted it."""

import asyncio

import structlog

from bus.errors import BusError
from bus.port import Bus, Message, Publisher
from bus.signing import SigningKey, sign
from bus.topics import REMEDIATIONS
from fleet.clock import Clock
from remediator.audit import Audit, AuditError
from remediator.ledger import Ledger, Outgoing

BATCH = 200
PAUSE_SECONDS = 1.0

log = structlog.get_logger("hallkeeper.remediator")


class Outbox:
    """Drains one ledger; several may ask for it at once, one does it."""

    def __init__(
        self, ledger: Ledger, bus: Bus, key: SigningKey | None, clock: Clock, audit: Audit | None = None
    ) -> None:
        """With an audit, everything stands in that before the bus hears of it."""
        self._audit = audit
        self._ledger = ledger
        self._bus = bus
        self._publisher: Publisher | None = None
        self._key = key
        self._clock = clock
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._failing = False

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    async def flush(self) -> None:
        """Return when everything that is in the ledger now is accepted. Raises `BusError`."""
        async with self._turn:
            while waiting := self._ledger.outbox(BATCH):
                self._publisher = self._publisher or await self._bus.publisher()
                if self._audit is not None:
                    self._audit.take([(item.sequence, item.topic, item.value) for item in waiting])
                await self._publisher.publish([self._message(item) for item in waiting])
                self._ledger.published(waiting[-1].sequence)

    async def run(self) -> None:
        """Drain whenever something is new, and again every second while the bus is away."""
        while True:
            self._wake.clear()
            try:
                await self.flush()
                self._failing = False
            except (BusError, AuditError) as error:
                if not self._failing:
                    log.warning("bus or audit takes nothing, the ledger keeps it", why=str(error))
                self._failing = True
            if self._failing or not self._wake.is_set():
                await self._pause()

    async def _pause(self) -> None:
        """Until there is something new; while the bus is away a second."""
        if self._failing:
            await self._clock.sleep(PAUSE_SECONDS)
        else:
            await self._wake.wait()

    def _message(self, item: Outgoing) -> Message:
        signed = self._key is not None and item.topic == REMEDIATIONS
        headers = sign(item.value, self._key) if signed and self._key is not None else ()
        return Message(item.topic, item.key, item.value, headers)
