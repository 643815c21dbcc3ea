"""What the error numbers of GPUs and their switches mean and ask for: tables with their sources, and nothing else.

It is for facts that rules and the remediator both need. It must never decide whether something is done: that is a gate's.
"""

from fleet.faults.details import details, named_action
from fleet.faults.load import FaultTableError, load_faults
from fleet.faults.table import Action, Checker, Fault, Faults, Verdict, answer

__all__ = [
    "Action",
    "Checker",
    "Fault",
    "FaultTableError",
    "Faults",
    "Verdict",
    "answer",
    "details",
    "load_faults",
    "named_action",
]
