"""A small cluster behind real HTTPS: lists in pages, watches with versions and bookmarks, guarded writes, a log of them."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from tests.contract.agent.certificates import Authority

TOKEN, READ_ONLY = "w" * 32, "r" * 32
PLURALS = {"nodes": "Node", "pods": "Pod", "jobs": "Job"}
Object = dict[str, Any]


def node(name: str, ready: str = "True", **spec: Any) -> Object:
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": "Kubelet",
        "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec, "status": {"conditions": [condition]}}


def pod(
    name: str,
    node_name: str | None = "n1",
    *,
    uid: str = "",
    phase: str = "Running",
    job: str = "llama",
    owner: str = "Job",
    **spec: Any,
) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "training",
            "uid": uid or f"uid-{name}",
            "labels": {"job-name": job, "batch.kubernetes.io/job-name": job, "hallkeeper.io/gang": "g1"} if job else {},
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": owner, "name": job or "ds", "uid": "o", "controller": True}],
        },
        "spec": {"nodeName": node_name, "priorityClassName": "T2", "priority": 200, **spec},
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "restartCount": 3, "state": {"running": {}}}],
        },
    }


def job(name: str = "llama", *, suspend: bool = False) -> Object:
    resources = {"limits": {"nvidia.com/gpu": "8"}}
    return {
        "metadata": {"name": name, "namespace": "training", "uid": f"uid-{name}"},
        "spec": {
            "suspend": suspend,
            "parallelism": 4,
            "template": {
                "spec": {
                    "priorityClassName": "T2",
                    "priority": 200,
                    "containers": [{"name": "m", "resources": resources}],
                }
            },
        },
        "status": {"active": 4},
    }


class Cluster:
    """The API server and its objects."""

    def __init__(self, *objects: tuple[str, Object]) -> None:
        self.version = 100
        self.objects: dict[tuple[str, str, str], Object] = {}
        self.history: list[tuple[int, str, bytes]] = []
        self.forgotten = 0
        self.watchers: set[tuple[str, asyncio.Queue[bytes | None]]] = set()
        self.requests: list[tuple[str, str, Any]] = []
        self.budget_forbids = False
        self.page_items = 500
        self.trouble: tuple[int, str] | None = None
        self.url = ""
        for plural, item in objects:
            self.put(plural, item)

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        return [request for request in self.requests if request[0] != "GET"]

    @property
    def lists(self) -> list[str]:
        return [path for method, path, _ in self.requests if method == "GET" and "watch" not in path and "?" in path]

    def put(self, plural: str, item: Object) -> None:
        meta = item["metadata"]
        key = (plural, meta.get("namespace", ""), meta["name"])
        self._tell(plural, "MODIFIED" if key in self.objects else "ADDED", item)
        self.objects[key] = item

    def drop(self, plural: str, namespace: str, name: str) -> None:
        self._tell(plural, "DELETED", self.objects.pop((plural, namespace, name)))

    def _tell(self, plural: str, kind: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self.line(plural, {"type": kind, "object": item})

    def line(self, plural: str, event: object) -> None:
        octets = json.dumps(event).encode() + b"\n"
        self.history.append((self.version, plural, octets))
        self.raw(plural, octets)

    def raw(self, plural: str, octets: bytes | None) -> None:
        """Into every open watch of the kind; None ends it."""
        for kind, queue in self.watchers:
            if kind == plural:
                queue.put_nowait(octets)

    async def watched(self) -> None:
        """Return when all three kinds are watched."""
        async with asyncio.timeout(5):
            while len({kind for kind, _ in self.watchers}) < len(PLURALS):
                await asyncio.sleep(0.01)

    def forget(self) -> None:
        """Compact: older versions answer 410."""
        self.forgotten = self.version

    async def serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path_qs, json.loads(body) if body else None))
        token = request.headers.get("Authorization")
        if token not in {f"Bearer {TOKEN}", f"Bearer {READ_ONLY}"}:
            return status(401, "Unauthorized")
        if self.trouble is not None:
            return status(*self.trouble)
        if request.method != "GET" and token != f"Bearer {TOKEN}":
            return status(403, "forbidden: this account may not write")
        parts = [part for part in request.path.split("/") if part]
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        namespace, parts = (parts[1], parts[2:]) if parts[0] == "namespaces" else ("", parts)
        if len(parts) == 1:
            return (
                await self._watch(request, parts[0])
                if "watch" in request.query
                else self._list(request, parts[0], namespace)
            )
        item = self.objects.get((parts[0], namespace, parts[1]))
        if item is None:
            return status(404, f'{parts[0]} "{parts[1]}" not found')
        return (
            web.json_response(item) if request.method == "GET" else self._change(request, parts, item, json.loads(body))
        )

    def _list(self, request: web.Request, plural: str, namespace: str) -> web.Response:
        found = [item for (kind, space, _), item in self.objects.items() if kind == plural and namespace in {"", space}]
        wanted = request.query.get("fieldSelector", "").removeprefix("spec.nodeName=")
        found = [item for item in found if not wanted or item["spec"].get("nodeName") == wanted]
        label = request.query.get("labelSelector", "").removeprefix("job-name=")
        found = [item for item in found if not label or item["metadata"].get("labels", {}).get("job-name") == label]
        start = int(request.query.get("continue", 0))
        end = start + min(self.page_items, int(request.query["limit"]))
        metadata = {"resourceVersion": str(self.version)} | ({"continue": str(end)} if end < len(found) else {})
        return web.json_response({"kind": "List", "metadata": metadata, "items": found[start:end]})

    async def _watch(self, request: web.Request, plural: str) -> web.StreamResponse:
        since = int(request.query["resourceVersion"])
        if since < self.forgotten:
            return status(410, "too old resource version")
        response = web.StreamResponse()
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, kind, octets in self.history:
            if version > since and kind == plural:
                queue.put_nowait(octets)
        entry = (plural, queue)
        self.watchers.add(entry)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"])):
                while (octets := await queue.get()) is not None:
                    await response.write(octets)
        except TimeoutError:
            pass
        finally:
            self.watchers.discard(entry)
        return response

    def _change(self, request: web.Request, parts: list[str], item: Object, wish: Object) -> web.Response:
        plural, meta = parts[0], item["metadata"]
        options = wish.get("deleteOptions", wish)
        uid = options.get("preconditions", {}).get("uid") if isinstance(options, dict) else None
        if uid is not None and uid != meta["uid"]:
            return status(409, "the UID in the precondition does not match")
        if parts[2:] == ["eviction"]:
            if self.budget_forbids:
                return status(429, "Cannot evict pod as it would violate the pod's disruption budget.")
            self.put(plural, item | {"metadata": meta | {"deletionTimestamp": "2026-01-01T00:01:00Z"}})
            return web.json_response({"kind": "Status", "status": "Success"}, status=201)
        if request.method == "DELETE":
            if "gracePeriodSeconds" not in wish:
                self.put(plural, item | {"metadata": meta | {"deletionTimestamp": "2026-01-01T00:01:00Z"}})
                return web.json_response(item)
            assert wish["gracePeriodSeconds"] == 0
            self.drop(plural, meta.get("namespace", ""), meta["name"])
            return web.json_response(item)
        version = wish.get("metadata", {}).get("resourceVersion")
        if version is not None and version != meta["resourceVersion"]:
            return status(409, "the object has been modified; please apply your changes to the latest version")
        assert request.content_type in {"application/merge-patch+json", "application/strategic-merge-patch+json"}
        annotations = meta.get("annotations", {}) | wish.get("metadata", {}).get("annotations", {})
        self.put(
            plural,
            item | {"spec": item["spec"] | wish.get("spec", {}), "metadata": meta | {"annotations": annotations}},
        )
        return web.json_response(self.objects[plural, meta.get("namespace", ""), meta["name"]])


def status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "reason": "R", "message": message}, status=code)


@contextlib.asynccontextmanager
async def serving(authority: Authority, cluster: Cluster, port: int = 0) -> AsyncIterator[Cluster]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", cluster.serve)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("api"))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    cluster.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield cluster
    finally:
        for _, queue in cluster.watchers:
            queue.put_nowait(None)
        await runner.cleanup()
