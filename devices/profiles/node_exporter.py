"""Prometheus's node_exporter: measured at the request, so a value is as old as the answer; names pass through."""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

NODE_METRICS = (
    "node_time_seconds",
    "node_boot_time_seconds",
    "node_load1",
    "node_edac_correctable_errors_total",
    "node_edac_uncorrectable_errors_total",
    "node_infiniband_state_id",
    "node_infiniband_port_data_transmitted_bytes_total",
)

PROFILE = Profile(
    name="node-exporter",
    wire=Wire.PROMETHEUS,
    refresh_seconds=0.0,
    tables=(Table(points=tuple(Point(metric=metric, signal="node") for metric in NODE_METRICS)),),
)
