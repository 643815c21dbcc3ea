"""The ports of leaf switches towards nodes: up or down, their errors, and what they carried."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BYTES_PER_SECOND = 18e9
"""Of a busy port, both ways; NDR carries 50e9 each way."""
QUIET_BYTES_PER_SECOND = 2e3
CLEAN_BIT_ERROR_RATIO = 1e-15


class Fabric:
    """Arrays over nodes: one rail a node is shown."""

    def __init__(self, nodes: int, *, rng: np.random.Generator) -> None:
        self.cut = np.zeros(nodes, dtype=np.bool_)
        """Links that are down although the host runs."""
        self.bytes: FloatArray = rng.uniform(1e12, 1e14, nodes)
        self.symbol_errors: FloatArray = np.zeros(nodes)
        self.symbol_errors_per_second: FloatArray = np.zeros(nodes)
        self.link_downed = np.zeros(nodes, dtype=np.int64)
        self.bit_error_ratio: FloatArray = np.full(nodes, CLEAN_BIT_ERROR_RATIO)

    def cut_off(self, nodes: list[int]) -> None:
        """These links go down; each counts it once."""
        self.link_downed[nodes] += ~self.cut[nodes]
        self.cut[nodes] = True

    def step(self, seconds: float, moving: NDArray[np.bool_], up: NDArray[np.bool_]) -> None:
        """Carry bytes, count errors."""
        self.bytes += np.where(moving, BYTES_PER_SECOND, QUIET_BYTES_PER_SECOND * up) * seconds
        self.symbol_errors += self.symbol_errors_per_second * seconds
