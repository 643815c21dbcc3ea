"""Leadership beyond one machine: claims in one partition of the bus, in one order for all. The highest claim leads.

What is led is the claims' subject: the remediators of a site have one leader, its rule engines another.

The epoch is the claim's offset. The lease is 5 s of CLOCK_BOOTTIME from the *sending* of the last renewal that was read
back, so a record that waits in a spool prolongs nothing. Who reads another's record waits lease and grace before it
commands: by then the other's lease has run out, whatever became of it.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from bus.events import ClaimEvent, decode_event, encode_event
from bus.port import Bus, Consumer, Message, Publisher
from bus.topics import CONTROL, LEADERSHIP_PARTITION
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError

LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.0
GRACE_SECONDS = 0.5
_LEASE_NS = round(LEASE_SECONDS * 1e9)
_WAIT_NS = round((LEASE_SECONDS + GRACE_SECONDS) * 1e9)
APPEND_SECONDS = 3.0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the claims log, as it was read back."""

    offset: int
    claimant: str
    epoch: int | None
    """The claim that it renews; None for the claim itself."""
    sequence: int
    released: bool = False


class ClaimsLog(Protocol):
    """The one partition in which claims lie."""

    async def append(self, claimant: str, *, epoch: int | None, sequence: int, released: bool = False) -> None:
        """Put a record at the end; it counts once it is read back. Raises `HallkeeperError`."""
        ...

    async def read(self) -> list[Claim]:
        """What is new since the last call, in order. Raises `HallkeeperError`."""
        ...


class ClaimsLeadership:
    """A candidate, and the leader while its claim is the highest and its renewals are read back in time."""

    def __init__(
        self, log: ClaimsLog, clock: Clock, claimant: str, *, wants: Callable[[], bool] = lambda: True
    ) -> None:
        self._log = log
        self._clock = clock
        self._claimant = claimant
        self._wants = wants
        """Whether this process is fit to lead: a candidate that is not does not claim."""
        self._highest = -1
        self._mine: int | None = None
        self._wait_until_ns: int | None = None
        """Before then another may still hold a lease."""
        self._lease_from_ns: int | None = None
        self._sent: dict[int, int] = {}
        """Our records that were not read back yet: sequence to the moment of sending."""
        self._sequence = 0

    def epoch(self) -> int | None:
        """The epoch under which it may command at this moment; None while it may not."""
        now_ns = self._clock.boottime_ns()
        if self._mine is None or self._lease_from_ns is None or now_ns >= self._lease_from_ns + _LEASE_NS:
            return None
        return self._mine if now_ns >= (self._wait_until_ns or 0) else None

    def holds(self, epoch: int) -> bool:
        """Whether an intent of this epoch may still be sent."""
        return self.epoch() == epoch

    async def run(self) -> None:
        """Claim where nobody leads, renew once a second, step down for a higher claim; release when cancelled."""
        self._wait_until_ns = self._clock.boottime_ns() + _WAIT_NS
        try:
            while True:
                await self._round()
                await self._clock.sleep(RENEW_SECONDS)
        finally:
            await self._release()

    async def _round(self) -> None:
        try:
            for claim in await within(self._clock, APPEND_SECONDS, self._log.read()):
                self._take(claim)
            await self._speak()
        except (HallkeeperError, TimeoutError):
            return  # nothing is renewed: the lease runs out by itself

    async def _speak(self) -> None:
        now_ns = self._clock.boottime_ns()
        self._sent = {sequence: at_ns for sequence, at_ns in self._sent.items() if now_ns - at_ns < _WAIT_NS}
        if self._mine is not None:
            await self._append(self._mine)
        elif self._wants() and not self._sent and now_ns >= (self._wait_until_ns or 0):
            await self._append(None)

    async def _append(self, epoch: int | None) -> None:
        self._sequence += 1
        self._sent[self._sequence] = self._clock.boottime_ns()
        record = self._log.append(self._claimant, epoch=epoch, sequence=self._sequence)
        await within(self._clock, APPEND_SECONDS, record)

    def _take(self, claim: Claim) -> None:
        if claim.claimant != self._claimant:
            self._take_foreign(claim)
            return
        sent_ns = self._sent.pop(claim.sequence, None)
        if claim.epoch is None and claim.offset > self._highest:
            self._highest = self._mine = claim.offset
        if sent_ns is not None and self._mine is not None:
            self._lease_from_ns = max(sent_ns, self._lease_from_ns or sent_ns)

    def _take_foreign(self, claim: Claim) -> None:
        """Another spoke: whoever it is, it may hold a lease from now on; a higher claim ends ours."""
        if claim.epoch is None and claim.offset > self._highest:
            self._highest, self._mine, self._lease_from_ns = claim.offset, None, None
        gone = claim.released and claim.epoch == self._highest
        self._wait_until_ns = self._clock.boottime_ns() + (0 if gone else _WAIT_NS)

    async def _release(self) -> None:
        """Say that nothing more will be sent, so that a standby need not wait."""
        mine, self._mine = self._mine, None
        if mine is None:
            return
        try:
            record = self._log.append(self._claimant, epoch=mine, sequence=self._sequence + 1, released=True)
            await within(self._clock, APPEND_SECONDS, record)
        except (HallkeeperError, TimeoutError):
            return


class BusClaims:
    """The claims log on `control`."""

    def __init__(self, publisher: Publisher, reader: Consumer, clock: Clock, subject: str) -> None:
        self._publisher = publisher
        self._reader = reader
        self._clock = clock
        self._subject = subject

    @classmethod
    async def open(cls, bus: Bus, clock: Clock, subject: str) -> "BusClaims":
        """A writer and a reader of the leadership partition; claims on another subject are not seen."""
        return cls(await bus.publisher(), await bus.reader(topics=[CONTROL]), clock, subject)

    async def append(self, claimant: str, *, epoch: int | None, sequence: int, released: bool = False) -> None:
        """Put a record at the end; it counts once it is read back. Raises `HallkeeperError`."""
        event = ClaimEvent(
            subject=self._subject,
            claimant=claimant,
            epoch=epoch,
            sequence=sequence,
            at_ms=self._clock.now_ms(),
            lease_seconds=LEASE_SECONDS,
            released=released,
        )
        message = Message(CONTROL, event.key(), encode_event(event), partition=LEADERSHIP_PARTITION)
        await self._publisher.publish([message])

    async def read(self) -> list[Claim]:
        """What is new since the last call, in order. Raises `HallkeeperError`."""
        found: list[Claim] = []
        while records := await self._reader.fetch(limit=1000, timeout_seconds=0.0):
            for record in records:
                event = decode_event(record.value) if record.value is not None else None
                if record.partition != LEADERSHIP_PARTITION or not isinstance(event, ClaimEvent):
                    continue
                if event.subject == self._subject:
                    found.append(_claim(record.offset, event))
        return found


def _claim(offset: int, event: ClaimEvent) -> Claim:
    return Claim(
        offset=offset,
        claimant=event.claimant,
        epoch=event.epoch,
        sequence=event.sequence,
        released=event.released,
    )
