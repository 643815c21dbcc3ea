"""Carrying numbers per series from one step to the next while series come and go."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rules.arrays import Floats, Hashes, Rows
from rules.labels import LabelTable
from rules.models.port import Kept, Series

ROWS: Final = "rows"
"""The kept array that says whose numbers the others hold: hashes of label sets, the same in every process."""


def carried(
    kept: Kept, labels: LabelTable, columns: Mapping[str, float], prefix: str = ""
) -> dict[str, npt.NDArray[Any]]:
    """For each named column one number a row of `labels`: what was kept for that series, else the column's given value.

    `prefix` tells apart the columns of several inputs of one model.
    """
    hashes = labels.hashes
    found = {name: np.full(labels.size, value, dtype=np.float64) for name, value in columns.items()}
    before = kept.get(prefix + ROWS)
    if before is None:
        return found
    if np.array_equal(before, hashes):
        olds: slice | Rows = slice(None)
        news: slice | Rows = slice(None)
    else:
        _, olds, news = np.intersect1d(before.astype(np.uint64), hashes, return_indices=True)
    for name, column in found.items():
        old = kept.get(prefix + name)
        if old is not None and old.shape == before.shape:
            column[news] = old[olds]
    return found


def remembered(
    labels: LabelTable, columns: Mapping[str, npt.NDArray[Any]], prefix: str = ""
) -> dict[str, npt.NDArray[Any]]:
    """What `carried` reads at the next step."""
    hashes: Hashes = labels.hashes
    return {prefix + ROWS: hashes} | {prefix + name: column for name, column in columns.items()}


def looked_up(series: Series, labels: LabelTable, on: str) -> Floats:
    """For each row of `labels` the value of the series with the same value of the label `on`; NaN where there is none."""
    rows = np.flatnonzero(series.present & (series.labels.codes(on) != 0))
    found = np.full(labels.size, np.nan)
    if len(rows):
        codes = series.labels.codes(on)[rows]
        order = np.argsort(codes, kind="stable")
        wanted = labels.codes(on)
        places = np.minimum(np.searchsorted(codes[order], wanted), len(rows) - 1)
        same = codes[order][places] == wanted
        found[same] = series.values[rows[order[places[same]]]]
    return found
