"""A fabric switch's exporter page: state and traffic of each port, by the port's number."""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

PROFILE = Profile(
    name="fabric",
    wire=Wire.PROMETHEUS,
    refresh_seconds=2.0,
    tables=(
        Table(
            index=("port",),
            points=(
                Point(metric="fabric_port_state", signal="fabric"),
                Point(metric="fabric_port_data_bytes_total", signal="fabric"),
            ),
        ),
    ),
)
