"""Never two leaders, whatever is late, lost, paused or said twice; and somebody leads soon after all is well again.

The log is one order of records. Each record's acknowledgement may be lost, it may land late, each candidate reads late,
stops for a while as a whole (SIGSTOP), is cut off, or dies without a word. Two moments are watched at every step: that no
two candidates hold a lease, and that epochs only grow.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.claims import Claim, ClaimsLeadership
from bus.errors import BusError
from fleet.clock import VirtualClock

STEP_SECONDS = 0.05
CANDIDATES = "abc"
CALM_SECONDS = 25.0
"""Within so long of calm somebody leads: leases, a claim that nobody renewed, and retries (10 s where only one thing failed)."""


class Log:
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.records: list[tuple[int, Claim]] = []
        """When each landed."""
        self.flying: list[tuple[int, Claim]] = []
        """When each will land."""

    def land(self) -> None:
        now = self.clock.boottime_ns()
        due = [claim for at, claim in self.flying if at <= now]
        self.flying = [(at, claim) for at, claim in self.flying if at > now]
        for claim in due:
            fields = {name: getattr(claim, name) for name in Claim.__struct_fields__}
            self.records.append((now, Claim(**fields | {"offset": len(self.records)})))


class Machine:
    """A candidate's own clock and way to the log: stopped, its clock runs on and nothing of it moves."""

    def __init__(self, log: Log, random: Random) -> None:
        self._log, self._random = log, random
        self._at = 0
        self.stopped_until_ns = 0
        self.rough = 0.0
        """The share of calls that go wrong."""

    def boottime_ns(self) -> int:
        return self._log.clock.boottime_ns()

    def now_ms(self) -> int:
        return self._log.clock.now_ms()

    @property
    def stopped(self) -> bool:
        return self.boottime_ns() < self.stopped_until_ns

    async def sleep(self, seconds: float) -> None:
        await self._log.clock.sleep(seconds)
        while self.stopped:
            await self._log.clock.sleep(STEP_SECONDS)

    async def append(self, claimant: str, *, epoch: int | None, sequence: int, released: bool = False) -> None:
        await self.sleep(0)
        claim = Claim(offset=-1, claimant=claimant, epoch=epoch, sequence=sequence, released=released)
        fate = self._random.random()
        late = self._random.uniform(0.0, 8.0) if fate < self.rough else 0.005
        if fate >= self.rough / 4:
            self._log.flying.append((self.boottime_ns() + round(late * 1e9), claim))
        if fate < self.rough:
            await self.sleep(3600)  # no acknowledgement ever comes
        await self.sleep(late)

    async def read(self, wait_seconds: float) -> list[Claim]:
        until_ns = self.boottime_ns() + round(wait_seconds * 1e9)
        if self._random.random() < self.rough:
            await self.sleep(self._random.uniform(0.0, 4.0))
        if self._random.random() < self.rough / 4:
            raise BusError("away")
        while self._at == len(self._log.records) and self.boottime_ns() < until_ns:
            await self.sleep(STEP_SECONDS)
        await self.sleep(self._random.choice((0.0, 0.02, 0.2)))
        found = [claim for _, claim in self._log.records[self._at :]]
        found = found[: self._random.randint(0 if self.rough else 1, len(found))] if found else []
        self._at += len(found)
        return found

    async def caught_up(self) -> bool:
        await self.sleep(0)
        return self._at == len(self._log.records)


class World:
    def __init__(self, seed: int) -> None:
        self.clock = VirtualClock()
        self.log = Log(self.clock)
        self.random = Random(seed)
        self.machines = {name: Machine(self.log, self.random) for name in CANDIDATES}
        self.all: dict[str, ClaimsLeadership] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.dead: list[Machine] = []
        self.highest = -1
        self.born = 0
        for name in CANDIDATES:
            self.start(name)

    def start(self, name: str) -> None:
        self.born += 1
        machine = self.machines[name] = Machine(self.log, self.random)
        self.all[name] = ClaimsLeadership(machine, machine, f"{name}{self.born}")
        self.tasks[name] = asyncio.create_task(self.all[name].run())

    async def die(self, name: str) -> None:
        """Without a word: what it says when it is cancelled is lost."""
        machine, task = self.machines[name], self.tasks[name]
        flying = list(self.log.flying)
        machine.stopped_until_ns = 1 << 62
        self.dead.append(machine)
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        self.log.flying = flying
        del self.all[name]

    def leaders(self) -> list[str]:
        return [name for name, who in self.all.items() if who.epoch() is not None]

    async def step(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_SECONDS)):
            await self.clock.advance(STEP_SECONDS)
            self.log.land()
            leaders = self.leaders()
            assert len(leaders) <= 1, (leaders, self.log.records[-10:])
            for name in leaders:
                epoch = self.all[name].epoch()
                assert epoch is not None
                assert epoch >= self.highest
                self.highest = epoch

    async def happen(self, what: str, name: str, seconds: float) -> None:
        machine = self.machines[name]
        match what:
            case "stop":
                machine.stopped_until_ns = max(
                    machine.stopped_until_ns, self.clock.boottime_ns() + round(seconds * 1e9)
                )
            case "rough":
                machine.rough = 0.3
            case "smooth":
                machine.rough = 0.0
            case "die":
                await self.die(name)
                self.start(name)
        await self.step(seconds)

    async def end(self) -> None:
        for machine in (*self.dead, *self.machines.values()):
            machine.stopped_until_ns, machine.rough = 0, 0.0
        for task in self.tasks.values():
            task.cancel()
        gone = asyncio.gather(*self.tasks.values(), return_exceptions=True)
        while not gone.done():
            await self.clock.advance(5)


EVENTS = st.tuples(
    st.sampled_from(["stop", "stop", "rough", "smooth", "die"]),
    st.sampled_from(CANDIDATES),
    st.floats(0.05, 7.0).map(lambda seconds: round(seconds, 2)),
)


async def ended(seed: int, course: Callable[[World], Awaitable[None]]) -> None:
    """A course, and its world's end whatever became of it."""
    world = World(seed)
    try:
        await course(world)
    finally:
        await world.end()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 1 << 32), events=st.lists(EVENTS, min_size=1, max_size=12))
def test_two_never_lead_and_somebody_leads_again(seed: int, events: list[tuple[str, str, float]]) -> None:
    async def course(world: World) -> None:
        await world.step(8)
        for what, name, seconds in events:
            await world.happen(what, name, seconds)
        for machine in world.machines.values():
            machine.rough = 0.0
        stopped = max(machine.stopped_until_ns for machine in world.machines.values()) - world.clock.boottime_ns()
        await world.step(max(stopped / 1e9, 0) + CALM_SECONDS)
        assert world.leaders()

    asyncio.run(ended(seed, course))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1 << 32), after=st.floats(7.0, 12.0))
def test_a_death_is_followed_within_seven_seconds(seed: int, after: float) -> None:
    """A second after the last renewal at the worst: lease and grace, a claim and its renewal. Two stand by."""

    async def course(world: World) -> None:
        await world.step(after)
        (leader,) = world.leaders()
        await world.die(leader)
        await world.step(7.0)
        assert world.leaders()

    asyncio.run(ended(seed, course))
