"""What the API changes when it is asked to: patches of nodes and jobs, evictions and deletions of pods."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from simulator.http import Request, Response, json_response
from simulator.kube import objects
from simulator.kube.cluster import Cluster
from simulator.kube.patch import APPLY, PatchError
from simulator.kube.pods import leaving, ready
from simulator.kube.routes import Target
from simulator.kube.status import ApiError
from simulator.kube.store import Object

RETRY_SECONDS = 10
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
PATCHABLE: Mapping[str, tuple[tuple[str, str], ...]] = {
    "nodes": (("spec", "unschedulable"), ("spec", "taints"), ("metadata", "labels"), ("metadata", "annotations")),
    "jobs": (("spec", "suspend"), ("metadata", "labels"), ("metadata", "annotations")),
}
"""What a patch may change; everything else is the API's own or needs an operator."""
Change = tuple[Response, bool]
"""The answer, and whether anything changed."""


def existing(cluster: Cluster, target: Target) -> Object:
    """The object. Raises `ApiError` 404."""
    item = cluster.store.get(target.resource, target.namespace, target.name)
    if item is None:
        plural = target.resource.plural
        raise ApiError(404, f'{plural} "{target.name}" not found', {"name": target.name, "kind": plural})
    return item


def body_of(request: Request) -> Any:
    """The decoded body. Raises `ApiError` 400."""
    try:
        return msgspec.json.decode(request.body) if request.body else {}
    except msgspec.DecodeError as error:
        raise ApiError(400, f"the body is no JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Writes:
    """The changing half of the API. Every method raises `ApiError` for what it refuses."""

    cluster: Cluster

    def change(self, request: Request, target: Target) -> Change:
        """Carry a request out, unless it only asks what would happen."""
        body = body_of(request)
        options = body if isinstance(body, dict) else {}
        inner = options.get("deleteOptions") or {} if target.subresource == "eviction" else options
        if not isinstance(inner, dict):
            raise ApiError(400, "deleteOptions: must be an object")
        dry = request.query.get("dryRun") == "All" or inner.get("dryRun") == ["All"]
        match (request.method, target.resource.plural, target.subresource):
            case ("PATCH", "nodes" | "jobs", ""):
                return self._patch(request.header("content-type"), body, target, dry=dry)
            case ("POST", "pods", "eviction"):
                return self._evict(inner, request.query, target, dry=dry)
            case ("DELETE", "pods", ""):
                return self._delete(inner, request.query, target, dry=dry)
            case _:
                raise ApiError(405, "the server does not allow this method on the requested resource")

    # Patches ---------------------------------------------------------------------------------------------------------

    def _patch(self, content_type: str, body: Any, target: Target, *, dry: bool) -> Change:
        apply = APPLY.get(content_type.partition(";")[0])
        if apply is None:
            raise ApiError(
                415,
                f"the body of the request was in an unknown format - accepted media types include: {', '.join(APPLY)}",
            )
        item = existing(self.cluster, target)
        try:
            patched = apply(item, body)
        except PatchError as error:
            raise ApiError(422, f"the server rejected our request due to an error in our request: {error}") from error
        fresh = changed(target, item, patched)
        executed = fresh != item and not dry
        if executed:
            item["spec"], item["metadata"] = fresh["spec"], fresh["metadata"]
            self.cluster.store.put(target.resource, item)
        return json_response(fresh if dry else item), executed

    # Pods ------------------------------------------------------------------------------------------------------------

    def _pod(self, target: Target, options: Mapping[str, Any]) -> Object:
        pod = existing(self.cluster, target)
        conditions = options.get("preconditions") or {}
        if not isinstance(conditions, dict):
            raise ApiError(400, "preconditions: must be an object")
        for name in ("uid", "resourceVersion"):
            wanted, actual = conditions.get(name), pod["metadata"][name]
            if wanted is not None and wanted != actual:
                raise ApiError(
                    409, f"Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {actual}"
                )
        return pod

    def _evict(self, options: Mapping[str, Any], query: Mapping[str, str], target: Target, *, dry: bool) -> Change:
        pod = self._pod(target, options)
        was_leaving, allowed = leaving(pod), self.cluster.jobs.disruptions_allowed(pod)
        needed = 1 if ready(pod) else 0
        if allowed is not None and allowed < needed and pod["status"]["phase"] == "Running" and not was_leaving:
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {pod['metadata']['labels'][objects.JOB_LABEL]} has no room",
            }
            details = {"causes": [cause], "retryAfterSeconds": RETRY_SECONDS}
            raise ApiError(429, "Cannot evict pod as it would violate the pod's disruption budget.", details)
        grace = grace_seconds(pod, options, query)
        if not dry:
            self.cluster.pods.delete(pod, grace)
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return json_response(success, 201), not dry and not was_leaving

    def _delete(self, options: Mapping[str, Any], query: Mapping[str, str], target: Target, *, dry: bool) -> Change:
        pod = self._pod(target, options)
        grace, was_leaving = grace_seconds(pod, options, query), leaving(pod)
        if not dry:
            self.cluster.pods.delete(pod, grace)
        return json_response(pod), not dry and (grace == 0 or not was_leaving)


def grace_seconds(pod: Object, options: Mapping[str, Any], query: Mapping[str, str]) -> int:
    """The grace that a deletion asks for, or the pod's own; a negative one means 1, as in Kubernetes."""
    given = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    if given is None:
        return int(pod["spec"]["terminationGracePeriodSeconds"])
    if isinstance(given, bool) or not str(given).removeprefix("-").isdigit():
        raise ApiError(400, f"gracePeriodSeconds: Invalid value: {given!r}")
    return int(given) if int(given) >= 0 else 1


def changed(target: Target, item: Object, patched: Any) -> Object:
    """The object with what may change taken from the patched one. Raises `ApiError` where more would change, or nonsense."""
    if not isinstance(patched, dict) or not all(isinstance(patched.get(part), dict) for part in ("metadata", "spec")):
        raise ApiError(422, "a patch may not take the metadata or the spec away")
    if patched["metadata"].get("resourceVersion") != item["metadata"]["resourceVersion"]:
        raise ApiError(
            409,
            f'Operation cannot be fulfilled on {target.resource.plural} "{target.name}": the object has been modified',
        )
    fields = PATCHABLE[target.resource.plural]
    fresh, rest_after, rest_before = copy.deepcopy(item), copy.deepcopy(patched), copy.deepcopy(item)
    for part, name in fields:
        value = patched[part].get(name)
        for document in (fresh, rest_after, rest_before):
            document[part].pop(name, None)
        if value not in (None, []) and (value is not False or name == "suspend"):
            fresh[part][name] = value
    if rest_after != rest_before:
        raise ApiError(
            422,
            f"{target.resource.kind} {target.name}: only {', '.join('.'.join(field) for field in fields)} may be patched",
        )
    _check_types(fresh)
    return fresh


def _check_types(fresh: Object) -> None:
    taints = fresh["spec"].get("taints", [])
    if not isinstance(taints, list) or not all(
        isinstance(taint, dict) and isinstance(taint.get("key"), str) and taint.get("effect") in EFFECTS
        for taint in taints
    ):
        raise ApiError(422, f"spec.taints: each needs a key and an effect of {', '.join(EFFECTS)}")
    for name in ("unschedulable", "suspend"):
        if not isinstance(fresh["spec"].get(name, False), bool):
            raise ApiError(422, f"spec.{name}: must be true or false")
    for name in ("labels", "annotations"):
        value = fresh["metadata"].get(name, {})
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise ApiError(422, f"metadata.{name}: must map names to texts")
