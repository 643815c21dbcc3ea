"""Several acts of the protective lane at once: admitted in one transaction, each sent once, ended together with what the meter shows."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bus.events import GateResult
from devices.orders import State
from fleet.model import AssetId, Kind, Site
from remediator.actuator_client import Answer, IntentMessage, command, recall
from remediator.attempt import WIRE_SECONDS
from remediator.facts import Proposal, Refusal
from remediator.gates import Judgement
from remediator.journal import outgoing
from remediator.plans import SEND_WITHIN_SECONDS, NoDevice
from remediator.records import Intent, Remediation, StepDone, intent_id_of, lock_of
from remediator.shed import ShedAct
from remediator.shed_world import ShedWorld
from remediator.transitions import Move
from remediator.verbs import TRAITS, Cause, Lane, Plane, Verb


@dataclass(frozen=True, slots=True)
class Sent:
    """One intent and how its sending ended."""

    intent: Intent
    answer: Answer

    @property
    def may_have_run(self) -> bool:
        """It may have taken effect."""
        return self.answer.state not in {State.NOT_SENT, State.REFUSED}


def proposal_of(act: ShedAct, state: Remediation, site: Site, step: str, *, release: bool = False) -> Proposal:
    """What the gates are asked about. Raises `NoDevice`."""
    return Proposal(
        remediation=state.remediation_id,
        incident=state.incident_id,
        playbook=state.playbook,
        step=step,
        lane=Lane.PROTECTIVE,
        mode=state.mode,
        cause=Cause.OVERLOAD,
        verb=act.verb,
        target=act.target,
        device=_device(act, state.target, site),
        release=release,
    )


def _device(act: ShedAct, pdu: AssetId, site: Site) -> AssetId:
    match TRAITS[act.verb].plane:
        case Plane.PDU:
            return pdu
        case Plane.SCHEDULER:
            schedulers = site.of_kind(Kind.SCHEDULER)
            if not schedulers:
                raise NoDevice("no scheduler in the inventory, try naming it under schedulers")
            return schedulers[0].id
        case _:
            return act.target


def results(judgement: Judgement | None) -> list[GateResult]:
    """What the gates said, for the decision record of a batch."""
    lines = () if judgement is None else judgement.lines
    return [GateResult(gate=line.gate, passed=line.passed, text=line.text) for line in lines]


class Batch:
    """The pen and the hands of one course of the protective lane."""

    def __init__(self, state: Remediation, world: ShedWorld) -> None:
        self.state = state
        self._world = world

    def move(self, move: Move, **changes: Any) -> None:
        """The next phase."""
        state = self.state.moved(move, self._now(), **changes)
        self._world.ledger.record(state, outgoing(state))
        self.state = state
        self._world.told(state, "")

    def refuse(self, judgement: Judgement) -> None:
        """A refusal, told once for each reason."""
        refusal = judgement.refusal
        assert refusal is not None
        if self.state.reason_code == refusal.code:
            return
        state = self.state.moved(
            Move.ASK if refusal.ask else Move.REFUSE,
            self._now(),
            reason_code=refusal.code,
            reason_text=refusal.text,
            refused_since_ms=self.state.refused_since_ms or self._now(),
            asked_at_ms=self.state.asked_at_ms or (self._now() if refusal.ask else None),
        )
        self._world.ledger.record(state, outgoing(state))
        self.state = state
        self._world.told(state, judgement.gate)

    def admit(
        self, step: str, proposals: Sequence[tuple[Proposal, ShedAct]], lines: Sequence[GateResult]
    ) -> list[Intent] | Refusal:
        """All of them durable in one transaction, or none."""
        epoch = self._world.epoch()
        if epoch is None:
            return Refusal("no_lease", "this process is not the active protective lane")
        busy = {intent.lock for intent in self._world.ledger.open_intents()}
        ordinal = int(self.state.memory.get("batches", 0))
        intents = [self._intent(proposal, act, ordinal, epoch) for proposal, act in proposals]
        intents = [intent for intent in intents if intent.lock not in busy]
        if not intents:
            return Refusal("device_busy", "every object of the step has an act whose outcome is not known yet")
        state = self.state.moved(
            Move.ADMIT,
            self._now(),
            step_name=step,
            verb=intents[0].verb.value,
            class_=f"A{max(intent.class_ for intent in intents)}",
            intent_id=intents[0].intent_id,
            arguments={"acts": len(intents)},
            gates=tuple(lines),
            reason_code="",
            reason_text="",
            refused_since_ms=None,
            epoch=epoch,
            memory={**self.state.memory, "batches": ordinal + 1},
        )
        refusal = self._world.ledger.admit(state, intents, (), outgoing(state))
        if refusal is not None:
            return refusal
        self.state = state
        self._world.told(state, "")
        return intents

    def _intent(self, proposal: Proposal, act: ShedAct, ordinal: int, epoch: int) -> Intent:
        arguments = {name: value for name, value in act.arguments.items() if name not in _OURS.get(act.verb, ())}
        lock = lock_of(proposal.device, act.verb, arguments)
        latency_seconds = self._world.site.asset(proposal.device).effect_latency_seconds
        now_ms = self._now()
        return Intent(
            intent_id=intent_id_of(self.state.remediation_id, 0, proposal.step, lock, ordinal),
            remediation_id=self.state.remediation_id,
            step=proposal.step,
            verb=act.verb,
            device=proposal.device,
            target=act.target,
            lock=lock,
            arguments=arguments,
            class_=int(proposal.traits.class_),
            lane=Lane.PROTECTIVE,
            epoch=epoch,
            created_at_ms=now_ms,
            not_after_boottime_ns=self._world.clock.boottime_ns() + round(SEND_WITHIN_SECONDS * 1e9),
            effect_until_ms=now_ms + round(1000 * (SEND_WITHIN_SECONDS + latency_seconds)),
        )

    async def send(self, intents: Sequence[Intent]) -> list[Sent]:
        """Each once, all at the same time; each intent is told by an event of its own."""
        self._tell(intents)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send(intent)) for intent in intents]
        self.move(Move.ANSWER)
        return [task.result() for task in tasks]

    def _tell(self, intents: Sequence[Intent]) -> None:
        """They go out now: one event an intent, all in one transaction."""
        states = []
        state = self.state.moved(Move.SEND, self._now())
        for intent in intents:
            state = msgspec.structs.replace(
                state,
                sequence=state.sequence + 1,
                intent_id=intent.intent_id,
                verb=intent.verb.value,
                class_=f"A{intent.class_}",
                arguments={**intent.arguments, "device": str(intent.device), "object": str(intent.target)},
            )
            states.append(state)
        self._world.ledger.record(state, *(outgoing(each) for each in states))
        self.state = state
        self._world.told(state, "")

    async def ask(self, intents: Sequence[Intent]) -> list[Sent]:
        """After a crash: what became of them, without sending anything."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(intent)) for intent in intents]
        return [task.result() for task in tasks]

    async def _send(self, intent: Intent) -> Sent:
        bench = self._world.bench
        if not bench.holds_lease(intent.epoch):
            return Sent(
                intent, Answer(intent=intent.intent_id, state=State.NOT_SENT, text="the lease lapsed", final=True)
            )
        limit = (intent.effect_until_ms - intent.created_at_ms) / 1000 + WIRE_SECONDS
        answer = await command(
            bench.actuator, _message(intent), clock=bench.clock, limit_seconds=limit, heard=self._hears(intent)
        )
        return Sent(intent, answer)

    async def _ask(self, intent: Intent) -> Sent:
        bench = self._world.bench
        answer = await recall(bench.actuator, _message(intent), clock=bench.clock, heard=self._hears(intent))
        return Sent(intent, answer)

    def _hears(self, intent: Intent) -> "Noting":
        return Noting(intent, self._world)

    def conclude(
        self,
        step: str,
        ended: Sequence[tuple[Sent, str, str]],
        *,
        move: Move,
        held: Mapping[str, Any],
        **changes: Any,
    ) -> None:
        """Outcome and text of each, the state after them, and what is held from now on: one transaction."""
        closed = [
            msgspec.structs.replace(
                sent.intent,
                sent_at_ms=sent.answer.sent_at_ms,
                wire_state=sent.answer.state.value,
                outcome=outcome,
                text=text,
                closed_at_ms=self._now(),
            )
            for sent, outcome, text in ended
        ]
        done = _summary(step, closed)
        state = self.state.moved(move, self._now(), done=(*self.state.done, done), outcome=done.outcome, **changes)
        self._world.ledger.conclude(state, closed, outgoing(state), memory=held)
        self.state = state
        self._world.told(state, "")

    def _now(self) -> int:
        return self._world.clock.now_ms()


_OURS: Mapping[Verb, tuple[str, ...]] = {Verb.GPU_POWER_LIMIT: ("job",), Verb.OUTLET_OFF: (), Verb.OUTLET_ON: ()}
"""Arguments that are for us alone and do not travel to the device."""


def _summary(step: str, closed: Sequence[Intent]) -> StepDone:
    good = sum(intent.outcome == "Succeeded" for intent in closed)
    outcome = "Succeeded" if good == len(closed) else next(i.outcome or "" for i in closed if i.outcome != "Succeeded")
    text = f"{good} of {len(closed)}"
    return StepDone(
        rung=0, step=step, outcome=outcome, text=text, verb=closed[0].verb.value, intent_id=closed[0].intent_id
    )


def _message(intent: Intent) -> IntentMessage:
    return IntentMessage(
        intent=intent.intent_id,
        epoch=intent.epoch,
        asset=intent.device,
        verb=intent.verb.value,
        arguments=intent.arguments,
        not_after_boottime_ns=intent.not_after_boottime_ns,
    )


class Noting:
    """Writes down that something was sent as soon as the actuator says so."""

    def __init__(self, intent: Intent, world: ShedWorld) -> None:
        self._intent = intent
        self._world = world
        self._noted = False

    def __call__(self, answer: Answer) -> None:
        if self._noted or answer.state is State.NOT_SENT:
            return
        self._noted = True
        sent_at_ms = answer.sent_at_ms or self._world.clock.now_ms()
        self._world.ledger.sent(self._intent.intent_id, sent_at_ms, answer.state.value)
