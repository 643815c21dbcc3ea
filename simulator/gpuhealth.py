"""Errors of GPUs as their driver counts them, by node and GPU; events of the kernel log are the plant's."""

import numpy as np
from numpy.typing import NDArray

from simulator.layout import GPUS
from simulator.machines import DEFAULT_CAP_WATTS, Machines

FloatArray = NDArray[np.float64]
COUNTERS = (
    "pcie_replays",
    "sbe",
    "dbe",
    "sram_dbe",
    "nvlink_crc",
    "nvlink_recovery",
    "remapped_corrected",
    "remapped_uncorrected",
)


class GpuHealth:
    """Counters with rates at which they grow; flags that a reset of the GPU clears."""

    def __init__(self, nodes: int) -> None:
        shape = (nodes, GPUS)
        self.count: dict[str, FloatArray] = {name: np.zeros(shape) for name in COUNTERS}
        self.rate: dict[str, FloatArray] = {name: np.zeros(shape) for name in COUNTERS}
        """Each second."""
        self.remap_pending = np.zeros(shape, dtype=np.bool_)
        self.remap_failed = np.zeros(shape, dtype=np.bool_)
        self.nvlinks_down = np.zeros(shape, dtype=np.int64)
        self.thermal_violation_seconds: FloatArray = np.zeros(shape)
        self.power_violation_seconds: FloatArray = np.zeros(shape)
        self._growing = False

    def grow(self, counter: str, node: int, gpu: int, each_second: float) -> None:
        """Let a counter of one GPU grow; 0 stops it."""
        self.rate[counter][node, gpu] = each_second
        self._growing = any(bool(rate.any()) for rate in self.rate.values())

    def step(self, seconds: float, machines: Machines) -> None:
        """Count on."""
        if machines.hot:
            self.thermal_violation_seconds[machines.throttled] += seconds
        if machines.cap.min() < DEFAULT_CAP_WATTS:
            self.power_violation_seconds[machines.cap < DEFAULT_CAP_WATTS] += seconds
        if self._growing:
            for name in COUNTERS:
                self.count[name] += self.rate[name] * seconds

    def reset(self, node: int, gpus: list[int]) -> None:
        """What a reset of the GPU does: pending rows are remapped, volatile counters begin anew, links train again."""
        for name in ("sbe", "dbe", "sram_dbe", "nvlink_crc", "nvlink_recovery"):
            self.count[name][node, gpus] = 0.0
        self.remap_pending[node, gpus] = False
        self.nvlinks_down[node, gpus] = 0
