"""The HTTP face of the cluster: who may ask, lists, watches, patches, evictions, deletions, and what is written down."""

import copy
import hmac
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from simulator.http import Request, Response, json_response
from simulator.kube import objects
from simulator.kube.cluster import Cluster
from simulator.kube.patch import APPLY, PatchError
from simulator.kube.routes import Target, discovery, target_of
from simulator.kube.selectors import Matches, SelectorError, field_selector, label_selector
from simulator.kube.status import ApiError, error_response
from simulator.kube.store import JOBS, NODES, PODS, Object
from simulator.kube.verbs import verb_of
from simulator.kube.watch import USUAL_SECONDS, Watch
from simulator.truth import GroundTruth

RETRY_SECONDS = 10
PATCHABLE: Mapping[str, frozenset[tuple[str, str]]] = {
    "nodes": frozenset(
        {("spec", "unschedulable"), ("spec", "taints"), ("metadata", "labels"), ("metadata", "annotations")}
    ),
    "jobs": frozenset({("spec", "suspend"), ("metadata", "labels"), ("metadata", "annotations")}),
}
"""What a patch may change; everything else is the API's own or needs an operator."""


class KubeApi:
    """Answers for one cluster."""

    def __init__(
        self,
        *,
        name: str,
        cluster: Cluster,
        truth: GroundTruth,
        tokens: Mapping[str, bool],
        answers: Callable[[], bool],
    ) -> None:
        self.name = name
        self.cluster = cluster
        self._truth = truth
        self._tokens = tokens
        """Token → whether it may write."""
        self._answers = answers
        self._numbers = itertools.count(1)

    def handle(self, request: Request) -> Response:
        """The answer to one request; everything but a GET is written down, whatever comes of it."""
        if request.method == "GET":
            try:
                self._authorise(request)
                return self._read(request)
            except ApiError as error:
                return error_response(error)
        return self._write(request)

    def unheard(self, request: Request) -> None:
        if request.method != "GET":
            self._note(request, accepted=False, executed=False, note="silenced by a fault")

    def _authorise(self, request: Request) -> bool:
        given = request.header("authorization").removeprefix("Bearer ")
        for token, may_write in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return may_write
        raise ApiError(401, "Unauthorized")

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self, request: Request) -> Response:
        segments = request.segments
        if segments and segments[0] in ("healthz", "readyz", "livez"):
            return Response(200, b"ok", "text/plain")
        document = discovery(segments)
        if document is not None:
            return json_response(document)
        target = target_of(segments)
        if target is None or target.subresource:
            raise ApiError(404, "the server could not find the requested resource")
        if target.name:
            return json_response(self._existing(target))
        query = request.query
        terms = self._terms(target, query)
        if query.get("watch") in ("true", "1"):
            return self._watch(target, query, terms)
        return self._list(target, terms)

    def _existing(self, target: Target) -> Object:
        item = self.cluster.store.get(target.resource, target.namespace, target.name)
        if item is None:
            details = {"name": target.name, "kind": target.resource.plural}
            raise ApiError(404, f'{target.resource.plural} "{target.name}" not found', details)
        return item

    @staticmethod
    def _terms(target: Target, query: Mapping[str, str]) -> list[Matches]:
        try:
            terms = label_selector(query.get("labelSelector", "")) + field_selector(query.get("fieldSelector", ""))
        except SelectorError as error:
            raise ApiError(400, str(error)) from error
        if target.namespace:
            terms.append(lambda item: item["metadata"].get("namespace") == target.namespace)
        return terms

    def _list(self, target: Target, terms: list[Matches]) -> Response:
        items = [item for item in self.cluster.store.all(target.resource) if all(term(item) for term in terms)]
        return json_response(
            {
                "kind": f"{target.resource.kind}List",
                "apiVersion": target.resource.api_version,
                "metadata": {"resourceVersion": str(self.cluster.store.version)},
                "items": items,
            }
        )

    def _watch(self, target: Target, query: Mapping[str, str], terms: list[Matches]) -> Response:
        version, seconds = query.get("resourceVersion", ""), query.get("timeoutSeconds", str(USUAL_SECONDS))
        if version and not version.isdigit():
            raise ApiError(400, f"resourceVersion: Invalid value: {version!r}")
        if not seconds.replace(".", "", 1).isdigit():
            raise ApiError(400, f"timeoutSeconds: Invalid value: {seconds!r}")
        watch = Watch(
            self.cluster.store, target.resource, namespace=target.namespace, terms=terms, version=version, seconds=float(seconds),
            bookmarks=query.get("allowWatchBookmarks") in ("true", "1"), answers=self._answers,
        )  # fmt: skip
        return Response(stream=watch.run)

    # Writing ---------------------------------------------------------------------------------------------------------

    def _write(self, request: Request) -> Response:
        try:
            if not self._authorise(request):
                raise ApiError(403, "forbidden: this token may only get, list and watch")
            response, executed = self._change(request)
        except ApiError as error:
            self._note(request, accepted=False, executed=False, note=f"{error.code} {error}")
            return error_response(error)
        self._note(request, accepted=True, executed=executed)
        return response

    def _change(self, request: Request) -> tuple[Response, bool]:
        target = target_of(request.segments)
        if target is None or not target.name:
            raise ApiError(405 if target else 404, "the server does not allow this method on the requested resource")
        dry = request.query.get("dryRun") == "All"
        match (request.method, target.resource.plural, target.subresource):
            case ("PATCH", "nodes" | "jobs", ""):
                return self._patch(request, target, dry=dry)
            case ("POST", "pods", "eviction"):
                return self._evict(request, target, dry=dry)
            case ("DELETE", "pods", ""):
                return self._delete(request, target, dry=dry)
            case _:
                raise ApiError(405, "the server does not allow this method on the requested resource")

    @staticmethod
    def _body(request: Request) -> Any:
        try:
            return msgspec.json.decode(request.body) if request.body else {}
        except msgspec.DecodeError as error:
            raise ApiError(400, f"the body is no JSON: {error}") from error

    def _patch(self, request: Request, target: Target, *, dry: bool) -> tuple[Response, bool]:
        apply = APPLY.get(request.header("content-type").partition(";")[0])
        if apply is None:
            raise ApiError(
                415,
                f"the body of the request was in an unknown format - accepted media types include: {', '.join(APPLY)}",
            )
        item, body = self._existing(target), self._body(request)
        try:
            patched = apply(item, body)
        except PatchError as error:
            raise ApiError(422, f"the server rejected our request due to an error in our request: {error}") from error
        wanted = patched.get("metadata", {}).get("resourceVersion") if isinstance(patched, dict) else None
        if wanted != item["metadata"]["resourceVersion"]:
            raise ApiError(
                409,
                f'Operation cannot be fulfilled on {target.resource.plural} "{target.name}": the object has been modified',
            )
        fresh = self._changed(target, item, patched)
        executed = fresh != item and not dry
        if executed:
            item["spec"], item["metadata"] = fresh["spec"], fresh["metadata"]
            self.cluster.store.put(target.resource, item)
        return json_response(fresh if dry else item), executed

    @staticmethod
    def _changed(target: Target, item: Object, patched: Object) -> Object:
        """The object with what may change taken from the patched one. Raises `ApiError` where more would."""
        fresh = copy.deepcopy(item)
        for part, name in PATCHABLE[target.resource.plural]:
            value = patched.get(part, {}).get(name)
            fresh[part].pop(name, None)
            if value not in (None, False, []) or (name == "suspend" and value is not None):
                fresh[part][name] = value
        _check_types(fresh)
        allowed = copy.deepcopy(patched)
        for part, name in PATCHABLE[target.resource.plural]:
            for document in (allowed, current := copy.deepcopy(item)):
                document.setdefault(part, {}).pop(name, None)
            item = current
        if allowed != item:
            raise ApiError(
                422,
                f"{target.resource.kind} {target.name}: only {sorted('.'.join(one) for one in PATCHABLE[target.resource.plural])} may be patched",
            )
        return fresh

    def _pod(self, target: Target, options: Mapping[str, Any]) -> Object:
        pod = self._existing(target)
        conditions = options.get("preconditions") or {}
        for name, actual in (("uid", pod["metadata"]["uid"]), ("resourceVersion", pod["metadata"]["resourceVersion"])):
            wanted = conditions.get(name)
            if wanted is not None and wanted != actual:
                raise ApiError(
                    409, f"Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {actual}"
                )
        return pod

    @staticmethod
    def _grace(pod: Object, options: Mapping[str, Any], query: Mapping[str, str]) -> int:
        given = options.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        if given is None:
            return int(pod["spec"]["terminationGracePeriodSeconds"])
        if isinstance(given, bool) or not str(given).lstrip("-").isdigit():
            raise ApiError(400, f"gracePeriodSeconds: Invalid value: {given!r}")
        return max(0, int(given)) if int(given) >= 0 else 1

    def _evict(self, request: Request, target: Target, *, dry: bool) -> tuple[Response, bool]:
        body = self._body(request)
        options = body.get("deleteOptions") or {} if isinstance(body, dict) else {}
        pod = self._pod(target, options)
        allowed = self.cluster.disruptions_allowed(pod)
        needed = 1 if self.cluster.ready(pod) else 0
        leaving = "deletionTimestamp" in pod["metadata"]
        if allowed is not None and allowed < needed and pod["status"]["phase"] == "Running" and not leaving:
            cause = {
                "reason": "DisruptionBudget",
                "message": f"The disruption budget {pod['metadata']['labels'][objects.JOB_LABEL]} has no room",
            }
            raise ApiError(
                429,
                "Cannot evict pod as it would violate the pod's disruption budget.",
                {"causes": [cause], "retryAfterSeconds": RETRY_SECONDS},
            )
        if not dry:
            self.cluster.delete(pod, self._grace(pod, options, request.query))
        return json_response(
            {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
        ), not dry and not leaving

    def _delete(self, request: Request, target: Target, *, dry: bool) -> tuple[Response, bool]:
        body = self._body(request)
        options = body if isinstance(body, dict) else {}
        pod = self._pod(target, options)
        dry = dry or options.get("dryRun") == ["All"]
        if not dry:
            self.cluster.delete(pod, self._grace(pod, options, request.query))
        return json_response(pod), not dry

    def _note(self, request: Request, *, accepted: bool, executed: bool, note: str = "") -> None:
        verb, arguments = verb_of(request)
        self._truth.record(
            device=self.name, server="kubernetes", verb=verb, arguments=arguments,
            request_id=request.header("x-request-id") or f"kubernetes-{next(self._numbers)}", accepted=accepted, executed=executed, note=note,
        )  # fmt: skip

    def jobs_summary(self) -> dict[str, object]:
        """Jobs with their pods, for the control API."""
        summary: dict[str, object] = {}
        for job in self.cluster.store.all(JOBS):
            name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
            pods = [pod for pod in self.cluster.store.all(PODS) if pod["metadata"]["namespace"] == namespace]
            summary[f"{namespace}/{name}"] = {
                "suspended": bool(job["spec"].get("suspend")),
                **{key: job["status"][key] for key in ("active", "ready", "terminating")},
                "pods": {
                    pod["metadata"]["name"]: pod["spec"].get("nodeName")
                    for pod in pods
                    if pod["metadata"]["labels"][objects.JOB_LABEL] == name
                },
            }
        cordoned = [
            node["metadata"]["name"] for node in self.cluster.store.all(NODES) if node["spec"].get("unschedulable")
        ]
        return summary | {"cordoned": cordoned}


def _check_types(fresh: Object) -> None:
    taints = fresh["spec"].get("taints", [])
    wrong = not isinstance(taints, list) or not all(
        isinstance(taint, dict)
        and isinstance(taint.get("key"), str)
        and taint.get("effect") in ("NoSchedule", "PreferNoSchedule", "NoExecute")
        for taint in taints
    )
    if wrong:
        raise ApiError(422, "spec.taints: each needs a key and an effect of NoSchedule, PreferNoSchedule or NoExecute")
    for name in ("unschedulable", "suspend"):
        if not isinstance(fresh["spec"].get(name, False), bool):
            raise ApiError(422, f"spec.{name}: must be true or false")
    for name in ("labels", "annotations"):
        value = fresh["metadata"].get(name, {})
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise ApiError(422, f"metadata.{name}: must map names to texts")
