"""A copy of a cluster kept up by list and watch: what changed, and the series of what is. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from devices.reading import Labels, Series
from devices.wire.kubernetes_facts import Job, Node, Pod, time_ms
from devices.wire.kubernetes_objects import Condition

OBJECTS_LIMIT = 100_000
"""Objects of one kind; beyond it the newest are left out."""
SERIES_LIMIT = 16_000
"""Series of one snapshot: a frame holds 16,384. Nodes go first, then jobs, then pods."""
HEALTHY: Mapping[str, str] = {"Ready": "True"}
"""Condition to its healthy status; every other condition is a pressure or a problem, healthy when it is False."""
STATUSES = ("True", "False", "Unknown")

Severity: TypeAlias = Literal["info", "warning", "critical"]


class Kind(StrEnum):
    """What is mirrored."""

    NODE = "nodes"
    POD = "pods"
    JOB = "jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that happened in the cluster."""

    kind: Literal["node", "pod"]
    code: str
    """`Ready=Unknown`, `cordoned`, a pod's phase, `Deleted`."""
    severity: Severity
    text: str
    at_ms: int | None
    """When the cluster says that it happened, or None where it does not say."""
    labels: dict[str, str]


Found: TypeAlias = list[tuple[Series, float]]


class Mirror:
    """All nodes, pods and jobs of one cluster."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.pods: dict[tuple[str, str], Pod] = {}
        self.jobs: dict[tuple[str, str], Job] = {}
        self._series: dict[Kind, dict[object, Found]] = {kind: {} for kind in Kind}

    def replace_nodes(self, nodes: Iterable[Node]) -> list[Change]:
        """A whole list: what is not in it is gone."""
        fresh = {node.name: node for node in nodes}
        for name in self.nodes.keys() - fresh.keys():
            self.drop_node(name)
        return [change for node in fresh.values() for change in self.put_node(node)]

    def replace_pods(self, pods: Iterable[Pod]) -> list[Change]:
        fresh = {(pod.namespace, pod.name): pod for pod in pods}
        gone = [change for key in self.pods.keys() - fresh.keys() for change in self.drop_pod(*key)]
        return gone + [change for pod in fresh.values() for change in self.put_pod(pod)]

    def replace_jobs(self, jobs: Iterable[Job]) -> list[Change]:
        fresh = {(job.namespace, job.name): job for job in jobs}
        for key in self.jobs.keys() - fresh.keys():
            self.drop_job(*key)
        for job in fresh.values():
            self.put_job(job)
        return []

    def put_node(self, node: Node) -> list[Change]:
        before = self.nodes.get(node.name)
        if before is None and len(self.nodes) >= OBJECTS_LIMIT:
            return []
        self.nodes[node.name] = node
        self._series[Kind.NODE][node.name] = list(_node_series(node))
        return [] if before is None else list(_node_changes(before, node))

    def put_pod(self, pod: Pod) -> list[Change]:
        key = (pod.namespace, pod.name)
        before = self.pods.get(key)
        if before is None and len(self.pods) >= OBJECTS_LIMIT:
            return []
        self.pods[key] = pod
        self._series[Kind.POD][key] = [] if pod.daemonset else list(_pod_series(pod))
        return [] if before is None else list(_pod_changes(before, pod))

    def put_job(self, job: Job) -> list[Change]:
        key = (job.namespace, job.name)
        if key in self.jobs or len(self.jobs) < OBJECTS_LIMIT:
            self.jobs[key] = job
        return []

    def drop_node(self, name: str) -> list[Change]:
        self._series[Kind.NODE].pop(name, None)
        self.nodes.pop(name, None)
        return []

    def drop_pod(self, namespace: str, name: str) -> list[Change]:
        self._series[Kind.POD].pop((namespace, name), None)
        pod = self.pods.pop((namespace, name), None)
        if pod is None or pod.daemonset:
            return []
        return [_pod_change(pod, "Deleted", "info", f"pod {namespace}/{name} is gone")]

    def drop_job(self, namespace: str, name: str) -> list[Change]:
        self.jobs.pop((namespace, name), None)
        return []

    def series(self) -> dict[Series, float]:
        """Every series of what is there now, cut at `SERIES_LIMIT`."""
        found: dict[Series, float] = {}
        for source in (*self._series[Kind.NODE].values(), list(self._job_series()), *self._series[Kind.POD].values()):
            if len(found) + len(source) > SERIES_LIMIT:
                break
            found.update(source)
        return found

    def _job_series(self) -> Iterator[tuple[Series, float]]:
        """One a job and node it runs on: a job is where its pods are."""
        for pod in self.pods.values():
            if pod.job is not None and pod.node is not None and pod.phase in {"Pending", "Running", "Unknown"}:
                yield ("fleet_job_info", _labels(pod, self.jobs.get((pod.namespace, pod.job.partition("/")[2])))), 1.0


def _labels(pod: Pod, job: Job | None) -> Labels:
    """What makes a job on a node: the job's own word counts before the pod's."""
    priority = pod.priority if pod.priority is not None or job is None else job.priority
    return _sorted(
        job_id=pod.job or "",
        node=pod.node or "",
        priority=pod.priority_class or (job.priority_class if job is not None else ""),
        priority_value="" if priority is None else str(priority),
        gang=pod.gang or (job.gang if job is not None else ""),
    )


def _sorted(**labels: str) -> Labels:
    """Labels in order; one without value is no label."""
    return tuple(sorted((name, value) for name, value in labels.items() if value))


def _node_series(node: Node) -> Iterator[tuple[Series, float]]:
    yield ("kube_node_spec_unschedulable", _sorted(node=node.name)), float(node.unschedulable)
    for condition in node.conditions:
        for status in STATUSES:
            labels = _sorted(node=node.name, condition=condition.type, status=status.lower())
            yield ("kube_node_status_condition", labels), float(condition.status == status)
    for taint in node.taints:
        labels = _sorted(node=node.name, key=taint.key, value=taint.value, effect=taint.effect)
        yield ("kube_node_spec_taint", labels), 1.0


def _pod_series(pod: Pod) -> Iterator[tuple[Series, float]]:
    """Only the phase that it is in: five series a pod would leave room for a fifth of the pods in a frame."""
    place = _sorted(namespace=pod.namespace, pod=pod.name, node=pod.node or "")
    if pod.phase:
        phase = _sorted(namespace=pod.namespace, pod=pod.name, node=pod.node or "", phase=pod.phase)
        yield ("kube_pod_status_phase", phase), 1.0
    leaving = time_ms(pod.deletion_timestamp)
    if leaving is not None:
        yield ("kube_pod_deletion_timestamp", place), leaving / 1000
    if pod.created_at_ms is not None:
        yield ("kube_pod_created", place), pod.created_at_ms / 1000
    for container, count in pod.restarts.items():
        yield ("kube_pod_container_status_restarts_total", _sorted(**dict(place), container=container)), float(count)
    for container, reason in pod.waiting.items():
        labels = _sorted(**dict(place), container=container, reason=reason)
        yield ("kube_pod_container_status_waiting_reason", labels), 1.0


def _node_changes(before: Node, now: Node) -> Iterator[Change]:
    earlier = {condition.type: condition.status for condition in before.conditions}
    for condition in now.conditions:
        if condition.type in earlier and earlier[condition.type] != condition.status:
            yield _condition_change(now.name, condition)
    if before.unschedulable != now.unschedulable:
        word = "cordoned" if now.unschedulable else "uncordoned"
        yield _node_change(now.name, word, "info", f"node {now.name} is {word}")
    if before.out_of_service != now.out_of_service:
        word = "out_of_service" if now.out_of_service else "in_service"
        yield _node_change(now.name, word, "warning" if now.out_of_service else "info", f"node {now.name}: {word}")


def _condition_change(name: str, condition: Condition) -> Change:
    healthy = condition.status == HEALTHY.get(condition.type, "False")
    text = f"node {name}: {condition.type} is {condition.status}: {condition.reason or ''} {condition.message or ''}"
    return _node_change(
        name,
        f"{condition.type}={condition.status}",
        "info" if healthy else "critical" if condition.type == "Ready" else "warning",
        text.strip()[:500],
        at_ms=time_ms(condition.last_transition_time),
    )


def _node_change(name: str, code: str, severity: Severity, text: str, *, at_ms: int | None = None) -> Change:
    return Change(kind="node", code=code, severity=severity, text=text, at_ms=at_ms, labels={"node": name})


def _pod_changes(before: Pod, now: Pod) -> Iterator[Change]:
    if now.daemonset:
        return
    name = f"pod {now.namespace}/{now.name}"
    if before.uid != now.uid:
        yield _pod_change(now, "Replaced", "info", f"{name} was made anew")
    if before.phase != now.phase or before.uid != now.uid:
        yield _pod_change(now, now.phase, "warning" if now.phase == "Failed" else "info", f"{name} is {now.phase}")
    if now.deletion_timestamp is not None and before.deletion_timestamp is None:
        yield _pod_change(now, "Terminating", "info", f"{name} was told to go")


def _pod_change(pod: Pod, code: str, severity: Severity, text: str) -> Change:
    labels = {"namespace": pod.namespace, "pod": pod.name, "uid": pod.uid}
    labels |= {name: value for name, value in (("node", pod.node), ("job_id", pod.job)) if value}
    return Change(kind="pod", code=code, severity=severity, text=text, at_ms=None, labels=labels)
