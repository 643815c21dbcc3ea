"""What the ledger holds: a remediation with its whole state, and an intent; both travel and are read back after a crash."""

from typing import Any

import msgspec

from bus.events import GateResult, Proof, Reason, RemediationEvent
from bus.identity import derived_id
from fleet.model import AssetId
from remediator.actions import ACTIONS
from remediator.facts import Approval
from remediator.transitions import TERMINAL, Move, Phase, after
from remediator.verbs import Cause, Lane, Mode, Verb


class IllegalMoveError(Exception):
    """A remediation was asked to go where its table does not lead: a bug, never a state of the world."""


class StepDone(msgspec.Struct, frozen=True):
    """A step that ended, with the word for how."""

    rung: int
    step: str
    outcome: str
    text: str = ""
    verb: str = ""
    item: str = ""
    """Which of several objects of the step."""
    intent_id: str | None = None
    final: bool = False
    """It failed, and the step goes on without it."""

    def closed(self) -> "StepDone":
        """The same, and not to be tried again."""
        return msgspec.structs.replace(self, final=True)


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One absolute verb on one device or object, written down before it is sent."""

    intent_id: str
    remediation_id: str
    step: str
    verb: Verb
    device: AssetId
    target: AssetId
    lock: str
    """The object: two intents on one object are never open together."""
    arguments: dict[str, Any]
    class_: int
    lane: Lane
    epoch: int
    created_at_ms: int
    not_after_boottime_ns: int
    effect_until_ms: int
    """No effect shows later than this (the asset's effect latency, counted from the last moment it may be sent)."""
    sent_at_ms: int | None = None
    wire_state: str | None = None
    outcome: str | None = None
    text: str = ""
    closed_at_ms: int | None = None


class Remediation(msgspec.Struct, frozen=True, kw_only=True):
    """One remediation with all that is needed to go on with it after a crash."""

    remediation_id: str
    incident_id: str
    playbook: str
    lane: Lane = Lane.CORRECTIVE
    mode: Mode
    cause: Cause
    target: AssetId
    phase: Phase = Phase.PENDING
    rung: int = 0
    step: int = 0
    step_name: str = ""
    verb: str = ""
    class_: str = "A0"
    arguments: dict[str, Any] = {}
    intent_id: str | None = None
    outcome: str | None = None
    reason_code: str = ""
    reason_text: str = ""
    refused_since_ms: int | None = None
    gates: tuple[GateResult, ...] = ()
    proof: tuple[Proof, ...] = ()
    done: tuple[StepDone, ...] = ()
    intents: tuple[Intent, ...] = ()
    """Every intent of it, with how it ended: from these a standby rebuilds budgets and what is in doubt."""
    approvals: tuple[Approval, ...] = ()
    asked_at_ms: int | None = None
    plan: str = ""
    memory: dict[str, Any] = {}
    """What later steps must know: pods that were there, when the last `on` was sent, the jobs' deadline."""
    created_at_ms: int
    updated_at_ms: int
    sequence: int = 0
    epoch: int = 0
    trace: str = ""

    @property
    def ended(self) -> bool:
        """Nothing will happen to it any more."""
        return self.phase in TERMINAL

    @property
    def acted(self) -> bool:
        """Something was sent, or may have been."""
        return bool(self.intents) or self.intent_id is not None

    def moved(self, move: Move, now_ms: int, **changes: Any) -> "Remediation":
        """The next state. Raises `IllegalMoveError` where the table has no such move."""
        phase = after(self.phase, move)
        if phase is None:
            raise IllegalMoveError(f"{self.remediation_id}: {move} in phase {self.phase}")
        return msgspec.structs.replace(self, phase=phase, updated_at_ms=now_ms, sequence=self.sequence + 1, **changes)

    def event(self) -> RemediationEvent:
        """What travels: the words of the contract, and the whole record beside them."""
        return RemediationEvent(
            remediation_id=self.remediation_id,
            incident_id=self.incident_id,
            playbook=self.playbook,
            mode=self.mode.value,
            step=self.step_name,
            phase=self.phase.value,
            target=self.target,
            action=f"{self.verb} {self.target}".strip(),
            verb=self.verb,
            intent_id=self.intent_id,
            outcome=self.outcome,
            reason=Reason(code=self.reason_code, text=self.reason_text) if self.reason_code else None,
            gates=list(self.gates),
            arguments=self.arguments,
            proof=list(self.proof),
            lane=self.lane.value,
            class_=self.class_,
            at_ms=self.updated_at_ms,
            sequence=self.sequence,
            epoch=self.epoch,
            trace=self.trace,
            unknown={"record": msgspec.to_builtins(self)},
        )


def remediation_of(event: RemediationEvent) -> Remediation | None:
    """The record inside an event; None where a foreign or older writer put none."""
    try:
        return msgspec.convert(event.unknown["record"], Remediation)
    except (KeyError, msgspec.ValidationError):
        return None


def remediation_id_of(incident_id: str, playbook: str, target: str, ordinal: int) -> str:
    """Derived: two workers that see the same incident open the same remediation."""
    return derived_id("remediation", incident_id, playbook, target, ordinal)


def intent_id_of(remediation_id: str, rung: int, step: str, item: str, attempt: int) -> str:
    """Derived from what is meant, so that the same meaning is never two intents."""
    return derived_id("intent", remediation_id, rung, step, item, attempt)


def lock_of(device: AssetId, verb: Verb, arguments: dict[str, Any]) -> str:
    """The object that an intent commands: the device, or one outlet, node, pod or job of it."""
    return ACTIONS[verb].locked(device, arguments)
