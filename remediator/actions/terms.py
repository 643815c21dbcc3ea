"""The words of an action: its verb, how much it can harm, by which way it goes, and what the gates must know of it."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Verb(StrEnum):
    """Absolute verbs only: what state the object shall be in, never a change of it."""

    POWER_OFF = "power_off"
    POWER_ON = "power_on"
    RACK_POWER_OFF = "rack_power_off"
    RACK_POWER_ON = "rack_power_on"
    SOFT_OFF = "soft_off"
    BMC_COLD_RESET = "bmc_cold_reset"
    DCMI_POWER_LIMIT = "dcmi_power_limit"
    DCMI_LIMIT_ON = "dcmi_limit_on"
    DCMI_LIMIT_OFF = "dcmi_limit_off"
    REDFISH_POWER_LIMIT = "redfish_power_limit"
    OUTLET_OFF = "outlet_off"
    OUTLET_ON = "outlet_on"
    GPU_POWER_LIMIT = "gpu_power_limit"
    GPU_RESET = "gpu_reset"
    REBOOT = "reboot"
    CHECKPOINT = "checkpoint"
    CHECKPOINT_ANNOTATE = "checkpoint_annotate"
    CHECKPOINT_HTTP = "checkpoint_http"
    CORDON = "cordon"
    UNCORDON = "uncordon"
    TAINT = "taint"
    UNTAINT = "untaint"
    EVICT = "evict"
    EVICT_OVERRIDE = "evict_override"
    DELETE_POD = "delete_pod"
    TAINT_OUT_OF_SERVICE = "taint_out_of_service"
    UNTAINT_OUT_OF_SERVICE = "untaint_out_of_service"
    SUSPEND_JOB = "suspend_job"
    RESUME_JOB = "resume_job"
    SCALE = "scale"
    STOP_ADMISSIONS = "stop_admissions"
    ALLOW_ADMISSIONS = "allow_admissions"
    SLURM_DRAIN = "slurm_drain"
    SLURM_RESUME = "slurm_resume"
    SLURM_REQUEUE = "slurm_requeue"
    SLURM_SUSPEND = "slurm_suspend"
    SLURM_UNSUSPEND = "slurm_unsuspend"
    SLURM_HOLD = "slurm_hold"
    SLURM_RELEASE = "slurm_release"
    SLURM_SIGNAL = "slurm_signal"
    SLURM_RESERVE = "slurm_reserve"
    SLURM_UNRESERVE = "slurm_unreserve"
    SLURM_STOP_ADMISSIONS = "slurm_stop_admissions"
    SLURM_ALLOW_ADMISSIONS = "slurm_allow_admissions"
    BESS_SET_POINT = "bess_set_point"
    BESS_RELEASE = "bess_release"
    COOLANT_SET_POINT = "coolant_set_point"
    STANDBY_PUMP = "standby_pump"
    ISOLATION_REQUEST = "isolation_request"
    PAGE = "page"
    TICKET = "ticket"


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
    """Switches a domain: a rack; two persons agree."""


class Plane(StrEnum):
    """By which way an act reaches its object."""

    BMC = "bmc"
    REDFISH = "redfish"
    PDU = "pdu"
    AGENT = "agent"
    SCHEDULER = "scheduler"
    """Kubernetes."""
    SLURM = "slurm"
    HOOK = "hook"
    """The checkpoint service of a job framework, over HTTPS."""
    PLANT = "plant"
    """Battery storage and cooling units, over Modbus."""
    BUS = "bus"
    """No device: an event that people or other systems read."""


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
    cuts: bool = False
    """Takes a machine away from what runs on it: asks for the proof that it is dead or drained."""
