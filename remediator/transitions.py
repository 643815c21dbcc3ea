"""The life of a remediation as a table: which move leads where, and which is none."""

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
    """Where a remediation stands."""

    PENDING = "pending"
    DENIED = "denied"
    AWAITING_APPROVAL = "awaiting_approval"
    ADMITTED = "admitted"
    EXECUTING = "executing"
    VERIFYING = "verifying"
    WOULD_HAVE = "would_have"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ESCALATED = "escalated"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """A person was asked and nobody answered in time: that is no yes."""
    SUPERSEDED = "superseded"


class Move(StrEnum):
    """What happens to a remediation."""

    REFUSE = "refuse"
    ASK = "ask"
    AGREE = "agree"
    ADMIT = "admit"
    SEND = "send"
    ANSWER = "answer"
    WAIT = "wait"
    STEP_DONE = "step_done"
    STEP_FAILED = "step_failed"
    FINISH = "finish"
    OBSERVE = "observe"
    FAIL = "fail"
    ESCALATE = "escalate"
    CANCEL = "cancel"
    EXPIRE = "expire"
    SUPERSEDE = "supersede"


TERMINAL = frozenset(
    {Phase.WOULD_HAVE, Phase.SUCCEEDED, Phase.FAILED, Phase.ESCALATED, Phase.CANCELLED, Phase.EXPIRED, Phase.SUPERSEDED}
)
HOLDS_INTENT = frozenset({Phase.ADMITTED, Phase.EXECUTING})
"""In these an intent may be open: nothing but its outcome leads out."""
_BEFORE = (Phase.PENDING, Phase.DENIED, Phase.AWAITING_APPROVAL)
_AT_REST = (*_BEFORE, Phase.VERIFYING)

_MOVES: Mapping[Move, tuple[tuple[Phase, ...], Phase]] = {
    Move.REFUSE: (_BEFORE, Phase.DENIED),
    Move.ASK: (_BEFORE, Phase.AWAITING_APPROVAL),
    Move.AGREE: ((Phase.AWAITING_APPROVAL,), Phase.PENDING),
    Move.ADMIT: ((Phase.PENDING, Phase.DENIED), Phase.ADMITTED),
    Move.SEND: ((Phase.ADMITTED,), Phase.EXECUTING),
    Move.ANSWER: ((Phase.EXECUTING,), Phase.VERIFYING),
    Move.WAIT: (_BEFORE, Phase.VERIFYING),
    Move.STEP_DONE: (_AT_REST, Phase.PENDING),
    Move.STEP_FAILED: ((Phase.ADMITTED, Phase.EXECUTING, Phase.VERIFYING), Phase.PENDING),
    Move.FINISH: ((Phase.PENDING,), Phase.SUCCEEDED),
    Move.OBSERVE: (_BEFORE, Phase.WOULD_HAVE),
    Move.FAIL: (_AT_REST, Phase.FAILED),
    Move.ESCALATE: (_AT_REST, Phase.ESCALATED),
    Move.CANCEL: (_AT_REST, Phase.CANCELLED),
    Move.EXPIRE: ((Phase.AWAITING_APPROVAL,), Phase.EXPIRED),
    Move.SUPERSEDE: (_AT_REST, Phase.SUPERSEDED),
}


def after(phase: Phase, move: Move) -> Phase | None:
    """The phase that a move leads to; None where it is not possible, and the phase stays what it is."""
    sources, target = _MOVES[move]
    return target if phase in sources else None
