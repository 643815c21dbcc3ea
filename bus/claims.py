"""Leadership beyond one machine: claims in one partition of the bus, in one order for all. The highest claim leads.

What is led is the claims' subject: the remediators of a site have one leader, its rule engines another.

The epoch is the claim's offset. A claim itself allows nothing: a lease comes from a renewal that lies in the log with no
higher claim before it, so whoever reads the log knows of each record whether it gave one. The lease is 5 s of CLOCK_BOOTTIME
from the *sending* of the last renewal that was read back: a record that waits in a spool prolongs nothing. Who reads
another's renewal waits lease and grace before it commands: by then that lease has run out, whatever became of its holder.
The wait runs while the log is followed, so that of a death only what is left of it is waited for (ADR 009).
"""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from bus.events import ClaimEvent, decode_event, encode_event
from bus.port import Bus, Consumer, Message, Publisher
from bus.topics import CONTROL, LEADERSHIP_PARTITION
from fleet.clock import Clock, within
from fleet.errors import HallkeeperError

LEASE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.0
GRACE_SECONDS: Final = 0.5
SETTLE_SECONDS: Final = 2.0
"""How long a claim that was read is left alone to be renewed; doubled with every fourth that nobody renews, so that
candidates on a slow bus do not outbid each other for ever (a default of ours)."""
APPEND_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 0.1
"""Between two looks at a log that has more than was read, and after one that failed."""
PAST_MS: Final = 600_000
"""How far back a candidate reads: leases are far shorter, and every renewal names the claim that it renews."""
_LEASE_NS: Final = round(LEASE_SECONDS * 1e9)
_RENEW_NS: Final = round(RENEW_SECONDS * 1e9)
_WAIT_NS: Final = round((LEASE_SECONDS + GRACE_SECONDS) * 1e9)
_CLAIMS_A_DOUBLING: Final = 4
_MOST_DOUBLINGS: Final = 3


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

    async def read(self, wait_seconds: float) -> list[Claim]:
        """What is new since the last call, in order, as soon as there is something. Raises `HallkeeperError`."""
        ...

    async def caught_up(self) -> bool:
        """Whether nothing lies in the log that was not read. Raises `HallkeeperError`."""
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
        """Our claim, while it is the highest."""
        self._held_until_ns: dict[int, int] = {}
        """Until when others may hold a lease, by their epochs; -1 stands for what was said before we listened."""
        self._lease_from_ns: int | None = None
        self._sent: dict[int, int] = {}
        """Our records that were not read back yet: sequence to the moment of sending."""
        self._sequence = 0
        self._renew_at_ns = 0
        self._claim_at_ns = 0
        """Before then a claim that was made may still be renewed: nobody outbids it."""
        self._barren = 0
        """Claims since the last renewal that gave a lease."""

    def epoch(self) -> int | None:
        """The epoch under which it may command at this moment; None while it may not."""
        now_ns = self._clock.boottime_ns()
        if self._mine is None or self._lease_from_ns is None or now_ns >= self._lease_from_ns + _LEASE_NS:
            return None
        return self._mine if now_ns >= self._free_at_ns() else None

    def holds(self, epoch: int) -> bool:
        """Whether an intent of this epoch may still be sent."""
        return self.epoch() == epoch

    async def run(self) -> None:
        """Claim where nobody leads, renew once a second, step down for a higher claim; release when cancelled."""
        self._held_until_ns[-1] = self._clock.boottime_ns() + _WAIT_NS
        try:
            while True:
                try:
                    await self._round()
                except (HallkeeperError, TimeoutError):  # nothing is renewed: the lease runs out by itself
                    await self._clock.sleep(LOOK_SECONDS)
        finally:
            await self._release()

    async def _round(self) -> None:
        """Follow the log until something is to be said, and say it."""
        wait = self._seconds_until_speaking()
        for claim in await within(self._clock, wait + APPEND_SECONDS, self._log.read(wait)):
            self._take(claim)
        now_ns = self._clock.boottime_ns()
        self._sent = {sequence: at_ns for sequence, at_ns in self._sent.items() if now_ns - at_ns < _WAIT_NS}
        if self._mine is not None:
            if now_ns >= self._renew_at_ns:
                self._renew_at_ns = now_ns + _RENEW_NS
                await self._append(self._mine)
        elif self._wants() and now_ns >= max(self._free_at_ns(), self._claim_at_ns):
            await self._claim()

    def _seconds_until_speaking(self) -> float:
        due_ns = self._renew_at_ns if self._mine is not None else max(self._free_at_ns(), self._claim_at_ns)
        least = 0.0 if self._mine is not None else LOOK_SECONDS
        return min(max((due_ns - self._clock.boottime_ns()) / 1e9, least), RENEW_SECONDS)

    def _free_at_ns(self) -> int:
        """When the last lease of others has run out."""
        return max(self._held_until_ns.values(), default=0)

    async def _claim(self) -> None:
        """Only who has read everything claims: one that was stopped for a while must not depose a living leader."""
        if await within(self._clock, APPEND_SECONDS, self._log.caught_up()):
            self._claim_at_ns = self._clock.boottime_ns() + self._settle_ns()
            await self._append(None)

    async def _append(self, epoch: int | None) -> None:
        self._sequence += 1
        self._sent[self._sequence] = self._clock.boottime_ns()
        record = self._log.append(self._claimant, epoch=epoch, sequence=self._sequence)
        await within(self._clock, APPEND_SECONDS, record)

    def _take(self, claim: Claim) -> None:
        if claim.epoch is None:
            self._take_claim(claim)
        elif claim.epoch >= self._highest:
            self._take_renewal(claim, claim.epoch)
        else:
            self._sent.pop(claim.sequence if claim.claimant == self._claimant else -1, None)

    def _take_claim(self, claim: Claim) -> None:
        """The highest so far, as every claim: whoever led does so no more."""
        ours = claim.claimant == self._claimant
        if ours:
            self._sent.pop(claim.sequence, None)
        self._highest, self._lease_from_ns = claim.offset, None
        self._mine = claim.offset if ours else None
        self._renew_at_ns = 0
        self._barren += 1
        self._claim_at_ns = self._clock.boottime_ns() + self._settle_ns()

    def _take_renewal(self, claim: Claim, epoch: int) -> None:
        """A lease, or the end of one: ours from its sending on, another's for so long from now."""
        self._barren = 0
        if claim.claimant == self._claimant:
            sent_ns = self._sent.pop(claim.sequence, None)
            if sent_ns is not None and epoch == self._mine:
                self._lease_from_ns = max(sent_ns, self._lease_from_ns or sent_ns)
            return
        if epoch > self._highest:  # its claim itself was compacted away
            self._highest, self._mine, self._lease_from_ns = epoch, None, None
        now_ns = self._clock.boottime_ns()
        self._held_until_ns = {held: until for held, until in self._held_until_ns.items() if until > now_ns}
        if claim.released:
            self._held_until_ns.pop(epoch, None)
            self._claim_at_ns = 0
        else:
            self._held_until_ns[epoch] = now_ns + _WAIT_NS

    def _settle_ns(self) -> int:
        doublings = min(self._barren // _CLAIMS_A_DOUBLING, _MOST_DOUBLINGS)
        return round(SETTLE_SECONDS * 1e9) << doublings

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
        reader = await bus.reader(topics=[CONTROL], since_ms=clock.now_ms() - PAST_MS)
        return cls(await bus.publisher(), reader, clock, subject)

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

    async def read(self, wait_seconds: float) -> list[Claim]:
        """What is new since the last call, in order, as soon as there is something. Raises `HallkeeperError`."""
        found: list[Claim] = []
        while records := await self._reader.fetch(limit=1000, timeout_seconds=wait_seconds):
            for record in records:
                event = decode_event(record.value) if record.value is not None else None
                if record.partition != LEADERSHIP_PARTITION or not isinstance(event, ClaimEvent):
                    continue
                if event.subject == self._subject:
                    found.append(_claim(record.offset, event))
            wait_seconds = 0.0
        return found

    async def caught_up(self) -> bool:
        """Whether nothing lies in the log that was not read. Raises `HallkeeperError`."""
        return await self._reader.lag() == 0


def _claim(offset: int, event: ClaimEvent) -> Claim:
    return Claim(
        offset=offset,
        claimant=event.claimant,
        epoch=event.epoch,
        sequence=event.sequence,
        released=event.released,
    )
