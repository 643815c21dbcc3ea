"""A machine seen from its BMC, from Hallkeeper's agent, from node_exporter, and from the fabric."""

from collections.abc import Mapping

from fleet.register.metric import NO_YES, ON_OFF, Metric, counter, gauge, info, produced_by, state

GPU = ("gpu",)
SENSOR = ("sensor",)
PORT = ("device", "port")
PCI = ("segment", "bus", "device", "function")
IB_STATES: Mapping[float, str] = {0: "no change", 1: "down", 2: "init", 3: "armed", 4: "active", 5: "active deferred"}
"""InfiniBand architecture, PortInfo.PortState."""
IB_PHYSICAL_STATES: Mapping[float, str] = {
    0: "no change",
    1: "sleep",
    2: "polling",
    3: "disabled",
    4: "training",
    5: "link up",
    6: "link error recovery",
    7: "phy test",
}


def _infiniband(name: str, meaning: str) -> Metric:
    return counter(f"node_infiniband_{name}_total", meaning, labels=PORT)


NODE = (
    *produced_by(
        "BMC over IPMI",
        state("bmc_power_state", "Whether the chassis is on", ON_OFF),
        gauge("bmc_power_watts", "Power of the node as its BMC measures it (DCMI)", 0, 50_000),
        gauge("bmc_inlet_temperature_celsius", "Air into the node", -40, 100, rate=5),
        gauge("bmc_fan_speed_rpm", "Fan speed", 0, 60_000, labels=("fan",)),
        gauge("bmc_sensor_temperature_celsius", "A temperature sensor of the BMC", -128, 255, rate=50, labels=SENSOR),
        gauge("bmc_sensor_voltage_volts", "A voltage sensor of the BMC", -100, 1_000, labels=SENSOR),
        gauge("bmc_sensor_current_amperes", "A current sensor of the BMC", -1_000, 1_000, labels=SENSOR),
        gauge("bmc_sensor_power_watts", "A power sensor of the BMC", 0, 50_000, labels=SENSOR),
        gauge("bmc_sensor_fan_speed_rpm", "A fan sensor of the BMC", 0, 60_000, labels=SENSOR),
        state(
            "bmc_sensor_state",
            "What the BMC makes of a sensor (A41)",
            {0: "nominal", 1: "warning", 2: "critical"},
            labels=SENSOR,
        ),
        state("bmc_power_supply_present", "Whether a power supply is there (B09)", NO_YES, labels=("supply",)),
        state("bmc_power_supply_failed", "Whether a power supply has failed (B09)", NO_YES, labels=("supply",)),
        gauge("bmc_sel_entries_count", "Records in the event log", 0, 65_535),
        gauge("bmc_sel_free_bytes", "Room in the event log", 0, 1e7),
    ),
    *produced_by(
        "Hallkeeper's agent on the node",
        gauge("agent_up_seconds", "Time since the node started", 0),
        gauge("agent_heartbeat_timestamp_seconds", "When the agent last answered, by its own clock (A43, A44)", 0),
        gauge("agent_gpu_power_watts", "Power of a GPU", 0, 3_000, labels=GPU),
        gauge("agent_gpu_power_limit_watts", "Power limit in force", 0, 3_000, labels=GPU),
        gauge("agent_gpu_default_power_limit_watts", "Power limit that the GPU starts with", 0, 3_000, labels=GPU),
        gauge("agent_gpu_min_power_limit_watts", "Lowest power limit that it takes", 0, 3_000, labels=GPU),
        gauge("agent_gpu_max_power_limit_watts", "Highest power limit that it takes", 0, 3_000, labels=GPU),
        gauge("agent_gpu_temperature_celsius", "Temperature of a GPU", 0, 150, rate=50, labels=GPU),
        gauge("agent_gpu_count", "GPUs that the driver sees (A34)", 0, 64),
        gauge("agent_gpu_nvlinks_inactive_count", "NVLinks of a GPU that are not active (A13)", 0, 32, labels=GPU),
        gauge(
            "agent_gpu_bad_page_ratio",
            "Retired pages of an AMD GPU, of its driver's threshold (A37)",
            0,
            100,
            labels=GPU,
        ),
        state("agent_fabric_service_up", "Whether the NVLink fabric's service runs (A15)", NO_YES),
        gauge("agent_clock_offset_seconds", "Offset of the node's clock (A53)", -1e9, 1e9),
        gauge(
            "agent_checkpoint_age_seconds",
            "Time since a job's last checkpoint on this node (D08)",
            0,
            labels=("job_id",),
        ),
    ),
    *produced_by(
        "node_exporter",
        counter("node_edac_correctable_errors_total", "Corrected memory errors (A39)", labels=("controller",)),
        counter("node_edac_uncorrectable_errors_total", "Uncorrected memory errors (A40)", labels=("controller",)),
        counter(
            "node_edac_channel_correctable_errors_total",
            "Corrected memory errors of a DIMM (A39)",
            labels=("controller", "csrow", "channel", "dimm_label"),
        ),
        counter(
            "node_edac_channel_uncorrectable_errors_total",
            "Uncorrected memory errors of a DIMM (A40)",
            labels=("controller", "csrow", "channel", "dimm_label"),
        ),
        state("node_infiniband_state_id", "State of a port (A45)", IB_STATES, labels=PORT),
        state("node_infiniband_physical_state_id", "Physical state of a port (A45)", IB_PHYSICAL_STATES, labels=PORT),
        gauge("node_infiniband_rate_bytes_per_second", "Rate of a port (A50); HDR200 is 25e9", 0, 1e12, labels=PORT),
        _infiniband("link_downed", "Times that a link went down (A45, A46)"),
        _infiniband("link_error_recovery", "Times that a link recovered (A48)"),
        _infiniband("symbol_error", "Symbol errors (A47)"),
        _infiniband("port_errors_received", "Packets received with an error (A48)"),
        _infiniband("port_discards_received", "Packets received and discarded"),
        _infiniband("port_discards_transmitted", "Packets discarded before sending (A48)"),
        _infiniband("port_transmit_wait", "Ticks in which a port had data and no credit"),
        _infiniband("port_constraint_errors_received", "Packets refused on receipt"),
        _infiniband("port_constraint_errors_transmitted", "Packets refused before sending"),
        _infiniband("local_link_integrity_errors", "Local link integrity errors (A48)"),
        _infiniband("excessive_buffer_overrun_errors", "Excessive buffer overruns (A48)"),
        counter("node_infiniband_port_data_received_bytes_total", "Bytes received", rate=1e12, labels=PORT),
        counter("node_infiniband_port_data_transmitted_bytes_total", "Bytes sent", rate=1e12, labels=PORT),
        info("node_pcidevice_info", "A PCI device and its class (A17)", *PCI, "class_id", "vendor_id", "device_id"),
        gauge("node_pcidevice_current_link_width", "PCIe lanes in use (A17)", 0, 32, labels=PCI),
        gauge("node_pcidevice_max_link_width", "PCIe lanes possible (A17)", 0, 32, labels=PCI),
        gauge(
            "node_pcidevice_current_link_transfers_per_second", "PCIe transfer rate in use (A17)", 0, 1e12, labels=PCI
        ),
        gauge("node_pcidevice_max_link_transfers_per_second", "PCIe transfer rate possible (A17)", 0, 1e12, labels=PCI),
        state(
            "node_filesystem_readonly",
            "Whether a filesystem is read-only (A52)",
            NO_YES,
            labels=("device", "fstype", "mountpoint"),
        ),
        gauge(
            "node_filesystem_avail_bytes", "Room on a filesystem", 0, 1e18, labels=("device", "fstype", "mountpoint")
        ),
        gauge("node_timex_offset_seconds", "Offset of the clock (A53)", -1e9, 1e9),
        state("node_timex_sync_status", "Whether the clock is synchronised (A53)", NO_YES),
        gauge("node_boot_time_seconds", "When the node started", 0, unit="seconds since 1970"),
        gauge("node_time_seconds", "The node's clock (A53)", 0, unit="seconds since 1970"),
        gauge("node_load1", "Load over one minute", 0, 1e5),
        gauge("node_memory_MemAvailable_bytes", "Memory that can be had", 0, 1e15),
        gauge("node_hwmon_temp_celsius", "A temperature sensor of the board", -128, 255, labels=("chip", "sensor")),
    ),
    *produced_by(
        "an RDMA exporter, from the kernel's hardware counters of a port",
        counter("rdma_local_ack_timeout_err_total", "Acknowledgements that did not come in time (A48)", labels=PORT),
        counter(
            "rdma_rnr_nak_retry_err_total", "Retries of a receiver that was not ready, exceeded (A48)", labels=PORT
        ),
    ),
    *produced_by(
        "smartctl_exporter",
        counter("smartctl_device_media_errors", "Media errors of a disk (A52)", labels=("device",)),
        gauge("smartctl_device_percentage_used", "Wear of a disk (A52)", 0, 255, labels=("device",), unit="percent"),
    ),
    *produced_by(
        "fabric switches' exporter",
        state(
            "fabric_port_state",
            "Whether a switch port is active (A43, A45)",
            {0: "not active", 1: "active"},
            labels=("port",),
        ),
        counter("fabric_port_data_bytes_total", "Bytes through a switch port", rate=1e12, labels=("port",)),
        counter("fabric_port_symbol_errors_total", "Symbol errors of a switch port (A47, A49)", labels=("port",)),
        counter("fabric_port_link_downed_total", "Times that a switch port went down (A46)", labels=("port",)),
        gauge("fabric_port_bit_error_ratio", "Bit error ratio of a switch port (A49)", 0, 1, labels=("port",)),
    ),
    *produced_by(
        "rules/models, from many windows",
        gauge("node_lemon_score", "Weighted sum of a node's misfortunes over 28 days (A51)", 0),
        gauge(
            "job_rank_slowdown_ratio",
            "How much slower a rank is than its peers (A32)",
            -1,
            100,
            labels=("job_id", "rank"),
        ),
        gauge(
            "job_rank_slowdown_score",
            "The same in robust standard deviations of its job (A32)",
            -1_000,
            1_000,
            labels=("job_id", "rank"),
        ),
        gauge(
            "node_bandwidth_test_ratio", "Measured over expected bandwidth between jobs (A50)", 0, 2, labels=("path",)
        ),
    ),
)
