"""What may be commanded at all: a closed set of absolute verbs, and what each means for the gates."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Verb(StrEnum):
    """Absolute verbs only: what state the device shall be in, never a change of it."""

    POWER_OFF = "power_off"
    POWER_ON = "power_on"
    OUTLET_OFF = "outlet_off"
    OUTLET_ON = "outlet_on"
    GPU_POWER_LIMIT = "gpu_power_limit"
    CHECKPOINT = "checkpoint"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    EVICT = "evict"
    DELETE_POD = "delete_pod"
    TAINT_OUT_OF_SERVICE = "taint_out_of_service"
    UNTAINT_OUT_OF_SERVICE = "untaint_out_of_service"
    SUSPEND_JOB = "suspend_job"
    RESUME_JOB = "resume_job"


class ActionClass(IntEnum):
    """How much an act can harm."""

    A0 = 0
    """Notify."""
    A1 = 1
    """Reversible: cordon, cap."""
    A2 = 2
    """Disrupts a job: evict, delete, suspend."""
    A3 = 3
    """Switches a node or an outlet."""
    A4 = 4
    """Switches a domain; nothing here does."""


class Plane(StrEnum):
    """By which way an act reaches its object."""

    BMC = "bmc"
    PDU = "pdu"
    AGENT = "agent"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What the gates must know of a verb."""

    class_: ActionClass
    plane: Plane
    power: bool = False
    """Evidence may be 10 s old at most."""
    energises: bool = False
    """Adds load: passes headroom and stagger like any act."""
    restores: bool = False
    """Gives back: a breaker never blocks it."""
    tightens: bool = False
    """The protective lane may send it without a lease."""
    settles: bool = True
    """Its effect can be read afterwards; one that cannot and is in doubt goes to a person."""


TRAITS: Mapping[Verb, Traits] = {
    Verb.POWER_OFF: Traits(class_=ActionClass.A3, plane=Plane.BMC, power=True),
    Verb.POWER_ON: Traits(class_=ActionClass.A3, plane=Plane.BMC, power=True, energises=True),
    Verb.OUTLET_OFF: Traits(class_=ActionClass.A3, plane=Plane.PDU, power=True),
    Verb.OUTLET_ON: Traits(class_=ActionClass.A3, plane=Plane.PDU, power=True, energises=True),
    Verb.GPU_POWER_LIMIT: Traits(class_=ActionClass.A1, plane=Plane.AGENT, tightens=True),
    Verb.CHECKPOINT: Traits(class_=ActionClass.A1, plane=Plane.AGENT, settles=False),
    Verb.CORDON: Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, tightens=True),
    Verb.UNCORDON: Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, restores=True),
    Verb.EVICT: Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
    Verb.DELETE_POD: Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
    Verb.TAINT_OUT_OF_SERVICE: Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER),
    Verb.UNTAINT_OUT_OF_SERVICE: Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, restores=True),
    Verb.SUSPEND_JOB: Traits(class_=ActionClass.A2, plane=Plane.SCHEDULER, tightens=True),
    Verb.RESUME_JOB: Traits(class_=ActionClass.A1, plane=Plane.SCHEDULER, energises=True),
}
"""Resuming a job and lifting a cap energise: they pass headroom."""


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
