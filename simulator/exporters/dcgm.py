"""The page of a DCGM exporter: eight GPUs of 43 fields, in the format of dcgm-exporter's default template."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.identity import DRIVER_VERSION, gpu_uuid, pci_bus_id
from simulator.instruments import seen
from simulator.machines import SLOWDOWN_CELSIUS
from simulator.plant import Plant

DRIVER = DRIVER_VERSION
"""On nodes where nobody has rolled out another."""
FRAMEBUFFER_MIB = 81_559
FIELDS: tuple[tuple[str, str, str], ...] = (
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    ("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz)."),
    ("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C)."),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W)."),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ)."),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries."),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),
    ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    ("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %)."),
    ("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %)."),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered."),
    ("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    ("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB)."),
    ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "Total number of NVLink bandwidth counters for all lanes."),
    ("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU License status"),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors"),
    ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors"),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed"),
    ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active."),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active."),
    (
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "gauge",
        "Ratio of cycles the device memory interface is active sending or receiving data.",
    ),
    ("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "The rate of data transmitted over the PCIe bus in bytes per second."),
    ("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "The rate of data received over the PCIe bus in bytes per second."),
    ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gauge", "Current power limit (in W)."),
    ("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gauge", "Effective power limit (in W)."),
    ("DCGM_FI_DEV_POWER_VIOLATION", "counter", "Throttling duration due to power constraints (in ns)."),
    ("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Throttling duration due to thermal constraints (in ns)."),
    ("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", "Total number of single-bit volatile ECC errors."),
    ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Total number of double-bit volatile ECC errors."),
    ("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "counter", "Total number of single-bit persistent ECC errors."),
    ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "counter", "Total number of double-bit persistent ECC errors."),
    ("DCGM_FI_DEV_RETIRED_SBE", "counter", "Total number of retired pages due to single-bit errors."),
    ("DCGM_FI_DEV_RETIRED_DBE", "counter", "Total number of retired pages due to double-bit errors."),
    ("DCGM_FI_DEV_RETIRED_PENDING", "counter", "Total number of pages pending retirement."),
    ("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink flow-control CRC errors."),
    ("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink data CRC errors."),
    ("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink retries."),
    ("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink recovery errors."),
    ("DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", "Whether a remapped row waits for a reset"),
    ("DCGM_FI_DEV_GPU_TEMP_LIMIT", "gauge", "Thermal margin (in C)."),
    ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", "Why clocks are held, as bits."),
)
WORKING_WATTS = 150.0
"""A GPU below this waits for something [reference, A33]."""
POWER_CAP, HARDWARE_THERMAL = 0x4, 0x40 | 0x8
"""NVML's reasons for which clocks are held."""
COUNTED: Mapping[int, str] = {
    6: "pcie_replays", 17: "remapped_uncorrected", 18: "remapped_corrected", 29: "sbe", 30: "dbe", 36: "nvlink_crc",
    39: "nvlink_recovery",
}  # fmt: skip
"""Columns that are counters of the GPU's health."""
WHOLE = frozenset(range(len(FIELDS))) - {4, 20, 21, 22}
"""Columns that are written without decimals."""


@lru_cache(maxsize=4096)
def _template(node: str, driver: str, gpus: tuple[int, ...]) -> str:
    """The page with a place for each value, field by field, GPU by GPU."""
    labels = {
        gpu: f'gpu="{gpu}",UUID="{gpu_uuid(node, gpu)}",pci_bus_id="{pci_bus_id(gpu)}",device="nvidia{gpu}",'
        f'modelName="NVIDIA H100 80GB HBM3",Hostname="{node}",DCGM_FI_DRIVER_VERSION="{driver}"'
        for gpu in gpus
    }
    lines: list[str] = []
    for column, (name, kind, meaning) in enumerate(FIELDS):
        lines += (f"# HELP {name} {meaning.replace('%', '%%')}", f"# TYPE {name} {kind}")
        value = "%d" if column in WHOLE else "%.6f"
        lines += (f"{name}{{{labels[gpu]}}} {value}" for gpu in gpus)
    return "\n".join(lines) + "\n"


def values(plant: Plant, node: int | slice) -> NDArray[np.float64]:
    """(field, GPU): every number of the page, from the plant as it is now; of several nodes (field, node, GPU)."""
    machines, health = plant.machines, plant.health
    watts = seen(plant, "gpu-watts")[node]
    load = np.clip((watts - 75.0) / 605.0, 0.0, 1.0)
    busy = watts > WORKING_WATTS
    page = np.zeros((len(FIELDS), *watts.shape))
    page[0] = np.where(busy, 1_980.0 - 500.0 * (1.0 - load), 345.0)
    page[1] = 2_619.0
    page[3] = seen(plant, "gpu-celsius")[node]
    page[2] = page[3] + 6.0 + 3.0 * load
    page[4] = watts
    page[5] = machines.gpu_joules[node] * 1_000.0
    page[7] = np.where(busy, 88.0 + 12.0 * load, 0.0)
    page[8] = 55.0 * load
    page[11] = machines.last_xid[node]
    used = np.where(busy, 71_200.0, 4.0)
    page[12], page[13], page[14] = FRAMEBUFFER_MIB - used - 553.0, used, 553.0
    page[15] = machines.gpu_joules[node] * 3.0
    page[20], page[21], page[22] = 0.97 * load, 0.71 * load, 0.58 * load
    page[23], page[24] = 2.1e9 * load, 2.6e9 * load
    page[25], page[26] = machines.cap_set[node], machines.cap[node]
    page[27] = health.power_violation_seconds[node] * 1e9
    page[28] = health.thermal_violation_seconds[node] * 1e9
    for column, counter in COUNTED.items():
        page[column] = np.floor(health.count[counter][node])
    page[19] = health.remap_failed[node]
    page[40] = health.remap_pending[node]
    page[41] = SLOWDOWN_CELSIUS - page[3]
    page[42] = np.where(
        machines.throttled[node], HARDWARE_THERMAL, np.where(machines.cap[node] < watts + 5.0, POWER_CAP, 0)
    )
    return page


class DcgmExporter:
    """One node's page."""

    def __init__(self, plant: Plant, node: int) -> None:
        self._plant = plant
        self._node = node
        self._name = plant.layout.nodes[node]
        self._tick = -1
        self._page = b""

    def page(self) -> bytes:
        """The text of the page; rendered once for each step of the plant, about 0.1 ms."""
        if self._tick != self._plant.tick:
            self._tick = self._plant.tick
            present = np.flatnonzero(self._plant.machines.present[self._node])
            template = _template(self._name, self._plant.driver_versions[self._node], tuple(present.tolist()))
            self._page = (template % tuple(values(self._plant, self._node)[:, present].ravel().tolist())).encode()
        return self._page
