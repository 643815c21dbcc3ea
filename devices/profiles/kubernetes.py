"""A Kubernetes cluster, mirrored by list and watch."""

from devices.profiles.profile import Point, Profile, Table
from fleet.model import Wire

REFRESH_SECONDS = 10.0
"""A watch is renewed every 10 s; until then a broken connection would not show."""


def _point(metric: str) -> Point:
    return Point(metric=metric, signal="scheduler")


PROFILE = Profile(
    name="kubernetes",
    wire=Wire.KUBERNETES,
    refresh_seconds=REFRESH_SECONDS,
    tables=(
        Table(
            points=(
                _point("kube_node_status_condition"),
                _point("kube_node_spec_unschedulable"),
                _point("kube_node_spec_taint"),
                _point("kube_pod_status_phase"),
                _point("kube_pod_created"),
                _point("kube_pod_deletion_timestamp"),
                _point("kube_pod_container_status_restarts_total"),
                _point("kube_pod_container_status_waiting_reason"),
                _point("fleet_job_info"),
            ),
        ),
    ),
)
