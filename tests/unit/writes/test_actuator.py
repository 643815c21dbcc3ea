"""What the actuator remembers, what it never does twice, how it ends."""

import asyncio
from pathlib import Path

import pytest

from devices.orders import State
from remediator.actuator.journal import Journal
from remediator.verbs import Lane
from tests.faults.write_lab import FakeWriter, Lab, all_of, ask
from tests.faults.write_site import intent, states_of


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


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
