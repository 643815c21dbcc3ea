"""The actuator with a writer of the test's: what it refuses, what it remembers, what it never does twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devices.orders import Order, Remember, Report, State, Verdict
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.model import Wire
from fleet.settings import load_settings
from remediator.actuator.act import Act
from remediator.actuator.actuator import Actuator
from remediator.actuator.journal import Journal
from remediator.actuator_client import Answer, IntentMessage
from remediator.verbs import Lane
from tests.faults.write_site import intent, lock_out, make_installation, states_of


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


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def all_of(act: Act) -> list[Answer]:
    return [answer async for answer in act.answers()]


async def ask(actuator: Actuator, message: IntentMessage) -> list[Answer]:
    return await all_of(actuator.take(message))


async def test_an_intent_is_carried_out_and_its_states_are_streamed(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert states_of(answers) == [State.SENT, State.ACKNOWLEDGED, State.ACKNOWLEDGED]
    final = answers[-1]
    assert (final.final, final.before, final.after, final.text) == (True, "on", "off", "done")
    assert final.sent_at_ms is not None
    assert final.read_at_ms is not None
    assert final.sent_at_ms <= final.read_at_ms


async def test_an_order_carries_the_write_secret_and_the_assets_latency(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        await ask(actuator, intent("i1"))
    (order,) = lab.writer.orders
    assert order.secret["suite"] == 3
    assert order.effect_latency_seconds == 0.5
    assert "Correct" not in repr(order)


async def test_a_repeated_intent_is_told_what_is_known_and_never_sent_again(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        first = await ask(actuator, intent("i1"))
        again = await ask(actuator, intent("i1"))
    async with lab.actuator() as restarted:
        later = await ask(restarted, intent("i1"))
    assert again == later == first[-1:]
    assert lab.writer.sends == 1


async def test_who_asks_while_it_is_under_way_hears_the_same_act(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator() as actuator:
        first = asyncio.create_task(all_of(actuator.take(intent("i1"))))
        second = asyncio.create_task(all_of(actuator.take(intent("i1"))))
        await asyncio.sleep(0.01)
        lab.writer.hold_after.set()
        assert await first == await second
    assert lab.writer.sends == 1


async def test_asking_about_an_intent_that_never_came_uses_it_up(lab: Lab) -> None:
    """A recall has a deadline in the past; the original, should it come late, is not sent either."""
    async with lab.actuator() as actuator:
        recalled = await ask(actuator, intent("i1", not_after_boottime_ns=0))
        late = await ask(actuator, intent("i1"))
    assert recalled[-1].state is State.NOT_SENT
    assert late == recalled
    assert lab.writer.sends == 0


async def test_a_busy_asset_refuses_and_does_not_wait(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator() as actuator:
        first = asyncio.create_task(all_of(actuator.take(intent("i1"))))
        await asyncio.sleep(0.01)
        second = await ask(actuator, intent("i2"))
        lab.writer.hold_after.set()
        await first
    assert second[-1].state is State.NOT_SENT
    assert "under way" in second[-1].text


async def test_the_two_lanes_share_the_assets_lock(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator(Lane.CORRECTIVE) as corrective:
        holder = lab.writer
        first = asyncio.create_task(all_of(corrective.take(intent("i1"))))
        await asyncio.sleep(0.01)
        lab.writer = FakeWriter(remember=lambda _i, _n: None)
        async with lab.actuator(Lane.PROTECTIVE) as protective:
            second = await ask(protective, intent("p1"))
        holder.hold_after.set()
        await first
    assert second[-1].state is State.NOT_SENT
    assert lab.writer.sends == 0


async def test_an_unconfirmed_fence_keeps_the_asset_locked_for_both_lanes_and_over_a_restart(lab: Lab) -> None:
    lab.writer.ending = State.UNCONFIRMED
    async with lab.actuator() as actuator:
        await ask(actuator, intent("i1"))
        second = await ask(actuator, intent("i2"))
    async with lab.actuator(Lane.PROTECTIVE) as protective:
        third = await ask(protective, intent("p1"))
    assert lab.writer.sends == 1
    for refused in (second[-1], third[-1]):
        assert refused.state is State.NOT_SENT
        assert "may still run" in refused.text


async def test_after_an_ordinary_act_the_asset_is_free_again(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        await ask(actuator, intent("i1"))
        second = await ask(actuator, intent("i2"))
    assert second[-1].state is State.ACKNOWLEDGED


@pytest.mark.parametrize(
    "locked", ["dgx-001", "r01", "row-01", "hall-1", "small", "pdu-a", "pdu-a#1", "busbar-a", "sub-a"]
)
async def test_a_lockout_on_the_asset_or_anything_it_hangs_on_blocks_off_and_on(lab: Lab, locked: str) -> None:
    lock_out(lab.data, locked)
    async with lab.actuator() as actuator:
        for number, verb in enumerate(("power_off", "power_on")):
            answers = await ask(actuator, intent(f"i{number}", verb))
            assert answers[-1].state is State.NOT_SENT
            assert "locked out by ann: hands in the rack" in answers[-1].text
    assert lab.writer.orders == []


@pytest.mark.parametrize("locked", ["dgx-002", "pdu-a", "pdu-a#2", "r01"])
async def test_a_lockout_on_what_an_outlet_feeds_blocks_the_outlet(lab: Lab, locked: str) -> None:
    lock_out(lab.data, locked)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1", "outlet_on", "pdu-a", arguments={"outlet": "2"}))
    assert answers[-1].state is State.NOT_SENT
    assert lab.writer.orders == []


async def test_a_lockout_on_the_node_blocks_its_cordon(lab: Lab) -> None:
    lock_out(lab.data, "dgx-002")
    async with lab.actuator() as actuator:
        blocked = await ask(actuator, intent("i1", "cordon", "k8s-1", arguments={"node": "dgx-002"}))
        free = await ask(actuator, intent("i2", "cordon", "k8s-1", arguments={"node": "dgx-001"}))
    assert blocked[-1].state is State.NOT_SENT
    assert free[-1].state is State.ACKNOWLEDGED


async def test_a_lockout_elsewhere_blocks_nothing(lab: Lab) -> None:
    lock_out(lab.data, "dgx-002")
    async with lab.actuator() as actuator:
        assert (await ask(actuator, intent("i1")))[-1].state is State.ACKNOWLEDGED


@pytest.mark.parametrize("content", ["{", "[1]", '{"a": 1}', ""])
async def test_lockouts_that_cannot_be_read_block_everything(lab: Lab, content: str) -> None:
    (lab.data / "lockouts.json").write_text(content)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert lab.writer.orders == []


async def test_a_lockout_thrown_while_the_session_is_opened_still_stops_the_send(lab: Lab) -> None:
    lab.writer.before_the_send = lambda: lock_out(lab.data, "r01")
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert "locked out" in answers[-1].text
    assert lab.writer.sends == 0


@pytest.mark.parametrize(
    ("content", "lane", "stopped"),
    [
        ("corrective", Lane.CORRECTIVE, True),
        ("corrective", Lane.PROTECTIVE, False),
        ("all", Lane.CORRECTIVE, True),
        ("all", Lane.PROTECTIVE, True),
        ("nonsense", Lane.PROTECTIVE, True),
    ],
)
async def test_the_stop_file_stops_its_lanes(lab: Lab, content: str, lane: Lane, stopped: bool) -> None:
    (lab.data / "stop").write_text(content)
    async with lab.actuator(lane) as actuator:
        answers = await ask(actuator, intent("i1"))
    assert (answers[-1].state is State.NOT_SENT) == stopped


async def test_a_stop_thrown_while_the_session_is_opened_still_stops_the_send(lab: Lab) -> None:
    lab.writer.before_the_send = lambda: (lab.data / "stop").write_text("all")
    async with lab.actuator() as actuator:
        assert (await ask(actuator, intent("i1")))[-1].state is State.NOT_SENT
    assert lab.writer.sends == 0


async def test_an_older_leader_is_not_obeyed_not_even_after_a_restart(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        await ask(actuator, intent("i1", epoch=7))
        assert "epoch 6 is over" in (await ask(actuator, intent("i2", epoch=6)))[-1].text
    async with lab.actuator() as restarted:
        assert "epoch 6 is over" in (await ask(restarted, intent("i3", epoch=6)))[-1].text
        assert (await ask(restarted, intent("i4", epoch=7)))[-1].state is State.ACKNOWLEDGED
    assert (lab.data / "epoch-corrective").read_text() == "7\n"


async def test_a_new_leader_that_comes_during_the_login_stops_the_old_ones_send(lab: Lab) -> None:
    lab.writer.hold_before = asyncio.Event()
    async with lab.actuator() as actuator:
        old = asyncio.create_task(all_of(actuator.take(intent("i1", epoch=7))))
        await asyncio.sleep(0.01)
        actuator.take(intent("i2", asset="dgx-002", epoch=8))
        await asyncio.sleep(0.01)
        lab.writer.hold_before.set()
        answers = await old
    assert answers[-1].state is State.NOT_SENT
    assert "epoch 7 is over" in answers[-1].text


@pytest.mark.parametrize(
    ("verb", "asset", "arguments", "text"),
    [
        ("reboot", "dgx-001", {}, "is no verb"),
        ("power_off", "dgx-00x", {}, "try 'dgx-00"),
        ("power_off", "pdu-a", {}, "has no ipmi endpoint"),
        ("outlet_off", "pdu-a", {}, "is no outlet"),
        ("outlet_off", "pdu-a", {"outlet": "77"}, "no asset"),
        ("power_off", "vault", {}, "vault is protected"),
        ("outlet_off", "pdu-a", {"outlet": "3"}, "vault is protected"),
    ],
)
async def test_what_makes_no_sense_or_is_protected_is_refused_with_what_to_try(
    lab: Lab, verb: str, asset: str, arguments: dict[str, object], text: str
) -> None:
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1", verb, asset, arguments=arguments))
    assert answers[-1].state is State.NOT_SENT
    assert text in answers[-1].text
    assert lab.writer.orders == []


async def test_a_secret_that_others_can_read_is_not_used(lab: Lab) -> None:
    (lab.settings.parent / "secrets" / "bmc.yaml").chmod(0o644)
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert "0644" in answers[-1].text


async def test_a_journal_that_cannot_be_written_sends_nothing(lab: Lab) -> None:
    async with lab.actuator() as actuator:
        actuator._journal.close()
        answers = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.NOT_SENT
    assert lab.writer.orders == []


async def test_a_restart_after_the_send_looks_and_answers_unknown(lab: Lab) -> None:
    journal = Journal(lab.data / "actuator-corrective.sqlite")
    journal.take(intent("i1"), 1)
    journal.remember("i1", "session-7")
    journal.close()
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
        again = await ask(actuator, intent("i1"))
    assert answers[-1].state is State.UNKNOWN
    assert answers[-1].after == "off"
    assert again == answers[-1:]
    assert lab.writer.settled == ["session-7"]
    assert lab.writer.sends == 0


async def test_a_restart_settles_what_is_in_doubt_before_anybody_asks(lab: Lab) -> None:
    lab.writer.hold_settling = asyncio.Event()
    journal = Journal(lab.data / "actuator-corrective.sqlite")
    journal.take(intent("i1"), 1)
    journal.remember("i1", "session-7")
    journal.close()
    async with lab.actuator() as actuator:
        while lab.writer.settled != ["session-7"]:
            await asyncio.sleep(0.01)
        asked = asyncio.create_task(ask(actuator, intent("i1", not_after_boottime_ns=0)))
        await asyncio.sleep(0.01)
        lab.writer.hold_settling.set()
        assert states_of(await asked) == [State.UNKNOWN, State.FENCED, State.UNKNOWN]


async def test_a_restart_before_the_send_knows_that_nothing_was_sent(lab: Lab) -> None:
    journal = Journal(lab.data / "actuator-corrective.sqlite")
    journal.take(intent("i1"), 1)
    journal.close()
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1"))
    assert states_of(answers) == [State.NOT_SENT]
    assert "before the send" in answers[-1].text


async def test_a_restart_cannot_know_of_a_writer_that_does_not_remember(lab: Lab) -> None:
    journal = Journal(lab.data / "actuator-corrective.sqlite")
    journal.take(intent("i1"), 1)
    journal.close()
    async with lab.actuator(forgetful=True) as actuator:
        answers = await ask(actuator, intent("i1"))
    assert states_of(answers) == [State.UNKNOWN]


async def test_an_asset_that_left_the_inventory_keeps_its_doubt(lab: Lab) -> None:
    journal = Journal(lab.data / "actuator-corrective.sqlite")
    journal.take(intent("i1", asset="gone"), 1)
    journal.remember("i1", "session-7")
    journal.close()
    async with lab.actuator() as actuator:
        answers = await ask(actuator, intent("i1", asset="gone"))
    assert answers[-1].state is State.UNKNOWN


async def test_after_a_crash_the_other_lane_leaves_the_asset_alone_until_it_is_settled(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator() as crashed:
        crashed.take(intent("i1"))
        await asyncio.sleep(0.01)
    assert lab.writer.sends == 1
    lab.writer.hold_after = None
    async with lab.actuator(Lane.PROTECTIVE) as protective:
        assert "may still run" in (await ask(protective, intent("p1")))[-1].text
        async with lab.actuator() as restarted:
            await ask(restarted, intent("i1"))
        async with lab.actuator(Lane.PROTECTIVE) as again:
            assert (await ask(again, intent("p2")))[-1].state is State.ACKNOWLEDGED


async def test_draining_waits_for_acts_and_refuses_new_ones(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator() as actuator:
        act = actuator.take(intent("i1"))
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(actuator.drained(hurried=asyncio.Event()))
        await asyncio.sleep(0.01)
        refused = await ask(actuator, intent("i2", asset="dgx-002"))
        assert not draining.done()
        lab.writer.hold_after.set()
        await draining
        assert (await all_of(act))[-1].state is State.ACKNOWLEDGED
    assert "shutting down" in refused[-1].text


async def test_hurried_draining_gives_up_what_was_not_sent_and_waits_for_what_was(lab: Lab) -> None:
    lab.writer.hold_before, lab.writer.hold_after = asyncio.Event(), asyncio.Event()
    async with lab.actuator() as actuator:
        sent = actuator.take(intent("i1"))
        await asyncio.sleep(0.01)
        lab.writer.hold_before.set()
        await asyncio.sleep(0.01)
        lab.writer.hold_before = asyncio.Event()
        waiting = actuator.take(intent("i2", asset="dgx-002"))
        await asyncio.sleep(0.01)
        hurry = asyncio.Event()
        hurry.set()
        draining = asyncio.create_task(actuator.drained(hurried=hurry))
        given_up = await all_of(waiting)
        assert not draining.done()
        lab.writer.hold_after.set()
        await draining
        assert (await all_of(sent))[-1].state is State.ACKNOWLEDGED
    assert given_up[-1].state is State.NOT_SENT
    assert lab.writer.sends == 1


async def test_behind_a_scheduler_the_lock_is_on_the_object(lab: Lab) -> None:
    lab.writer.hold_after = asyncio.Event()
    async with lab.actuator() as actuator:
        first = asyncio.create_task(
            all_of(actuator.take(intent("i1", "cordon", "k8s-1", arguments={"node": "dgx-001"})))
        )
        await asyncio.sleep(0.01)
        same = await ask(actuator, intent("i2", "uncordon", "k8s-1", arguments={"node": "dgx-001"}))
        other = asyncio.create_task(
            all_of(actuator.take(intent("i3", "cordon", "k8s-1", arguments={"node": "dgx-002"})))
        )
        await asyncio.sleep(0.01)
        lab.writer.hold_after.set()
        assert (await other)[-1].state is State.ACKNOWLEDGED
        await first
    assert "under way" in same[-1].text
