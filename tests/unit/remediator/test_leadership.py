"""Who may command: never two at once, whatever the log, the clock and the network do."""

import asyncio
from pathlib import Path

import pytest

from bus.claims import BusClaims, Claim, ClaimsLeadership
from bus.embedded import EmbeddedBus
from bus.errors import BusError
from bus.leadership import FileLockLeadership
from fleet.clock import SystemClock, VirtualClock

LATENCY_SECONDS = 0.05
"""How long a record of another takes to be read."""


class FakeLog:
    """One partition; each candidate reads from its own position, may be cut off, or read late."""

    def __init__(self, clock: VirtualClock) -> None:
        self.records: list[Claim] = []
        self.clock = clock

    def seat(self) -> "Seat":
        return Seat(self)


class Seat:
    def __init__(self, log: FakeLog) -> None:
        self._log, self._at = log, 0
        self.cut = False
        self.deaf = False
        self.late_ns = 0
        self.clock = log.clock
        self._put_at: list[int] = []
        self.spool: list[Claim] = []

    async def append(self, claimant: str, *, epoch: int | None, sequence: int, released: bool = False) -> None:
        await asyncio.sleep(0)
        claim = Claim(offset=-1, claimant=claimant, epoch=epoch, sequence=sequence, released=released)
        if self.cut:
            self.spool.append(claim)  # accepted by the spool: on the bus only later
            return
        self._put(claim)

    def _put(self, claim: Claim) -> None:
        self._log.records.append(
            Claim(
                offset=len(self._log.records),
                claimant=claim.claimant,
                epoch=claim.epoch,
                sequence=claim.sequence,
                released=claim.released,
            )
        )

    def heal(self) -> None:
        self.cut = self.deaf = False
        for claim in self.spool:
            self._put(claim)
        self.spool.clear()

    async def read(self, wait_seconds: float) -> list[Claim]:
        await asyncio.sleep(0)
        until_ns = self.clock.boottime_ns() + round(wait_seconds * 1e9)
        while not (found := self._found()) and self.clock.boottime_ns() < until_ns:
            await self.clock.sleep(min(LATENCY_SECONDS, (until_ns - self.clock.boottime_ns()) / 1e9))
        self._at += len(found)
        return found

    def _found(self) -> list[Claim]:
        if self.deaf:
            raise BusError("away")
        found, now = self._log.records[self._at :], self.clock.boottime_ns()
        self._put_at += [now] * (len(self._log.records) - len(self._put_at))
        return [claim for claim in found if now - self._put_at[claim.offset] >= self.late_ns]

    async def caught_up(self) -> bool:
        await asyncio.sleep(0)
        return self._at == len(self._log.records)


class Candidates:
    def __init__(self, *names: str) -> None:
        self.clock = VirtualClock()
        self.log = FakeLog(self.clock)
        self.seats = {name: self.log.seat() for name in names}
        self.all = {name: ClaimsLeadership(self.seats[name], self.clock, name) for name in names}
        self.tasks = {name: asyncio.create_task(who.run()) for name, who in self.all.items()}
        self.epochs: list[int] = []

    def leaders(self) -> list[str]:
        return [name for name, who in self.all.items() if who.epoch() is not None]

    async def watch(self, seconds: float) -> None:
        """Never two at any tenth of a second, and the epoch never falls."""
        for _ in range(round(seconds * 10)):
            await self.clock.advance(0.1)
            assert len(self.leaders()) <= 1, self.leaders()
            self.epochs += [epoch for who in self.all.values() if (epoch := who.epoch()) is not None]
        assert self.epochs == sorted(self.epochs)

    async def end(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        gone = asyncio.gather(*self.tasks.values(), return_exceptions=True)
        for _ in range(20):
            await self.clock.advance(1)
        await gone


async def test_of_two_standbys_one_leads_and_the_epoch_is_its_claims_offset() -> None:
    both = Candidates("a", "b")
    await both.watch(20)
    (leader,) = both.leaders()
    claim = max(c.offset for c in both.log.records if c.epoch is None)
    assert both.all[leader].epoch() == claim
    await both.end()


async def test_a_leader_that_dies_is_followed_within_seven_seconds_by_a_higher_epoch() -> None:
    both = Candidates("a", "b")
    await both.watch(20)
    (dead,) = both.leaders()
    before = both.all[dead].epoch()
    both.tasks[dead].cancel()
    both.seats[dead].cut = True  # it dies without a word
    await both.clock.advance(0)
    del both.all[dead]
    started = both.clock.now_ms()
    while not both.leaders():
        await both.watch(0.5)
        assert both.clock.now_ms() - started < 7_000
    assert both.all[both.leaders()[0]].epoch() > before
    await both.end()


async def test_a_leader_cut_off_from_the_bus_stops_before_another_starts() -> None:
    both = Candidates("a", "b")
    await both.watch(20)
    (old,) = both.leaders()
    both.seats[old].cut = both.seats[old].deaf = True
    await both.watch(20)
    (new,) = both.leaders()
    assert new != old
    both.seats[old].heal()  # what lay in its spool comes late
    await both.watch(20)
    assert both.leaders() == [new]
    await both.end()


async def test_renewals_that_only_lie_in_a_spool_prolong_nothing() -> None:
    one = Candidates("a")
    await one.watch(15)
    assert one.leaders() == ["a"]
    one.seats["a"].cut = True
    await one.watch(6)
    assert one.leaders() == []
    one.seats["a"].heal()
    await one.watch(3)
    assert one.leaders() == ["a"]
    await one.end()


async def test_a_renewal_that_was_long_on_its_way_counts_from_its_sending() -> None:
    one = Candidates("a")
    one.seats["a"].late_ns = round(2.5e9)
    await one.watch(30.5)
    assert one.leaders() == ["a"]
    one.seats["a"].deaf = True
    await one.watch(2.6)  # the newest that was read back is 2.5 s old at least: half a lease is left at most
    assert one.leaders() == []
    await one.end()


async def test_a_process_that_was_stopped_does_not_lead_by_what_it_sent_before() -> None:
    one = Candidates("a")
    one.seats["a"].late_ns = round(0.4e9)
    await one.watch(15.5)
    assert one.leaders() == ["a"]
    one.clock._elapsed_ns += 20_000_000_000  # SIGSTOP, or the machine slept
    assert one.leaders() == []
    await one.clock.advance(0.2)  # its round goes on and reads back the renewal of before
    assert one.leaders() == []
    await one.watch(2)
    assert one.leaders() == ["a"]
    await one.end()


async def test_a_released_lease_is_taken_over_at_once() -> None:
    both = Candidates("a", "b")
    await both.watch(20)
    (old,) = both.leaders()
    both.tasks[old].cancel()
    await both.watch(3)
    assert len(both.leaders()) == 1
    assert both.leaders() != [old]
    await both.end()


async def test_a_wall_clock_that_jumps_changes_nothing() -> None:
    both = Candidates("a", "b")
    await both.watch(20)
    before = both.leaders()
    both.clock.step_wall(3_600)
    await both.watch(10)
    both.clock.step_wall(-7_200)
    await both.watch(10)
    assert both.leaders() == before
    await both.end()


async def test_the_file_lock_is_held_by_one_and_its_counter_grows(tmp_path: Path) -> None:
    clock = VirtualClock()
    epochs = []
    for _ in range(3):
        who, other = FileLockLeadership(tmp_path / "lock", clock), FileLockLeadership(tmp_path / "lock", clock)
        first, second = asyncio.create_task(who.run()), asyncio.create_task(other.run())
        await clock.advance(3)
        assert [who.epoch() is None, other.epoch() is None] == [False, True]
        epochs.append(who.epoch())
        assert who.holds(who.epoch())
        first.cancel()
        await clock.advance(2)
        assert other.epoch() == epochs[-1] + 1
        epochs.append(other.epoch())
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert epochs == sorted(set(epochs))


@pytest.mark.timeout(60)
async def test_claims_on_the_embedded_bus_elect_one(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=clock, partitions=2)
    both = [ClaimsLeadership(await BusClaims.open(bus, clock, "leader"), clock, name) for name in "ab"]
    tasks = [asyncio.create_task(who.run()) for who in both]
    async with asyncio.timeout(25):
        while not any(who.epoch() is not None for who in both):
            await asyncio.sleep(0.1)
    assert sum(who.epoch() is not None for who in both) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.close()


async def test_claims_on_another_subject_are_nobodys_business(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = await EmbeddedBus.open(tmp_path / "bus.sqlite", clock=clock, partitions=2)
    logs = {subject: await BusClaims.open(bus, clock, subject) for subject in ("leader", "rules")}
    for subject, log in logs.items():
        await log.append(f"a candidate of {subject}", epoch=None, sequence=1)
    for subject, log in logs.items():
        assert [claim.claimant for claim in await log.read(1.0)] == [f"a candidate of {subject}"]
        assert await log.caught_up()
    await bus.close()


async def test_two_claims_at_once_cost_no_second_wait() -> None:
    """Both wait for the same death: the lower claim gives no lease, so the higher one need not wait for its end."""
    trio = Candidates("a", "b", "c")
    await trio.watch(12)
    (dead,) = trio.leaders()
    for _ in range(3):
        for seat in trio.seats.values():
            seat.late_ns = round(0.3e9)  # each claims before it has read the other's claim
        trio.seats[dead].cut = trio.seats[dead].deaf = True
        started = trio.clock.now_ms()
        await trio.watch(5.1)
        while not trio.leaders():
            await trio.watch(0.1)
        assert trio.clock.now_ms() - started < 7_500
        trio.seats[dead].heal()
        await trio.watch(8)
        (dead,) = trio.leaders()
    await trio.end()


async def test_a_standby_that_was_stopped_does_not_depose_a_living_leader() -> None:
    both = Candidates("a", "b")
    await both.watch(12)
    (leader,) = both.leaders()
    (standby,) = set(both.all) - {leader}
    epoch = both.all[leader].epoch()
    both.seats[standby].late_ns = round(30e9)  # what is on the bus has not come to it when it goes on
    await both.watch(20)
    both.seats[standby].late_ns = 0
    await both.watch(5)
    assert both.all[leader].epoch() == epoch
    await both.end()


async def test_a_lease_given_up_does_not_shorten_the_wait_for_another_that_still_runs() -> None:
    """A claims, renews and is cut off; B claims, renews and releases at once: who follows B still waits for A's lease."""
    clock = VirtualClock()
    log = FakeLog(clock)
    third = ClaimsLeadership(log.seat(), clock, "c")
    task = asyncio.create_task(third.run())
    await clock.advance(1)
    other = log.seat()
    await other.append("a", epoch=None, sequence=1)
    await other.append("a", epoch=0, sequence=2)
    await clock.advance(1)
    await other.append("b", epoch=None, sequence=1)
    await other.append("b", epoch=2, sequence=2)
    await clock.advance(0.5)
    await other.append("b", epoch=2, sequence=3, released=True)
    for _ in range(38):
        await clock.advance(0.1)
        assert third.epoch() is None
    await clock.advance(2)
    assert third.epoch() is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
