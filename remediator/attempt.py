"""One attempt: an intent that is durable already is handed to the actuator once, and what came of it is read elsewhere.

The outcome is a closed union. A command that may have been sent is never cancelled half way: `to_the_end` keeps it from the
caller's cancellation until its outcome is known.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from devices.orders import POWER_GOALS, State
from fleet.clock import Clock
from remediator.actuator_client import Actuator, Answer, Heard, IntentMessage, command, recall
from remediator.outcomes import (
    Ambiguous,
    Cancelled,
    Outcome,
    PermanentFailure,
    Succeeded,
    TransientFailure,
    Unproven,
)
from remediator.proof import Finding, Verdict
from remediator.records import Intent
from remediator.verbs import TRAITS, Plane, Verb

LOOK_SECONDS = 0.5
"""Pause between two looks at the proof."""
WIRE_SECONDS = 30.0
"""What an act may take on the wire beyond its effect latency: login, send, fence, read-back."""

T = TypeVar("T")


class Look(Protocol):
    """Reads the independent instrument; the moment is when the command may have been sent at the earliest."""

    async def __call__(self, sent_at_ms: int) -> Finding: ...


@dataclass(frozen=True, slots=True)
class Attempted:
    """How an attempt ended, and by which samples."""

    outcome: Outcome
    finding: Finding
    sent_at_ms: int | None
    wire_state: State

    @classmethod
    def unsent(cls, outcome: Outcome) -> "Attempted":
        """Nothing left this machine."""
        return cls(outcome, Finding(Verdict.OPEN), None, State.NOT_SENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What an attempt needs of the world."""

    clock: Clock
    actuator: Actuator
    holds_lease: Callable[[int], bool]
    """Whether the epoch may still command at this moment."""


GOALS: dict[Verb, str] = {Verb(name): goal for name, goal in POWER_GOALS.items()}
"""The state that a verb asks for, in the writers' words."""


async def attempt(intent: Intent, look: Look, *, bench: Bench, within_seconds: float, heard: Heard) -> Attempted:
    """Send once, then read. The caller has made the intent durable and closes it with the outcome."""
    if not bench.holds_lease(intent.epoch):
        return Attempted.unsent(Cancelled("the lease lapsed before it was sent"))
    latency = _latency_seconds(intent)
    answer = await command(
        bench.actuator, _message(intent), clock=bench.clock, limit_seconds=latency + WIRE_SECONDS, heard=heard
    )
    return await settle(intent, answer, look, clock=bench.clock, within_seconds=within_seconds)


async def resume(intent: Intent, look: Look, *, bench: Bench, within_seconds: float, heard: Heard) -> Attempted:
    """After a crash: the actuator is asked what it knows of the intent, the device is read; nothing is sent."""
    answer = await recall(bench.actuator, _message(intent), clock=bench.clock, heard=heard)
    return await settle(intent, answer, look, clock=bench.clock, within_seconds=within_seconds)


async def settle(intent: Intent, answer: Answer, look: Look, *, clock: Clock, within_seconds: float) -> Attempted:
    """From what the wire said and what the instrument shows to an outcome."""
    if answer.state is State.NOT_SENT and not _goal_met(intent, answer):
        return Attempted.unsent(TransientFailure(answer.text or "not sent"))
    if answer.state is State.REFUSED:
        return Attempted(_refused(intent, answer), Finding(Verdict.OPEN), answer.sent_at_ms, answer.state)
    sent_at_ms = answer.sent_at_ms or intent.sent_at_ms or intent.created_at_ms
    certain = answer.state in {State.ACKNOWLEDGED, State.FENCED, State.NOT_SENT}
    until_ms = sent_at_ms + round(1000 * max(within_seconds, _latency_seconds(intent)))
    finding = await _watch(look, sent_at_ms, until_ms if certain else max(until_ms, intent.effect_until_ms), clock)
    outcome = judged(intent, answer, finding, certain=certain)
    return Attempted(outcome, finding, None if answer.state is State.NOT_SENT else sent_at_ms, answer.state)


def judged(intent: Intent, answer: Answer, finding: Finding, *, certain: bool) -> Outcome:
    """The outcome, once the time for the effect is over or the effect is proven."""
    if finding.verdict is Verdict.PROVEN:
        return Succeeded(finding.text)
    goal = GOALS.get(intent.verb)
    undone = answer.after is not None and goal is not None and answer.after != goal
    if certain and undone and finding.verdict is Verdict.CONTRADICTED:
        return TransientFailure(f"accepted, and nothing happened: still {answer.after}, {finding.text}")
    if certain:
        return Unproven(f"the device says done, the independent instrument does not: {finding.text}")
    if finding.verdict is Verdict.CONTRADICTED and TRAITS[intent.verb].settles:
        return TransientFailure(f"not done within the effect latency: {finding.text}")
    return Ambiguous(f"sent, not acknowledged, and it cannot be read: {finding.text} {answer.text}".strip())


async def _watch(look: Look, sent_at_ms: int, until_ms: int, clock: Clock) -> Finding:
    while True:
        finding = await look(sent_at_ms)
        if finding.verdict is Verdict.PROVEN or clock.now_ms() >= until_ms:
            return finding
        await clock.sleep(LOOK_SECONDS)


def _refused(intent: Intent, answer: Answer) -> Outcome:
    """A cluster or an agent that says no now (429, 409) may say yes later; a device that says no has decided."""
    if TRAITS[intent.verb].plane in {Plane.SCHEDULER, Plane.AGENT, Plane.SLURM, Plane.HOOK, Plane.REDFISH}:
        return TransientFailure(f"refused without effect: {answer.text}")
    return PermanentFailure(f"refused: {answer.text}")


def _goal_met(intent: Intent, answer: Answer) -> bool:
    goal = GOALS.get(intent.verb)
    return answer.before is not None and (answer.before == goal if goal else answer.before == answer.after)


def _latency_seconds(intent: Intent) -> float:
    return max(0.0, (intent.effect_until_ms - intent.created_at_ms) / 1000)


def _message(intent: Intent) -> IntentMessage:
    return IntentMessage(
        intent=intent.intent_id,
        epoch=intent.epoch,
        asset=intent.device,
        verb=intent.verb.value,
        arguments=intent.arguments,
        not_after_boottime_ns=intent.not_after_boottime_ns,
    )


async def to_the_end(work: Awaitable[T]) -> T:
    """The work's result, even if the caller is cancelled meanwhile; the cancellation is raised when it is done."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            cancelled = True
            if task.cancelled():
                raise
        except BaseException:
            break
    if cancelled:
        raise asyncio.CancelledError
    return task.result()
