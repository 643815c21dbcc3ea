"""Names for the array types that travel inside this room."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Times: TypeAlias = npt.NDArray[np.int64]
"""Unix milliseconds, or sample numbers of a stream."""
Rows: TypeAlias = npt.NDArray[np.int64]
"""Row indexes."""
Bools: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]
Codes: TypeAlias = npt.NDArray[np.int32]
"""Numbers that `rules.labels.Strings` gave to label values; 0 is the empty value, an absent label."""
Hashes: TypeAlias = npt.NDArray[np.uint64]

NEVER = -(1 << 62)
"""A time before every time, with room to subtract from."""


def some(mask: Bools) -> bool:
    """Whether any is true: `argmax` stops at the first, and costs a third of numpy's `any` on a thousand."""
    return bool(mask.size) and bool(mask[mask.argmax()])


def every(mask: Bools) -> bool:
    """Whether all are true, by the same way."""
    return not mask.size or bool(mask[mask.argmin()])


def distinct(hashes: Hashes) -> bool:
    """Whether no two are the same: a sort costs a tenth of numpy's `unique`, which hashes."""
    ordered = np.sort(hashes)
    return not some(ordered[1:] == ordered[:-1])
