"""Nodes, pods and jobs as the rest of Hallkeeper speaks of them, made from what the API says. Pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from devices.wire.kubernetes_objects import (
    Condition,
    Container,
    ContainerSpec,
    JobObject,
    Meta,
    NodeObject,
    PodObject,
    Resources,
    Taint,
)

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
JOB_LABELS = ("batch.kubernetes.io/job-name", "job-name")
GANG_LABELS = ("hallkeeper.io/gang", "scheduling.x-k8s.io/pod-group")
"""Ours, and the one that gang schedulers set; the first that is there counts."""
GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")
OWN_TO_THE_NODE = frozenset({"DaemonSet", "Node"})
"""Owners of pods that belong to the machine itself: they are no work and move nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the cluster has it."""

    name: str
    version: str
    unschedulable: bool
    taints: tuple[Taint, ...]
    conditions: tuple[Condition, ...]

    @property
    def ready(self) -> bool | None:
        """Whether its kubelet says that it is ready; None when the cluster itself does not know."""
        status = next((one.status for one in self.conditions if one.type == "Ready"), "Unknown")
        return {"True": True, "False": False}.get(status)

    @property
    def out_of_service(self) -> bool:
        return any(taint.key == OUT_OF_SERVICE for taint in self.taints)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod as the cluster has it."""

    namespace: str
    name: str
    uid: str
    node: str | None
    phase: str
    job: str | None
    """`namespace/name` of the job it belongs to, or None."""
    owner: str | None
    """`Kind/name` of its controller."""
    priority_class: str
    priority: int | None
    gang: str
    daemonset: bool
    """It belongs to the machine itself (DaemonSet's or static)."""
    created_at_ms: int | None
    deletion_timestamp: str | None
    """RFC 3339 time at which it shall be gone; it is terminating."""
    restarts: Mapping[str, int]
    waiting: Mapping[str, str]
    """Container to the reason why it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One batch job as the cluster has it."""

    namespace: str
    name: str
    uid: str
    suspended: bool
    active: int
    priority_class: str
    priority: int | None
    gang: str
    gpus: int
    """GPUs that all its pods together ask for."""


def node_of(item: NodeObject) -> Node:
    return Node(
        name=item.metadata.name,
        version=item.metadata.resource_version,
        unschedulable=bool(item.spec.unschedulable),
        taints=tuple(item.spec.taints or ()),
        conditions=tuple(item.status.conditions or ()),
    )


def pod_of(item: PodObject) -> Pod:
    meta, containers = item.metadata, item.status.container_statuses or ()
    owner = next((one for one in meta.owner_references or () if one.controller), None)
    job = first_label(meta, JOB_LABELS) or (owner.name if owner is not None and owner.kind == "Job" else "")
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        node=item.spec.node_name or None,
        phase=item.status.phase,
        job=f"{meta.namespace}/{job}" if job else None,
        owner=f"{owner.kind}/{owner.name}" if owner is not None else None,
        priority_class=item.spec.priority_class_name or "",
        priority=item.spec.priority,
        gang=first_label(meta, GANG_LABELS),
        daemonset=owner is not None and owner.kind in OWN_TO_THE_NODE,
        created_at_ms=time_ms(meta.creation_timestamp),
        deletion_timestamp=meta.deletion_timestamp,
        restarts={one.name: one.restart_count for one in containers},
        waiting={one.name: reason for one in containers if (reason := _waiting(one))},
    )


def job_of(item: JobObject) -> Job:
    pods = item.spec.template.spec
    each = sum(gpus_of(container) for container in pods.containers or ())
    return Job(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        uid=item.metadata.uid,
        suspended=bool(item.spec.suspend),
        active=item.status.active or 0,
        priority_class=pods.priority_class_name or "",
        priority=pods.priority,
        gang=first_label(item.metadata, GANG_LABELS),
        gpus=each * (1 if item.spec.parallelism is None else item.spec.parallelism),
    )


def first_label(meta: Meta, names: tuple[str, ...]) -> str:
    """The value of the first of these labels that the object carries, or ""."""
    labels = meta.labels or {}
    return next((labels[name] for name in names if labels.get(name)), "")


def gpus_of(container: ContainerSpec) -> int:
    """Whole GPUs that a container asks for; a quantity that is no whole number counts as none."""
    wanted = container.resources or Resources()
    for quantities in (wanted.limits, wanted.requests):
        for name in GPU_RESOURCES:
            text = str((quantities or {}).get(name, ""))
            if text.isascii() and text.isdigit() and len(text) < 10:
                return int(text)
    return 0


def _waiting(container: Container) -> str:
    state = container.state
    return (state.waiting.reason or "") if state is not None and state.waiting is not None else ""


def time_ms(text: str | None) -> int | None:
    """Unix milliseconds of an RFC 3339 time, or None for what is none."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000)
