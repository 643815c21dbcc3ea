"""Where each label set lies between 0 and 1 by Prometheus's own hash, so that `limit_ratio` takes the same series."""

from collections.abc import Mapping

import numpy as np
import xxhash

from rules.arrays import Floats
from rules.labels import LabelTable

_SHORT = 255
"""Lengths below it take one byte, others three more."""


def offsets(labels: LabelTable) -> Floats:
    """One number a row."""
    hashes = [prometheus_hash(labels.row(row)) for row in range(labels.size)]
    return np.array(hashes, dtype=np.float64) / float(2**64 - 1)


def prometheus_hash(labels: Mapping[str, str]) -> int:
    """`labels.Hash` of Prometheus 3: xxh64 over names and values in order, each behind its length."""
    digest = xxhash.xxh64()
    for name, value in sorted(labels.items()):
        for text in (name, value):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(_length(len(data)) + data)
    return digest.intdigest()


def _length(size: int) -> bytes:
    return bytes([size]) if size < _SHORT else b"\xff" + size.to_bytes(3, "little")
