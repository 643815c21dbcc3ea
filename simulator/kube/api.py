"""The HTTP face of the cluster: who may ask, lists, watches, changes, and what is written down."""

import hmac
import itertools
from collections.abc import Callable, Mapping

from simulator.http import Request, Response, json_response
from simulator.kube import objects
from simulator.kube.cluster import Cluster
from simulator.kube.routes import Target, discovery, target_of
from simulator.kube.selectors import Matches, SelectorError, field_selector, label_selector
from simulator.kube.status import ApiError, error_response
from simulator.kube.store import JOBS, NODES
from simulator.kube.verbs import verb_of
from simulator.kube.watch import USUAL_SECONDS, Watch
from simulator.kube.writes import Change, Writes, existing
from simulator.truth import GroundTruth

HEALTH = ("healthz", "readyz", "livez")


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
        self._writes = Writes(cluster)
        self._truth = truth
        self._tokens = tokens
        """Token → whether it may write."""
        self._answers = answers
        self._numbers = itertools.count(1)

    def handle(self, request: Request) -> Response:
        """The answer to one request; everything but a GET is written down, whatever comes of it."""
        try:
            may_write = self._authorise(request)
            if request.method == "GET":
                return self._read(request)
            response, executed = self._change(request, may_write=may_write)
        except ApiError as error:
            if request.method != "GET":
                self._note(request, accepted=False, executed=False, note=f"{error.code} {error}")
            return error_response(error)
        self._note(request, accepted=True, executed=executed)
        return response

    def unheard(self, request: Request) -> None:
        """A request that met silence."""
        if request.method != "GET":
            self._note(request, accepted=False, executed=False, note="silenced by a fault")

    def _authorise(self, request: Request) -> bool:
        given = request.header("authorization").removeprefix("Bearer ")
        for token, may_write in self._tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return may_write
        raise ApiError(401, "Unauthorized")

    def _change(self, request: Request, *, may_write: bool) -> Change:
        if not may_write:
            raise ApiError(403, "forbidden: this token may only get, list and watch")
        target = target_of(request.segments)
        if target is None or not target.name:
            raise ApiError(405 if target else 404, "the server does not allow this method on the requested resource")
        return self._writes.change(request, target)

    # Reading ---------------------------------------------------------------------------------------------------------

    def _read(self, request: Request) -> Response:
        segments = request.segments
        if segments and segments[0] in HEALTH:
            return Response(200, b"ok", "text/plain")
        document = discovery(segments)
        if document is not None:
            return json_response(document)
        target = target_of(segments)
        if target is None or target.subresource:
            raise ApiError(404, "the server could not find the requested resource")
        if target.name:
            return json_response(existing(self.cluster, target))
        query = request.query
        terms = self._terms(target, query)
        return self._watch(target, query, terms) if _true(query.get("watch")) else self._list(target, terms)

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
        metadata = {"resourceVersion": str(self.cluster.store.version)}
        return json_response(
            {
                "kind": f"{target.resource.kind}List",
                "apiVersion": target.resource.api_version,
                "metadata": metadata,
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
            self.cluster.store, target.resource, terms=terms, version=version, seconds=float(seconds),
            bookmarks=_true(query.get("allowWatchBookmarks")), answers=self._answers,
        )  # fmt: skip
        return Response(stream=watch.run)

    # What others ask -------------------------------------------------------------------------------------------------

    def _note(self, request: Request, *, accepted: bool, executed: bool, note: str = "") -> None:
        verb, arguments = verb_of(request)
        number = request.header("x-request-id") or f"kubernetes-{next(self._numbers)}"
        self._truth.record(
            device=self.name, server="kubernetes", verb=verb, arguments=arguments, request_id=number, accepted=accepted, executed=executed, note=note
        )  # fmt: skip

    def summary(self) -> dict[str, object]:
        """Jobs with their pods and nodes, and the cordoned nodes, for the control API."""
        grouped = self.cluster.pods.by_job()
        jobs: dict[str, object] = {}
        for job in self.cluster.store.all(JOBS):
            key = f"{job['metadata']['namespace']}/{job['metadata']['name']}"
            counts = {name: job["status"][name] for name in ("active", "ready", "terminating")}
            nodes = {pod["metadata"]["name"]: pod["spec"].get("nodeName") for pod in grouped.get(key, [])}
            jobs[key] = {"suspended": bool(job["spec"].get("suspend")), **counts, "pods": nodes}
        nodes_now = self.cluster.store.all(NODES)
        return {
            "jobs": jobs,
            "cordoned": [node["metadata"]["name"] for node in nodes_now if node["spec"].get("unschedulable")],
            "out_of_service": [
                node["metadata"]["name"]
                for node in nodes_now
                if objects.OUT_OF_SERVICE in str(node["spec"].get("taints"))
            ],
        }


def _true(text: str | None) -> bool:
    """A boolean of a query, in any of the spellings that Go's ParseBool takes."""
    return text in ("1", "t", "T", "true", "TRUE", "True")
