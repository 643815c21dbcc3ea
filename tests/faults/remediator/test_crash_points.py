"""A crash at every write of the ledger and at every boundary of the actuator: each intent runs once at most, none stays in doubt."""

import sqlite3
from pathlib import Path

import pytest

from remediator.transitions import Phase
from tests.unit.remediator.fakes.actuator import FakeActuator
from tests.unit.remediator.fakes.world import OneWorld

NODE = "dgx-001"
RACKS = 5
"""20 nodes: the smallest site of which one may be in remediation."""


class Crash(BaseException):
    """The process is gone."""


class CrashingConnection(sqlite3.Connection):
    """Dies before or after its n-th commit."""

    at: int | None = None
    after = False
    commits = 0

    def execute(self, sql: str, *args: object):
        if sql == "COMMIT" and self.at is not None:
            type(self).commits += 1
            if self.commits == self.at:
                if self.after:
                    super().execute("COMMIT")
                raise Crash
        return super().execute(sql, *args)


def crashing(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, factory=CrashingConnection)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


class CountingActuator(FakeActuator):
    """Dies with the remediator at the n-th boundary; its own journal lives on, as that of another process does."""

    at: int | None = None
    passed = 0

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.boundary = self._boundary
        self.points: list[str] = []
        self.in_ledger: list[bool] = []

    def _boundary(self, point: str) -> None:
        self.passed += 1
        self.points.append(point)
        if point == "before send":
            self.in_ledger.append(self._durable())
        if self.passed == self.at:
            raise Crash

    def _durable(self) -> bool:
        """Whether the intent is on disk before it is sent, as another process reads it."""
        with sqlite3.connect(self.data / "ledger.sqlite") as other:
            found = other.execute("SELECT 1 FROM intents WHERE id=?", (self.asked[-1].intent,)).fetchone()
        other.close()
        return found is not None


async def whole_cycle(folder: Path, *, commit: int | None = None, after: bool = False, boundary: int | None = None):
    """One hung node healed, with one crash on the way and a restart five seconds later."""
    CrashingConnection.at, CrashingConnection.after, CrashingConnection.commits = None, after, 0
    world = OneWorld(folder, racks=RACKS, actuator=CountingActuator)
    world.actuator.data = world.data
    world.actuator.at = boundary
    world.plant.add_job("train/llm", [NODE])
    crashes = 0
    async with world.running():
        world.ledger.close()
        world.open_ledger(crashing)
        world.plant.hang(NODE)
        await world.clock.advance(12)
        CrashingConnection.at, CrashingConnection.commits = commit if commit is not None else 10**9, 0
        for _ in range(3):
            try:
                course = await world.drive(world.course("node-hung", NODE), 200)
                break
            except Crash:
                crashes += 1
                CrashingConnection.at = 10**9
                world.ledger.close()
                await world.clock.advance(5)
                world.open_ledger(crashing)
        await world.clock.advance(10)
        open_intents = world.ledger.open_intents()
        total = CrashingConnection.commits
    return world, course, crashes, open_intents, total


def check(world: OneWorld, course, open_intents: list) -> None:
    executions = world.actuator.executions()
    assert max(executions.values()) == 1, "an intent ran twice"
    assert open_intents == [], "an intent stays in doubt"
    assert all(world.actuator.in_ledger), "an intent was handed over before it was durable"
    assert course.state.ended
    powered = [verb for verb in world.actuator.verbs if verb.startswith("power")]
    assert powered in (["power_off", "power_on"], ["power_off"], []), powered
    assert course.state.phase is Phase.SUCCEEDED, (course.state.phase, course.state.reason_text)
    assert world.plant.nodes[NODE].state == "running"
    assert not world.plant.nodes[NODE].unschedulable


COMMITS, BOUNDARIES = 41, 24
"""So many there are: the first test says when a change made more of them."""


async def test_the_sweep_covers_every_point(tmp_path: Path) -> None:
    world, course, crashes, open_intents, total = await whole_cycle(tmp_path)
    check(world, course, open_intents)
    assert crashes == 0
    assert total == COMMITS
    assert world.actuator.passed == BOUNDARIES
    assert set(world.actuator.points) == {
        "before send", "after send", "after sent answer", "before final answer",
    }  # fmt: skip


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("commit", range(1, COMMITS + 1))
async def test_a_crash_at_a_ledger_write(tmp_path: Path, commit: int, after: bool) -> None:
    world, course, _, open_intents, _ = await whole_cycle(tmp_path, commit=commit, after=after)
    check(world, course, open_intents)


@pytest.mark.parametrize("boundary", range(1, BOUNDARIES + 1))
async def test_a_crash_at_an_actuator_boundary(tmp_path: Path, boundary: int) -> None:
    world, course, crashes, open_intents, _ = await whole_cycle(tmp_path, boundary=boundary)
    assert crashes == 1
    check(world, course, open_intents)
