"""What the table says about one threshold."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that a rule compares with and that a site may set."""

    default: float
    """Holds where `hallkeeper.yaml` does not say."""
    unit: str
    """Base unit in words, as in the register of metrics; `1` for counts and what has none."""
    meaning: str
    """What is told beyond it, with the entry of the catalogue in brackets."""
    source: str
    """Where the default comes from; `default to tune` where nobody measured it."""
    low: float = -math.inf
    """A setting below it is a typing error."""
    high: float = math.inf
    """A setting above it is a typing error."""
