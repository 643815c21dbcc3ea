"""Pages of GPU exporters, under the exporters' own names.

DCGM's blanks are from its dcgm_fields.h: for int64 0x7ffffffffffffff0 to …f3 (as floats all 2^63), for int32 0x7ffffff0
to …f3, for doubles 2^47 to 2^47 + 3: blank, not found, not supported, not permitted.
"""

from collections.abc import Mapping
from dataclasses import replace

from fleet.register.metric import Metric, counter, gauge, produced_by, state

INT64_BLANK = float(2**63)
DCGM_BLANKS = (
    INT64_BLANK,
    *(float(0x7FFFFFF0 + code) for code in range(4)),
    *(float(2**47 + code) for code in range(4)),
)
AMD_BLANKS = (65_535.0, 4_294_967_295.0, float(2**64))
"""All bits set in 16, 32 and 64: what the driver gives for a sensor that a model lacks."""

GPU = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname")
CLOCK_REASONS = "0x4 power cap, 0x8 hardware slowdown, 0x20 software thermal, 0x40 hardware thermal, 0x80 power brake"
RECOVERY_ACTIONS: Mapping[float, str] = {0: "none", 1: "reset", 2: "reboot", 3: "drain peers", 4: "drain and reset"}
"""NVML's nvmlDeviceGpuRecoveryAction_t."""
FABRIC_STATES: Mapping[float, str] = {
    0: "not supported",
    1: "not started",
    2: "in progress",
    3: "success",
    4: "failure",
    5: "unrecognised",
    6: "library too old",
}
"""DCGM's dcgmFabricManagerStatus_t."""


def _errors(name: str, meaning: str) -> Metric:
    return counter(name, meaning, labels=GPU)


_GAUGES = (
    gauge("DCGM_FI_DEV_SM_CLOCK", "Clock of the multiprocessors", 0, 10_000, labels=GPU, unit="MHz"),
    gauge("DCGM_FI_DEV_MEM_CLOCK", "Clock of the memory", 0, 20_000, labels=GPU, unit="MHz"),
    gauge(
        "DCGM_FI_DEV_GPU_TEMP",
        "Temperature of the GPU (A29, C14, C15)",
        0,
        130,
        rate=50,
        labels=GPU,
        unit="degrees Celsius",
    ),
    gauge(
        "DCGM_FI_DEV_MEMORY_TEMP",
        "Temperature of the memory (A29)",
        0,
        130,
        rate=50,
        labels=GPU,
        unit="degrees Celsius",
    ),
    gauge(
        "DCGM_FI_DEV_GPU_TEMP_LIMIT",
        "Margin to the slowdown temperature (A28)",
        -60,
        130,
        rate=50,
        labels=GPU,
        unit="kelvin",
    ),
    gauge(
        "DCGM_FI_DEV_SLOWDOWN_TEMP", "Temperature at which it slows down", 0, 130, labels=GPU, unit="degrees Celsius"
    ),
    gauge(
        "DCGM_FI_DEV_SHUTDOWN_TEMP", "Temperature at which it switches off", 0, 130, labels=GPU, unit="degrees Celsius"
    ),
    gauge("DCGM_FI_DEV_POWER_USAGE", "Power of the GPU (A33)", 0, 3_000, labels=GPU, unit="watts"),
    gauge("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit in force", 0, 3_000, labels=GPU, unit="watts"),
    gauge("DCGM_FI_DEV_GPU_UTIL", "Time in which a kernel ran (A33)", 0, 100, labels=GPU, unit="percent"),
    gauge("DCGM_FI_DEV_MEM_COPY_UTIL", "Time in which memory was read or written", 0, 100, labels=GPU, unit="percent"),
    gauge("DCGM_FI_DEV_ENC_UTIL", "Use of the encoder", 0, 100, labels=GPU, unit="percent"),
    gauge("DCGM_FI_DEV_DEC_UTIL", "Use of the decoder", 0, 100, labels=GPU, unit="percent"),
    gauge("DCGM_FI_DEV_FB_FREE", "Free frame buffer", 0, 4e6, labels=GPU, unit="MiB"),
    gauge("DCGM_FI_DEV_FB_USED", "Used frame buffer", 0, 4e6, labels=GPU, unit="MiB"),
    gauge("DCGM_FI_DEV_FB_RESERVED", "Reserved frame buffer", 0, 4e6, labels=GPU, unit="MiB"),
    gauge(
        "DCGM_FI_DEV_XID_ERRORS",
        "Number of the last XID, not a count; the same one again does not show (A01)",
        0,
        1_000,
        labels=GPU,
        unit="1",
    ),
    gauge(
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
        f"Why clocks are held, bits (A31): {CLOCK_REASONS}",
        0,
        2**32,
        labels=GPU,
        unit="1",
    ),
    gauge("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "The same under its older name (A31)", 0, 2**32, labels=GPU, unit="1"),
    gauge("DCGM_FI_DEV_PCIE_LINK_GEN", "PCIe generation in use (A17)", 0, 8, labels=GPU, unit="1"),
    gauge("DCGM_FI_DEV_PCIE_LINK_WIDTH", "PCIe lanes in use (A17)", 0, 32, labels=GPU, unit="1"),
    gauge("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", "PCIe generation possible (A17)", 0, 8, labels=GPU, unit="1"),
    gauge("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "PCIe lanes possible (A17)", 0, 32, labels=GPU, unit="1"),
    state("DCGM_FI_DEV_ROW_REMAP_FAILURE", "Whether remapping a row failed (A06)", {0: "no", 1: "yes"}, labels=GPU),
    state(
        "DCGM_FI_DEV_ROW_REMAP_PENDING",
        "Whether a remapped row waits for a reset (A05)",
        {0: "no", 1: "yes"},
        labels=GPU,
    ),
    state(
        "DCGM_FI_DEV_THRESHOLD_SRM",
        "Whether SRAM errors have passed NVIDIA's threshold (A08)",
        {0: "no", 1: "yes"},
        labels=GPU,
    ),
    state("DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION", "What the driver asks for (A20)", RECOVERY_ACTIONS, labels=GPU),
    state("DCGM_FI_DEV_FABRIC_MANAGER_STATUS", "State of the NVLink fabric (A15)", FABRIC_STATES, labels=GPU),
    state(
        "DCGM_FI_DEV_NVLINK_GET_STATE",
        "State of an NVLink (A13)",
        {0: "inactive", 1: "active", 2: "asleep"},
        labels=(*GPU, "nvlink"),
    ),
    gauge("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "vGPU licence", 0, 10, labels=GPU, unit="1"),
    gauge("DCGM_EXP_XID_ERRORS_COUNT", "XIDs in a window", 0, 1e9, labels=(*GPU, "xid", "window_size_in_ms"), unit="1"),
    gauge(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "Time in which the graphics engine was active",
        0,
        1.01,
        labels=GPU,
        unit="ratio",
    ),
    gauge("DCGM_FI_PROF_SM_ACTIVE", "Time in which a multiprocessor was active", 0, 1.01, labels=GPU, unit="ratio"),
    gauge(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Time in which tensor pipes were active", 0, 1.01, labels=GPU, unit="ratio"
    ),
    gauge("DCGM_FI_PROF_DRAM_ACTIVE", "Time in which memory was active", 0, 1.01, labels=GPU, unit="ratio"),
    gauge("DCGM_FI_PROF_PCIE_TX_BYTES", "PCIe sent", 0, 1e12, labels=GPU, unit="bytes per second"),
    gauge("DCGM_FI_PROF_PCIE_RX_BYTES", "PCIe received", 0, 1e12, labels=GPU, unit="bytes per second"),
)

_COUNTERS = (
    counter(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Energy since the driver was loaded", rate=3e6, labels=GPU, unit="mJ"
    ),
    counter("DCGM_FI_DEV_THERMAL_VIOLATION", "Time throttled for heat (A30)", rate=1.5e9, labels=GPU, unit="ns"),
    counter("DCGM_FI_DEV_POWER_VIOLATION", "Time throttled for power", rate=1.5e9, labels=GPU, unit="ns"),
    counter("DCGM_FI_DEV_RELIABILITY_VIOLATION", "Time throttled for reliability", rate=1.5e9, labels=GPU, unit="ns"),
    counter("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "NVLink traffic", labels=GPU, unit="1"),
    _errors("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "PCIe replays (A16)"),
    _errors("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "Corrected memory errors since the driver was loaded (A09)"),
    _errors("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "Uncorrected memory errors since the driver was loaded (A02)"),
    _errors("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "Corrected memory errors of its life (A09)"),
    _errors("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "Uncorrected memory errors of its life (A08)"),
    _errors("DCGM_FI_DEV_ECC_SBE_VOL_SRM", "Corrected SRAM errors since the driver was loaded (A09)"),
    _errors("DCGM_FI_DEV_ECC_DBE_VOL_SRM", "Uncorrected SRAM errors since the driver was loaded (A08)"),
    _errors("DCGM_FI_DEV_ECC_SBE_AGG_SRM", "Corrected SRAM errors of its life"),
    _errors("DCGM_FI_DEV_ECC_DBE_AGG_SRM", "Uncorrected SRAM errors of its life (A08)"),
    _errors("DCGM_FI_DEV_RETIRED_SBE", "Pages retired for corrected errors"),
    _errors("DCGM_FI_DEV_RETIRED_DBE", "Pages retired for uncorrected errors"),
    _errors("DCGM_FI_DEV_RETIRED_PENDING", "Pages that wait for retirement"),
    _errors("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "Rows remapped for corrected errors"),
    _errors("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "Rows remapped for uncorrected errors (A07)"),
    _errors("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "NVLink flit CRC errors (A11)"),
    _errors("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "NVLink data CRC errors (A11)"),
    _errors("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "NVLink replays (A12)"),
    _errors("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "NVLink recoveries (A12)"),
)

DCGM = (
    *produced_by("dcgm-exporter", *_GAUGES, sentinels=DCGM_BLANKS),
    *produced_by("dcgm-exporter", *_COUNTERS, sentinels=(INT64_BLANK,)),
)

CARD = ("gpu_id", "serial_number", "card_model", "hostname")
_AMD = (
    gauge("gpu_package_power", "Power of the package (MI3xx)", 0, 3_000, unit="watts"),
    gauge("gpu_average_package_power", "Mean power of the package (MI2xx)", 0, 3_000, unit="watts"),
    gauge("gpu_power_usage", "Power of the GPU", 0, 3_000, unit="watts"),
    counter("gpu_energy_consumed", "Energy since the driver was loaded", rate=3e9, unit="µJ"),
    gauge("gpu_junction_temperature", "Hottest point of the GPU (A38)", 0, 150, rate=50, unit="degrees Celsius"),
    gauge(
        "gpu_edge_temperature", "Temperature at the edge of the die (MI2xx)", 0, 150, rate=50, unit="degrees Celsius"
    ),
    gauge("gpu_memory_temperature", "Temperature of the memory (A38)", 0, 150, rate=50, unit="degrees Celsius"),
    gauge("gpu_hbm_temperature", "Temperature of an HBM stack (MI2xx)", 0, 150, rate=50, unit="degrees Celsius"),
    gauge("gpu_gfx_activity", "Use of the graphics engine", 0, 100, unit="percent"),
    gauge("gpu_umc_activity", "Use of the memory controller", 0, 100, unit="percent"),
    gauge("gpu_total_vram", "Memory", 0, 4e6, unit="MB"),
    gauge("gpu_used_vram", "Memory in use", 0, 4e6, unit="MB"),
    state("gpu_health", "What the exporter makes of it", {0: "unhealthy", 1: "healthy"}),
    counter("gpu_ecc_correct_total", "Corrected errors (A38)"),
    counter("gpu_ecc_uncorrect_total", "Uncorrected errors (A36)"),
    counter("gpu_ecc_deferred_total", "Deferred errors: poison (A36)"),
    gauge("gpu_afid_errors", "Fault identifier of the last RAS event (A36)", 0, 1e6, unit="1"),
    counter("gpu_ecc_correct_xgmi_wafl", "Corrected errors of the links between GPUs (A38)"),
    counter("gpu_ecc_uncorrect_xgmi_wafl", "Uncorrected errors of the links between GPUs (A38)"),
    counter("pcie_replay_count", "PCIe replays (A16, A38)"),
    counter("pcie_recovery_count", "PCIe link recoveries (A38)"),
    counter("pcie_replay_rollover_count", "PCIe replay counter overflows"),
    counter("pcie_nack_sent_count", "PCIe NACKs sent"),
    counter("pcie_nack_received_count", "PCIe NACKs received"),
    counter("gpu_xgmi_link_rx", "XGMI received", unit="KB"),
    counter("gpu_xgmi_link_tx", "XGMI sent", unit="KB"),
)

AMD = tuple(
    replace(metric, labels=CARD) for metric in produced_by("AMD device-metrics-exporter", *_AMD, sentinels=AMD_BLANKS)
)
