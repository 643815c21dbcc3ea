"""An RDMA exporter: the kernel's hardware counters of fabric ports, read at the request; names pass through."""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

PORT_METRICS = (
    "rdma_local_ack_timeout_err_total",
    "rdma_rnr_nak_retry_err_total",
)

PROFILE = Profile(
    name="rdma",
    wire=Wire.PROMETHEUS,
    refresh_seconds=0.0,
    tables=(Table(points=tuple(Point(metric=metric, signal="fabric") for metric in PORT_METRICS)),),
)
