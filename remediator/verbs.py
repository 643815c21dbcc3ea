"""What may be commanded at all: a closed set of absolute verbs, and how far whoever commands may go."""

from collections.abc import Mapping
from enum import StrEnum

from remediator.actions import ACTIONS
from remediator.actions.terms import ActionClass, Plane, Traits, Verb

__all__ = ["TRAITS", "ActionClass", "Cause", "Lane", "Mode", "Plane", "Traits", "Verb"]

TRAITS: Mapping[Verb, Traits] = {verb: action.traits for verb, action in ACTIONS.items()}
"""What the gates must know of each verb."""


class Lane(StrEnum):
    """Two lanes that share no queue and no budget."""

    CORRECTIVE = "corrective"
    PROTECTIVE = "protective"


class Mode(StrEnum):
    """How far a playbook may go."""

    OBSERVE = "observe"
    APPROVE = "approve"
    ENFORCE = "enforce"


class Cause(StrEnum):
    """Why a playbook acts: it decides which proof the gates ask for."""

    SILENCE = "silence"
    """The node says nothing: it must be proven dead."""
    REPORTED_FAULT = "reported_fault"
    """A living node reports a fault: it must be drained."""
    OVERLOAD = "overload"
    """A meter shows too much: only tightening."""
