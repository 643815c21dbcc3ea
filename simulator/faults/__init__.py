"""What is broken on purpose: each kind of fault, on what, with which arguments, how it begins and how it heals.

- `kind`: what a kind is; `machines`, `power`, `cooling`, `network`, `house`: the kinds; `book`: which are on now

A fault changes the plant, or what answers of it. It must never change what the product reads in any other way.
"""

from simulator.faults.book import Fault, Faults
from simulator.faults.kind import FaultError, Kind
from simulator.faults.known import KINDS

__all__ = ["KINDS", "Fault", "FaultError", "Faults", "Kind"]
