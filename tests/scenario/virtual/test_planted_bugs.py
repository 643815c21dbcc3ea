"""Bugs planted in the product, one at a time: the invariants find each of them, and name the promise that it breaks."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from hallkeeper.world import disk, power_devices, power_writers
from hallkeeper.world.campaign import silence, workplace
from hallkeeper.world.faultplan import Planned
from hallkeeper.world.hall import Ground
from hallkeeper.world.seeds import Run, Verdict
from hallkeeper.world.stories import NODE, ill, small_ground, trouble
from remediator import acting, attempt, budgets, course, gates
from remediator.actuator import guard, journal
from remediator.conditions import Finding
from remediator.outbox import Outbox
from remediator.proof import Verdict as Proof

pytestmark = pytest.mark.timeout(600)
Plant = Callable[[ExitStack], None]
NEIGHBOUR = "dgx-003"
"""In the rack of NODE."""


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    silence()
    folder = workplace()
    yield small_ground(folder / "ground")
    shutil.rmtree(folder)


def lived(
    ground: Ground, folder: Path, plan: tuple[Planned, ...], seconds: float, plant: Plant | None = None, crash: str = ""
) -> Verdict:
    """One story with a bug in it, and perhaps a crash of everything at the n-th point of that name after 32 s."""
    with ExitStack() as bugs:
        if plant is not None:
            plant(bugs)
        run = Run(ground, 5, folder / "data", plan=plan, seconds=seconds)
        if crash:
            run.hall.point = _crash_at(run, crash)
        return run.verdict()


def _crash_at(run: Run, wanted: str) -> Callable[[str, str], None]:
    wanted, _, number = wanted.partition("#")
    reached: list[str] = []

    def point(process: str, name: str) -> None:
        if f"{process} {name}" == wanted and run.hall.loop.time() > 32.0:
            reached.append(name)
            if len(reached) == int(number):
                run.hall.loop.call_soon(run.troubles.power_loss, trouble("F9", "power-loss", 0, 4))

    return point


def says_nothing(*_: object) -> None:
    """A gate that lets everything pass."""


def without(*names: str) -> Plant:
    """Some gates say nothing any more."""

    def plant(bugs: ExitStack) -> None:
        left = tuple((name, says_nothing if name in names else gate) for name, gate in gates.GATES)
        bugs.enter_context(patch.object(gates, "GATES", left))

    return plant


def all_of(*plants: Plant) -> Plant:
    def plant(bugs: ExitStack) -> None:
        for one in plants:
            one(bugs)

    return plant


def replaced(owner: object, name: str, what: object) -> Plant:
    def plant(bugs: ExitStack) -> None:
        bugs.enter_context(patch.object(owner, name, what))

    return plant


# the bugs


def no_fsync(bugs: ExitStack) -> None:
    """The ledger's commits are not synced: a host that loses its power forgets them."""
    connector = disk.Disk.connector

    def careless(self, process):
        connect = connector(self, process)

        def opened(path):
            connection = connect(path)
            if path.name == "ledger.sqlite":
                connection.execute("PRAGMA synchronous=OFF")
            return connection

        return opened

    bugs.enter_context(patch.object(disk.Disk, "connector", careless))


def resend_on_unknown(bugs: ExitStack) -> None:
    """A writer that sends once more when no answer came, as pyghmi does."""
    answer = power_writers.PowerWriter._answer

    async def again(self, attempted, answered):
        said = await answer(self, attempted, answered)
        if said == "no answer":
            self._launched(attempted.order, "00000001")
        return said

    bugs.enter_context(patch.object(power_writers.PowerWriter, "_answer", again))


def resend_after_a_crash(bugs: ExitStack) -> None:
    """After a restart what is in doubt is commanded again, and the actuator has forgotten that it knows it."""

    async def once_more(intent, look, *, bench, within_seconds, heard):
        fresh = bench.clock.boottime_ns() + 5_000_000_000
        message = attempt._message(intent)
        message = type(message)(*(getattr(message, f) for f in message.__struct_fields__[:-1]), fresh)
        answer = await attempt.command(bench.actuator, message, clock=bench.clock, limit_seconds=30.0, heard=heard)
        return await attempt.settle(intent, answer, look, clock=bench.clock, within_seconds=within_seconds)

    bugs.enter_context(patch.object(acting, "resume", once_more))
    bugs.enter_context(patch.object(journal.Journal, "take", lambda *_: None))
    bugs.enter_context(patch.object(journal.Journal, "in_doubt", lambda _: []))
    bugs.enter_context(patch.object(power_devices.PowerDevices, "power_of", lambda *_: "on"))


def send_before_it_is_noted(bugs: ExitStack) -> None:
    """The actuator does not write down that it is about to send."""
    bugs.enter_context(patch.object(journal.Journal, "remember", lambda *_: None))


def nothing_recovers(bugs: ExitStack) -> None:
    """Open intents of before are left lying."""

    async def stuck(self):
        if self._world.ledger.open_intents():
            await self._world.clock.sleep(1e6)

    bugs.enter_context(patch.object(course.Course, "_recover", stuck))


def waits_are_always_over(bugs: ExitStack) -> None:
    """Every wait is proven at once: a node is given back before it lives."""
    bugs.enter_context(patch.object(course, "judged", lambda *_: Finding(Proof.PROVEN, text="surely")))


def the_outbox_forgets(bugs: ExitStack) -> None:
    """Events leave the ledger and never reach the bus."""

    async def forget(self):
        while waiting := self._ledger.outbox(200):
            self._ledger.published(waiting[-1].sequence)

    bugs.enter_context(patch.object(Outbox, "flush", forget))


def any_number_at_once(bugs: ExitStack) -> None:
    """A budget that is no limit."""
    bugs.enter_context(patch.object(budgets, "allowed", lambda *_, **__: 99))


def stop_is_not_asked(bugs: ExitStack) -> None:
    without("stop")(bugs)
    bugs.enter_context(patch.object(guard, "_stopped", lambda _: None))


def locks_are_not_asked(bugs: ExitStack) -> None:
    without("lockout")(bugs)
    bugs.enter_context(patch.object(guard, "_forbidden", lambda *_: None))


def blind_trust(bugs: ExitStack) -> None:
    """Neither age nor quality of a reading matters."""
    without("freshness", "trust", "proof_of_death")(bugs)


HUNG = (ill("hung-node", NODE),)
BUGS = {
    "a commit that is not synced": (no_fsync, HUNG, 200.0, "actuator sent#2", "S4"),
    "a resend when no answer came": (
        resend_on_unknown, (*HUNG, trouble("F6", "network", 40, 90, mute=1.0)), 130.0, "", "S3",
    ),
    "a resend after a crash": (resend_after_a_crash, HUNG, 200.0, "actuator sent#2", "S3"),
    "a send that nobody wrote down": (send_before_it_is_noted, HUNG, 90.0, "", "S2"),
    "open intents that nobody settles": (nothing_recovers, HUNG, 420.0, "actuator sent#2", "S4"),
    "waits that end at once": (waits_are_always_over, HUNG, 90.0, "", "S9"),
    "events that are forgotten": (the_outbox_forgets, HUNG, 90.0, "", "D1"),
    "a budget without a limit": (
        all_of(any_number_at_once, without("traffic", "mass_failure")),
        (*HUNG, ill("hung-node", NEIGHBOUR, 33)), 110.0, "", "S6",
    ),
    "a stop switch that nobody asks": (
        stop_is_not_asked, (*HUNG, trouble("people", "stop", 40, 100)), 110.0, "", "S12",
    ),
    "a lockout that nobody asks": (
        locks_are_not_asked, (*HUNG, trouble("people", "lockout", 36, 110, NODE)), 125.0, "", "S13",
    ),
    "maintenance that nobody asks": (
        without("maintenance"), (*HUNG, trouble("people", "maintenance", 36, 110, NODE)), 110.0, "", "S13",
    ),
    "evidence of any age": (
        blind_trust,
        (*HUNG, *(trouble("F13", "device-silent", 33, 100, f"pdu-r01-{feed}") for feed in "ab")),
        110.0, "", "S5",
    ),
    "death that nobody proves": (
        all_of(without("proof_of_death", "mass_failure", "trust")),
        (trouble("F13", "agent-silent", 32, 150, NODE), trouble("F13", "exporter-silent", 32, 150, NODE)),
        110.0, "", "S9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught_by_the_name_of_the_promise_that_it_breaks(
    name: str, ground: Ground, tmp_path: Path
) -> None:
    plant, plan, seconds, crash, promise = BUGS[name]
    verdict = lived(ground, tmp_path, plan, seconds, plant, crash)
    assert any(line.startswith(f"{promise} ") for line in verdict.violations), verdict


@pytest.mark.parametrize("name", BUGS)
def test_without_the_bug_the_same_story_breaks_no_promise(name: str, ground: Ground, tmp_path: Path) -> None:
    _, plan, seconds, crash, _ = BUGS[name]
    verdict = lived(ground, tmp_path, plan, seconds, None, crash)
    assert verdict.violations == ()
