"""smartctl_exporter: what disks say of themselves; it asks them once a minute, and names pass through."""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

DISK_METRICS = (
    "smartctl_device_media_errors",
    "smartctl_device_percentage_used",
)

PROFILE = Profile(
    name="smartctl",
    wire=Wire.PROMETHEUS,
    refresh_seconds=60.0,
    tables=(Table(points=tuple(Point(metric=metric, signal="node") for metric in DISK_METRICS)),),
    signals={"node": 60.0},
)
