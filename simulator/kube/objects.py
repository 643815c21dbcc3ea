"""How the API's objects look when they are made."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from simulator.identity import derived_uuid
from simulator.kube.store import Object
from simulator.layout import GPUS, Job, Layout

GPU = "nvidia.com/gpu"
JOB_LABEL = "batch.kubernetes.io/job-name"
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
GROUP_LABEL = "scheduling.x-k8s.io/pod-group"
UNREACHABLE = "node.kubernetes.io/unreachable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
KUBELET_VERSION = "v1.33.4"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def timestamp() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind: str, status: str, reason: str, message: str = "") -> Object:
    now = timestamp()
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": now,
        "lastHeartbeatTime": now,
    }


def find_condition(item: Object, kind: str) -> Object | None:
    found: list[Object] = [one for one in item["status"].get("conditions", ()) if one["type"] == kind]
    return found[0] if found else None


def set_condition(item: Object, kind: str, status: str, reason: str, message: str = "") -> bool:
    """Put a condition in place; True where its status changed."""
    conditions = item["status"].setdefault("conditions", [])
    old = find_condition(item, kind)
    if old is not None and old["status"] == status and old["reason"] == reason:
        return False
    fresh = condition(kind, status, reason, message)
    if kind not in ("Ready", "MemoryPressure") or item.get("kind") != "Node":
        fresh.pop("lastHeartbeatTime")
    item["status"]["conditions"] = [one for one in conditions if one["type"] != kind] + [fresh]
    return old is None or old["status"] != status


def set_taints(node: Object, taints: list[Object]) -> None:
    """Replace a node's taints; none leave no field."""
    node["spec"].pop("taints", None)
    if taints:
        node["spec"]["taints"] = taints


def set_running(pod: Object, restarts: int) -> None:
    """Its one container runs and is ready."""
    container = {
        "name": "worker", "ready": True, "started": True, "restartCount": restarts, "image": pod["spec"]["containers"][0]["image"],
        "imageID": "", "state": {"running": {"startedAt": timestamp()}},
    }  # fmt: skip
    pod["status"].update(
        phase="Running", startTime=pod["status"].get("startTime", timestamp()), containerStatuses=[container]
    )
    for kind in ("Initialized", "ContainersReady", "Ready"):
        set_condition(pod, kind, "True", "Started")


def set_restarting(pod: Object) -> None:
    """Its container is being made again, after its node came back."""
    container = pod["status"]["containerStatuses"][0]
    container.update(
        ready=False,
        started=False,
        restartCount=container["restartCount"] + 1,
        state={"waiting": {"reason": "ContainerCreating"}},
    )
    set_condition(pod, "Ready", "False", "ContainersNotReady")


def _metadata(name: str, *, namespace: str = "", uid: str = "", labels: dict[str, str] | None = None) -> Object:
    metadata: Object = {
        "name": name,
        "uid": uid or str(derived_uuid("object", namespace, name)),
        "creationTimestamp": timestamp(),
    }
    if namespace:
        metadata["namespace"] = namespace
    return metadata | {"labels": labels or {}, "annotations": {}}


def node(layout: Layout, index: int) -> Object:
    name = layout.nodes[index]
    rack, row = layout.racks[int(layout.rack_of[index])], int(layout.row_of[index])
    labels = {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "dgx-h100", "topology.kubernetes.io/zone": layout.rows[row], "topology.kubernetes.io/rack": rack,
    }  # fmt: skip
    capacity = {"cpu": "224", "memory": "2113374436Ki", "pods": "110", GPU: str(GPUS)}
    item: Object = {
        "kind": "Node", "apiVersion": "v1", "metadata": _metadata(name, labels=labels), "spec": {},
        "status": {
            "capacity": capacity, "allocatable": dict(capacity), "conditions": [],
            "addresses": [{"type": "InternalIP", "address": f"10.{row}.{index // 250}.{index % 250 + 1}"}, {"type": "Hostname", "address": name}],
            "nodeInfo": {
                "machineID": "", "systemUUID": str(derived_uuid("system", name)), "bootID": str(derived_uuid("boot", name)), "kernelVersion": "6.8.0",
                "osImage": "Ubuntu 24.04", "containerRuntimeVersion": "containerd://2.0", "kubeletVersion": KUBELET_VERSION, "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    }  # fmt: skip
    set_condition(item, "MemoryPressure", "False", "KubeletHasSufficientMemory")
    set_condition(item, "Ready", "True", "KubeletReady", "kubelet is posting ready status")
    return item


def _pod_spec(job: Job) -> dict[str, Any]:
    forever = [
        {"key": key, "operator": "Exists", "effect": "NoExecute"}
        for key in (UNREACHABLE, "node.kubernetes.io/not-ready")
    ]
    return {
        "containers": [
            {
                "name": "worker", "image": f"registry.example/{job.name}:1", "imagePullPolicy": "IfNotPresent",
                "resources": {"limits": {GPU: str(GPUS)}, "requests": {GPU: str(GPUS)}},
            }
        ],
        "priorityClassName": job.priority_class, "priority": job.priority, "restartPolicy": "OnFailure", "terminationGracePeriodSeconds": 30,
        "schedulerName": "default-scheduler", "tolerations": forever,
    }  # fmt: skip


def _labels(job: Job) -> dict[str, str]:
    labels = {JOB_LABEL: job.name, "job-name": job.name}
    return labels | ({GROUP_LABEL: job.name} if job.gang else {})


def job_object(job: Job) -> Object:
    metadata = _metadata(job.name, namespace=job.namespace, labels=_labels(job))
    template = {"metadata": {"labels": _labels(job)}, "spec": _pod_spec(job)}
    spec = {
        "parallelism": job.ranks, "completions": job.ranks, "completionMode": "Indexed", "suspend": False, "backoffLimit": 1_000,
        "podReplacementPolicy": "Failed", "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": metadata["uid"]}}, "template": template,
    }  # fmt: skip
    status = {"active": 0, "ready": 0, "terminating": 0, "startTime": timestamp(), "conditions": []}
    return {"kind": "Job", "apiVersion": "batch/v1", "metadata": metadata, "spec": spec, "status": status}


def pod(job: Job, job_item: Object, rank: int, token: bytes) -> Object:
    """A pod's object; `token` (at least 8 random bytes) makes its name and uid its own."""
    name = f"{job.name}-{rank}-" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in token[:5])
    owner_uid = job_item["metadata"]["uid"]
    labels = _labels(job) | {INDEX_LABEL: str(rank), "batch.kubernetes.io/controller-uid": owner_uid}
    metadata = _metadata(name, namespace=job.namespace, uid=str(derived_uuid("pod", name, token.hex())), labels=labels)
    metadata["annotations"] = {INDEX_LABEL: str(rank)}
    metadata["generateName"] = f"{job.name}-{rank}-"
    metadata["ownerReferences"] = [
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": job.name,
            "uid": owner_uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    status = {"phase": "Pending", "qosClass": "BestEffort", "conditions": []}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": _pod_spec(job), "status": status}


def budget(job: Job) -> Object:
    return {
        "kind": "PodDisruptionBudget", "apiVersion": "policy/v1", "metadata": _metadata(job.name, namespace=job.namespace),
        "spec": {"maxUnavailable": job.max_unavailable, "selector": {"matchLabels": {JOB_LABEL: job.name}}},
        "status": {
            "disruptionsAllowed": job.max_unavailable, "currentHealthy": job.ranks, "desiredHealthy": job.ranks - (job.max_unavailable or 0),
            "expectedPods": job.ranks, "observedGeneration": 1, "conditions": [],
        },
    }  # fmt: skip


def priority_classes(jobs: Sequence[Job]) -> list[Object]:
    return [
        {
            "kind": "PriorityClass",
            "apiVersion": "scheduling.k8s.io/v1",
            "metadata": _metadata(job.priority_class),
            "value": job.priority,
        }
        for job in jobs
    ]


def namespaces(jobs: Sequence[Job]) -> list[Object]:
    names = sorted({job.namespace for job in jobs} | {"default", "kube-system"})
    return [
        {
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": _metadata(name),
            "spec": {},
            "status": {"phase": "Active"},
        }
        for name in names
    ]
