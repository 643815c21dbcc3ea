"""What a model is: a pure function from what the window holds, and from what it kept, to series.

A model says what PromQL cannot say well (how hot a breaker's strip is, whether a sensor is stuck). It names its inputs in
PromQL, so joins with the inventory, lookback and staleness are the compiler's; it gives arrays back over the rows of an
input, and what it publishes is there for every rule as a plain series. Between two steps it keeps arrays, nothing else:
they lie in the engine's snapshot, and a standby goes on from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from rules.arrays import Bools, Floats, Times
from rules.labels import LabelTable

Kept: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""What a model carries from one step to the next: arrays of numbers by name. Empty before the first step."""
NOTHING_KEPT: Kept = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """An input that is an instant expression: one row a series, all arrays of the same length.

    `labels` is the same object from step to step as long as the rows are the same.
    """

    labels: LabelTable
    values: Floats
    """Any value where the row is not present."""
    present: Bools
    """Whether the series has a good sample within the lookback."""
    times: Times
    """When each value was measured (Unix ms), of a plain selector; of any other expression the time of the step."""


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """An input that is a range selector: every good sample of each row in the range, oldest first.

    Arrays are `[sample][row]`; each row's own count of samples stands from the top.
    """

    labels: LabelTable
    values: Floats
    times: Times
    """Unix ms."""
    counts: Times
    """`[row]`: how many samples the row has."""

    @property
    def valid(self) -> Bools:
        """Cells that hold a sample."""
        there: Bools = np.arange(len(self.values))[:, None] < self.counts
        return there


Input: TypeAlias = Series | History


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """Series that a step yields: one a row of `labels`, which should be an input's own table.

    The table's identity is what makes publishing cheap: label sets are only written out when it is another one.
    """

    name: str
    labels: LabelTable
    values: Floats
    present: Bools
    """Rows that have a value now; a series that had one and has none ends."""
    constant: Mapping[str, str] = field(default_factory=dict)
    """Labels that every row gets; an empty value takes a label away."""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What one step gave."""

    outputs: Sequence[Output] = ()
    kept: Kept = field(default_factory=lambda: NOTHING_KEPT)


class Model(Protocol):
    """One model. It holds no state: whatever it must remember goes through `Kept`."""

    @property
    def name(self) -> str:
        """Its frames' source is `rules/<name>`."""

    @property
    def interval_ms(self) -> int:
        """Steps are at least so far apart."""

    @property
    def reads(self) -> Mapping[str, str]:
        """Its inputs by a name of its own: a PromQL expression, or a range selector such as `x[60s]` (≤ 15 minutes)."""

    @property
    def writes(self) -> frozenset[str]:
        """Metrics that it publishes. It runs only where a rule, or another model that runs, reads one of them."""

    def step(self, at_ms: int, inputs: Mapping[str, Input], kept: Kept) -> Step:
        """One step at a time (Unix ms), with the inputs by name and what the step before kept. Pure.

        `kept` may be of an older release or of other rows: what cannot be used is begun anew (`rules.models.rows`).
        """
