"""What one device answered: named series, one array of values, one time."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = tuple[tuple[str, str], ...]
"""The device's own labels, sorted by name; the inventory's are added by the collectors."""

Series = tuple[str, Labels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One answer of one signal group: what the device said, scaled to base units, before any label of the inventory."""

    series: tuple[Series, ...]
    """Same object as in the last reading while the layout is the same: whoever reads compares by identity first."""

    values: npt.NDArray[np.float64]
    """One value a series, in the order of `series`; absent is `STALE`, an ordinary NaN is a value."""

    quality: npt.NDArray[np.uint8] | None = None
    """`fleet.quality.pack` bytes, or None when every value is good."""

    at_ms: int
    """Unix milliseconds of the answer."""

    signal: str
    """The signal group that was asked for: a poll gives one reading for each due group."""

    def __post_init__(self) -> None:
        if len(self.series) != self.values.shape[0]:
            raise ValueError(f"{len(self.series)} series but {self.values.shape[0]} values in one reading")


STALE = np.array([0x7FF0000000000002], dtype=np.uint64).view(np.float64)[0]
"""Prometheus's stale marker as a float: only its bits tell it from NaN, and arithmetic changes them."""
