"""What becomes of one intent, whatever the wire does: sent once, settled by reading, an outcome of the closed union."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from devices.orders import State
from fleet.clock import VirtualClock
from fleet.errors import Ambiguous as LostAnswer
from fleet.errors import Unreachable
from fleet.model import AssetId
from remediator.actuator_client import Answer, IntentMessage
from remediator.attempt import Attempted, Bench, attempt, resume, to_the_end
from remediator.outcomes import (
    OUTCOMES,
    Ambiguous,
    Cancelled,
    PermanentFailure,
    Succeeded,
    TransientFailure,
    Unproven,
    outcome_named,
)
from remediator.proof import Finding, Verdict
from remediator.records import Intent
from remediator.verbs import TRAITS, Lane, Verb

LATENCY = 5


@dataclass
class Script:
    """An actuator that answers what a test says, and counts what it was asked to send."""

    clock: VirtualClock
    answers: list[Answer | Exception]
    sent: list[IntentMessage] = field(default_factory=list)
    recalled: list[IntentMessage] = field(default_factory=list)
    memory: Answer | None = None

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        if message.not_after_boottime_ns == 0:
            self.recalled.append(message)
            if self.memory is None:
                raise Unreachable("away")
            yield self.memory
            return
        self.sent.append(message)
        for answer in self.answers:
            await self.clock.sleep(0.1)
            if isinstance(answer, Exception):
                raise answer
            yield answer


def answer(state: State, *, final: bool = True, **fields: object) -> Answer:
    return Answer(intent="x", state=state, final=final, **fields)


def intent(verb: Verb = Verb.POWER_OFF) -> Intent:
    return Intent(
        intent_id="x", remediation_id="r", step="s", verb=verb, device=AssetId("n"), target=AssetId("n"), lock="n",
        arguments={}, class_=int(TRAITS[verb].class_), lane=Lane.CORRECTIVE, epoch=1, created_at_ms=1_700_000_000_000,
        not_after_boottime_ns=5_000_000_000, effect_until_ms=1_700_000_000_000 + LATENCY * 1000,
    )  # fmt: skip


class Looking:
    """The independent instrument."""

    def __init__(self, *findings: Verdict) -> None:
        self._findings = list(findings)
        self.asked: list[int] = []

    async def __call__(self, sent_at_ms: int) -> Finding:
        self.asked.append(sent_at_ms)
        return Finding(self._findings.pop(0) if len(self._findings) > 1 else self._findings[0])


async def run(
    script: Script, look: Looking, *, verb: Verb = Verb.POWER_OFF, lease: bool = True, crashed: bool = False
) -> Attempted:
    bench = Bench(clock=script.clock, actuator=script, holds_lease=lambda _epoch: lease)
    work = resume if crashed else attempt
    task = asyncio.create_task(work(intent(verb), look, bench=bench, within_seconds=10, heard=lambda _a: None))
    for _ in range(400):
        if task.done():
            return task.result()
        await script.clock.advance(0.5)
    raise AssertionError("it never ends")


ACK = answer(State.ACKNOWLEDGED, after="off", sent_at_ms=1_700_000_000_100)
UNKNOWN = answer(State.UNKNOWN, sent_at_ms=1_700_000_000_100)
CASES = [
    ("acknowledged and proven", [ACK], Verdict.PROVEN, Succeeded),
    ("acknowledged and shown undone: the device is not believed", [ACK], Verdict.CONTRADICTED, Unproven),
    ("acknowledged and not measured", [ACK], Verdict.OPEN, Unproven),
    ("accepted, and the device itself says still on", [answer(State.ACKNOWLEDGED, after="on", sent_at_ms=1)], Verdict.CONTRADICTED, TransientFailure),
    ("no answer, and the meter shows it done", [UNKNOWN], Verdict.PROVEN, Succeeded),
    ("no answer, and the meter shows it undone", [UNKNOWN], Verdict.CONTRADICTED, TransientFailure),
    ("no answer, and nothing can be read", [UNKNOWN], Verdict.OPEN, Ambiguous),
    ("the fence was not confirmed, and it is done", [answer(State.UNCONFIRMED, sent_at_ms=1)], Verdict.PROVEN, Succeeded),
    ("refused by the device", [answer(State.REFUSED, text="no")], Verdict.OPEN, PermanentFailure),
    ("not sent", [answer(State.NOT_SENT, text="too late")], Verdict.OPEN, TransientFailure),
    ("so already, and proven", [answer(State.NOT_SENT, before="off", after="off")], Verdict.PROVEN, Succeeded),
    ("so already by its own word alone", [answer(State.NOT_SENT, before="off", after="off")], Verdict.CONTRADICTED, Unproven),
    ("nobody at the socket", [Unreachable("no socket")], Verdict.OPEN, TransientFailure),
]  # fmt: skip


@pytest.mark.parametrize(("why", "answers", "shown", "outcome"), CASES, ids=[case[0] for case in CASES])
async def test_every_end_of_a_command_is_one_outcome(why: str, answers: list, shown: Verdict, outcome: type) -> None:
    script = Script(VirtualClock(), answers)
    attempted = await run(script, Looking(shown))
    assert type(attempted.outcome) is outcome
    assert len(script.sent) == 1


async def test_a_lost_connection_is_asked_about_and_never_sent_again() -> None:
    script = Script(VirtualClock(), [answer(State.SENT, final=False), LostAnswer("broken")], memory=ACK)
    attempted = await run(script, Looking(Verdict.PROVEN))
    assert isinstance(attempted.outcome, Succeeded)
    assert (len(script.sent), len(script.recalled)) == (1, 1)
    assert script.recalled[0].intent == script.sent[0].intent
    assert script.recalled[0].not_after_boottime_ns == 0


async def test_an_actuator_that_stays_away_leaves_it_to_the_meter() -> None:
    script = Script(VirtualClock(), [answer(State.SENT, final=False), LostAnswer("broken")])
    attempted = await run(script, Looking(Verdict.OPEN))
    assert isinstance(attempted.outcome, Ambiguous)
    assert len(script.sent) == 1


async def test_ambiguous_is_polled_until_the_effect_latency_is_over() -> None:
    script, look = Script(VirtualClock(), [UNKNOWN]), Looking(Verdict.CONTRADICTED)
    await run(script, look)
    assert len(look.asked) * 0.5 >= LATENCY
    assert set(look.asked) == {1_700_000_000_100}


async def test_without_the_lease_nothing_is_handed_over() -> None:
    script = Script(VirtualClock(), [ACK])
    attempted = await run(script, Looking(Verdict.PROVEN), lease=False)
    assert isinstance(attempted.outcome, Cancelled)
    assert script.sent == []


async def test_after_a_crash_nothing_is_sent() -> None:
    script = Script(VirtualClock(), [ACK], memory=answer(State.NOT_SENT, text="too late"))
    attempted = await run(script, Looking(Verdict.CONTRADICTED), crashed=True)
    assert isinstance(attempted.outcome, TransientFailure)
    assert script.sent == []


async def test_a_checkpoint_in_doubt_goes_to_a_person() -> None:
    script = Script(VirtualClock(), [UNKNOWN])
    attempted = await run(script, Looking(Verdict.CONTRADICTED), verb=Verb.CHECKPOINT)
    assert isinstance(attempted.outcome, Ambiguous)


async def test_a_scheduler_that_refuses_for_now_may_be_asked_again() -> None:
    script = Script(VirtualClock(), [answer(State.REFUSED, text="429")])
    assert isinstance((await run(script, Looking(Verdict.OPEN), verb=Verb.EVICT)).outcome, TransientFailure)


async def test_a_command_is_not_cancelled_between_intent_and_outcome() -> None:
    clock, done = VirtualClock(), []

    async def act() -> str:
        await clock.sleep(3)
        done.append("outcome")
        return "outcome"

    task = asyncio.create_task(to_the_end(act()))
    await clock.advance(1)
    task.cancel()
    await clock.advance(1)
    assert not task.done()
    await clock.advance(2)
    assert done == ["outcome"]
    assert task.cancelled()


async def test_what_a_command_raises_reaches_its_caller() -> None:
    async def act() -> None:
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        await to_the_end(act())


def test_outcomes_are_seven_and_have_their_names() -> None:
    assert sorted(OUTCOMES) == sorted(
        ["Succeeded", "TransientFailure", "PermanentFailure", "Ambiguous", "Unproven", "Cancelled", "Superseded"]
    )
    assert all(outcome_named(name).name == name for name in OUTCOMES)
