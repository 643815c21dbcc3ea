"""One remediation's state and its ledger: every change is on disk, with its event for the bus, before anybody acts on it."""

from typing import Any

import msgspec

from bus.events import GateResult, encode_event
from bus.topics import REMEDIATIONS
from remediator.attempt import Attempted
from remediator.facts import Budget, Evidence, Refusal
from remediator.gates import Judgement
from remediator.ledger import Outgoing
from remediator.records import Intent, Remediation, StepDone
from remediator.transitions import Move, Phase
from remediator.world import World


class Journal:
    """The pen of one course."""

    def __init__(self, state: Remediation, world: World) -> None:
        self.state = state
        self._world = world

    def move(self, move: Move, **changes: Any) -> None:
        """The next phase."""
        self._keep(self.state.moved(move, self._now(), **changes))

    def note(self, **changes: Any) -> None:
        """A change within the phase."""
        self._keep(
            msgspec.structs.replace(self.state, updated_at_ms=self._now(), sequence=self.state.sequence + 1, **changes)
        )

    def refuse(self, judgement: Judgement, plan: str = "") -> None:
        """A gate's no: told once, and again when its reason changes, or the plan that a person is asked about."""
        refusal = judgement.refusal
        assert refusal is not None
        move = Move.ASK if refusal.ask else Move.REFUSE
        asking = self.state.phase is Phase.AWAITING_APPROVAL
        if self.state.reason_code == refusal.code and self.state.phase in _REFUSED and asking is refusal.ask:
            if refusal.ask and plan != self.state.memory.get("asked"):
                self.note(memory={**self.state.memory, "asked": plan})
            return
        changes: dict[str, Any] = {}
        if refusal.ask:
            changes = {
                "asked_at_ms": self.state.asked_at_ms or self._now(),
                "memory": {**self.state.memory, "asked": plan},
            }
        state = self.state.moved(
            move,
            self._now(),
            reason_code=refusal.code,
            reason_text=refusal.text,
            refused_since_ms=self.state.refused_since_ms or self._now(),
            gates=_results(judgement),
            **changes,
        )
        self._keep(state, judgement.gate)

    def observe(self, judgement: Judgement, would: list[dict[str, Any]]) -> None:
        """What would have been done, flagged so."""
        state = self.state.moved(
            Move.OBSERVE,
            self._now(),
            arguments={"would": would},
            gates=_results(judgement),
            reason_code="observe",
            reason_text="mode observe: nothing was sent",
        )
        self._keep(state)

    def admit(
        self, intent: Intent, judgement: Judgement, budgets: tuple[Budget, ...], evidence: tuple[Evidence, ...] = ()
    ) -> Refusal | None:
        """Lease, reservations, intent and state in one transaction, with the samples that decided."""
        decided = {**self.state.memory.get("evidence", {}), intent.step: [_sample(item) for item in evidence]}
        state = self.state.moved(
            Move.ADMIT,
            self._now(),
            step_name=intent.step,
            memory={**self.state.memory, "evidence": decided},
            verb=intent.verb.value,
            class_=f"A{intent.class_}",
            arguments=intent.arguments,
            intent_id=intent.intent_id,
            intents=(*self.state.intents, intent),
            outcome=None,
            reason_code="",
            reason_text="",
            refused_since_ms=None,
            gates=_results(judgement),
            proof=(),
            epoch=intent.epoch,
        )
        refusal = self._world.ledger.admit(state, [intent], budgets, outgoing(state))
        if refusal is None:
            self.state = state
            self._world.told(state, "")
        return refusal

    def conclude(self, intent: Intent, attempted: Attempted, *, item: str, **memory: Any) -> None:
        """The intent's outcome and the state after it, in one transaction."""
        outcome = attempted.outcome
        closed = msgspec.structs.replace(
            intent,
            sent_at_ms=attempted.sent_at_ms,
            wire_state=attempted.wire_state.value,
            outcome=outcome.name,
            text=outcome.text,
            closed_at_ms=self._now(),
        )
        while self.state.phase in _ON_THE_WAY:
            self.state = self.state.moved(_ON_THE_WAY[self.state.phase], self._now())
        done = StepDone(
            rung=self.state.rung,
            step=intent.step,
            outcome=outcome.name,
            text=outcome.text,
            verb=intent.verb.value,
            item=item,
            intent_id=intent.intent_id,
        )
        succeeded = outcome.name == "Succeeded"
        state = self.state.moved(
            Move.STEP_DONE if succeeded else Move.STEP_FAILED,
            self._now(),
            outcome=outcome.name,
            reason_code="" if succeeded else outcome.name,
            reason_text=outcome.text,
            proof=attempted.finding.lines,
            done=(*self.state.done, done),
            intents=tuple(closed if known.intent_id == closed.intent_id else known for known in self.state.intents),
            memory={**self.state.memory, **memory},
        )
        self._world.ledger.conclude(state, [closed], outgoing(state))
        self.state = state
        self._world.told(state, "")

    def give_way(self, text: str) -> None:
        """Its intent was closed by a newer leader's word: it was never sent, and the remedy is another's."""
        state = self.state
        while state.phase in _ON_THE_WAY:
            state = state.moved(_ON_THE_WAY[state.phase], self._now())
        closed = state.moved(
            Move.SUPERSEDE, self._now(), outcome="Superseded", reason_code="superseded", reason_text=text
        )
        self._keep(closed)

    def _keep(self, state: Remediation, gate: str = "") -> None:
        self._world.ledger.record(state, outgoing(state))
        self.state = state
        self._world.told(state, gate)

    def _now(self) -> int:
        return self._world.clock.now_ms()


def _sample(item: Evidence) -> dict[str, Any]:
    return {
        "instrument": item.instrument.value,
        "metric": item.metric,
        "asset": str(item.asset),
        "at_ms": item.at_ms,
        "value": item.value,
        "good": item.good,
    }


_REFUSED = frozenset({Phase.DENIED, Phase.AWAITING_APPROVAL})
_ON_THE_WAY = {Phase.ADMITTED: Move.SEND, Phase.EXECUTING: Move.ANSWER}
"""A crash may have left it there; its outcome finds it verifying."""


def _results(judgement: Judgement) -> tuple[GateResult, ...]:
    return tuple(GateResult(gate=line.gate, passed=line.passed, text=line.text) for line in judgement.lines)


def outgoing(state: Remediation) -> Outgoing:
    """The event of a state, on its way to the bus."""
    event = state.event()
    return Outgoing(0, REMEDIATIONS, event.key(), encode_event(event))
