"""What a changing request means, in the words that the ground truth uses. Pure."""

from typing import Any

import msgspec

from simulator.http import Request
from simulator.kube.objects import OUT_OF_SERVICE
from simulator.kube.routes import target_of


def verb_of(request: Request) -> tuple[str, dict[str, object]]:
    """The verb and its arguments: cordon, uncordon, taint_out_of_service, untaint_out_of_service, suspend_job, resume_job, evict, delete_pod.

    Anything else is named by its method and resource.
    """
    target = target_of(request.segments)
    try:
        body = msgspec.json.decode(request.body) if request.body else {}
    except msgspec.DecodeError:
        body = {}
    if target is None:
        return f"{request.method} {request.path}", {}
    match (request.method, target.resource.plural, target.subresource):
        case ("PATCH", "nodes", ""):
            return _node_verb(body), {"node": target.name, "patch": body}
        case ("PATCH", "jobs", ""):
            return _job_verb(body), {"namespace": target.namespace, "job": target.name, "patch": body}
        case ("POST", "pods", "eviction"):
            return "evict", {"namespace": target.namespace, "pod": target.name, "options": body}
        case ("DELETE", "pods", ""):
            return "delete_pod", {"namespace": target.namespace, "pod": target.name, "options": body or request.query}
        case _:
            return f"{request.method} {target.resource.plural}", {"path": request.path}


def _values(body: Any, part: str, name: str) -> list[Any]:
    """What a patch of any format sets at part.name."""
    if isinstance(body, dict):
        inner = body.get(part)
        return [inner[name]] if isinstance(inner, dict) and name in inner else []
    operations = [one for one in body if isinstance(one, dict)] if isinstance(body, list) else []
    return [
        one.get("value")
        for one in operations
        if str(one.get("path", "")).startswith(f"/{part}/{name}") and one.get("op") != "test"
    ]


def _node_verb(body: Any) -> str:
    taints = _values(body, "spec", "taints")
    if taints:
        named = OUT_OF_SERVICE in str(taints)
        return "taint_out_of_service" if named else "untaint_out_of_service"
    unschedulable = _values(body, "spec", "unschedulable")
    if unschedulable:
        return "cordon" if unschedulable[-1] else "uncordon"
    return "patch_node"


def _job_verb(body: Any) -> str:
    suspend = _values(body, "spec", "suspend")
    if suspend:
        return "suspend_job" if suspend[-1] else "resume_job"
    return "patch_job"
