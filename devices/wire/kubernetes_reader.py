"""Keeps a mirror of a cluster by list and watch, and looks up single objects afresh for whoever is about to act."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from devices.reading import Series
from devices.wire.kubernetes_api import Gone, KubernetesApi, trouble
from devices.wire.kubernetes_facts import Job, Node, Pod, job_of, node_of, pod_of
from devices.wire.kubernetes_mirror import Change, Kind, Mirror
from devices.wire.kubernetes_objects import JobObject, NodeObject, PodObject, Status, Versioned, WatchEvent, decoded
from devices.wire.names import name_in
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Malformed, Unreachable
from fleet.model import Endpoint

WATCH_SECONDS = 10.0
"""A watch is asked for no longer than this: every new one confirms that the copy is current (a default to tune)."""
STALE_SECONDS = 20.0
"""A copy not confirmed for this long is no copy: two watches' time."""
LONGEST_PAUSE_SECONDS = 15.0
CHANGES_LIMIT = 10_000
"""Changes kept between two polls; the oldest are dropped and counted."""

T = TypeVar("T")
F = TypeVar("F")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """How one kind is asked for and kept."""

    path: str
    type: type[Any]
    fact: Callable[[Any], Any]


RESOURCES: Mapping[Kind, Resource] = {
    Kind.NODE: Resource(path="/api/v1/nodes", type=NodeObject, fact=node_of),
    Kind.POD: Resource(path="/api/v1/pods", type=PodObject, fact=pod_of),
    Kind.JOB: Resource(path="/apis/batch/v1/jobs", type=JobObject, fact=job_of),
}


class KubernetesReader:
    """One cluster. `run` keeps the mirror; the look-ups ask the API server itself and need no `run`."""

    def __init__(self, endpoint: Endpoint, secret: Mapping[str, object], clock: Clock) -> None:
        """Raises `Refused` when address, token or authority cannot be used."""
        self._api = KubernetesApi(endpoint, secret)
        self._clock = clock
        self._mirror = Mirror()
        self._confirmed_ms: dict[Kind, int] = {}
        self._faults: dict[Kind, HallkeeperError] = {}
        self._changes: deque[Change] = deque()
        self._news = asyncio.Event()
        self.dropped = 0
        """Changes that nobody fetched in time."""
        self.malformed = 0
        """Objects that could not be decoded and were left out."""

    async def run(self) -> None:
        """Follow nodes, pods and jobs until cancelled."""
        async with asyncio.TaskGroup() as followers:
            for kind in Kind:
                followers.create_task(self._follow(kind))

    async def close(self) -> None:
        await self._api.close()

    async def settled(self, seconds: float) -> None:
        """Wait until every kind was listed or has failed, at most that long."""
        try:
            async with asyncio.timeout(seconds):
                while set(Kind) - self._confirmed_ms.keys() - self._faults.keys():
                    await self._news.wait()
        except TimeoutError:
            return

    def snapshot(self) -> dict[Series, float]:
        """The series of the cluster as it is now. Raises why it is not known: never listed, or not confirmed lately."""
        for kind in Kind:
            confirmed = self._confirmed_ms.get(kind)
            if confirmed is None or self._clock.now_ms() - confirmed > STALE_SECONDS * 1000:
                raise self._faults.get(kind) or Unreachable(
                    f"{self._api.where}: {kind} were not listed yet, wait for it"
                )
        return self._mirror.series()

    def changes(self) -> list[Change]:
        """What happened since the last call, oldest first."""
        found = list(self._changes)
        self._changes.clear()
        return found

    # Looking up -------------------------------------------------------------------------------------------------------

    async def node(self, name: str) -> Node | None:
        """The node as the API server has it now, or None."""
        return await self._object(f"/api/v1/nodes/{quote(_checked(name))}", NodeObject, node_of)

    async def pod(self, namespace: str, name: str) -> Pod | None:
        path = f"/api/v1/namespaces/{quote(_checked(namespace))}/pods/{quote(_checked(name))}"
        return await self._object(path, PodObject, pod_of)

    async def job(self, namespace: str, name: str) -> Job | None:
        path = f"/apis/batch/v1/namespaces/{quote(_checked(namespace))}/jobs/{quote(_checked(name))}"
        return await self._object(path, JobObject, job_of)

    async def pods_on(self, node: str) -> list[Pod]:
        """Every pod bound to the node, finished ones and its own too."""
        return await self._pods("/api/v1/pods", {"fieldSelector": f"spec.nodeName={_checked(node)}"})

    async def pods_of_job(self, namespace: str, name: str) -> list[Pod]:
        path = f"/api/v1/namespaces/{quote(_checked(namespace))}/pods"
        return await self._pods(path, {"labelSelector": f"job-name={_checked(name)}"})

    async def _object(self, path: str, kind: type[T], fact: Callable[[T], F]) -> F | None:
        body = await self._api.get(path)
        return None if body is None else fact(decoded(body, kind, self._api.where))

    async def _pods(self, path: str, query: Mapping[str, str]) -> list[Pod]:
        """A look-up before an act: one pod that cannot be decoded is an error here, not a gap."""
        try:
            items, _ = await self._api.items(path, query)
        except Gone as error:
            raise Unreachable(f"{error}, try again") from error
        return [pod_of(decoded(item, PodObject, self._api.where)) for item in items]

    # Following --------------------------------------------------------------------------------------------------------

    async def _follow(self, kind: Kind) -> None:
        version, pause = "", 1.0
        while True:
            try:
                if not version:
                    version = await self._list(kind)
                version = await self._watch(kind, version)
                pause = 1.0
            except Gone:
                version = ""
                await self._clock.sleep(0.1)
            except HallkeeperError as error:
                if isinstance(error, Malformed):
                    version = ""  # what was missed is not known: list again
                self._faults[kind] = error
                self._tell()
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _list(self, kind: Kind) -> str:
        resource = RESOURCES[kind]
        items, version = await self._api.items(resource.path)
        facts = [fact for item in items if (fact := self._fact(resource, item)) is not None]
        self._keep(self._replace(kind, facts))
        self._confirm(kind)
        return version

    def _replace(self, kind: Kind, facts: list[Any]) -> list[Change]:
        match kind:
            case Kind.NODE:
                return self._mirror.replace_nodes(facts)
            case Kind.POD:
                return self._mirror.replace_pods(facts)
            case Kind.JOB:
                return self._mirror.replace_jobs(facts)

    async def _watch(self, kind: Kind, version: str) -> str:
        """The version to go on from when the server ended the watch."""
        async with aclosing(self._api.watch(RESOURCES[kind].path, version, seconds=WATCH_SECONDS)) as lines:
            async for line in lines:
                if line:
                    version = self._apply(kind, line) or version
                self._confirm(kind)
        return version

    def _apply(self, kind: Kind, line: bytes) -> str:
        """Take in one line; its version. Raises `Gone`, `Malformed`, or what the server reports."""
        event = decoded(line, WatchEvent, self._api.where)
        if event.type == "ERROR":
            status = decoded(event.object, Status, self._api.where)
            raise trouble(status.code or 500, f"{self._api.where}: watch of {kind}: {status.message or status.reason}")
        version = decoded(event.object, Versioned, self._api.where).metadata.resource_version
        if event.type == "BOOKMARK":
            return version
        fact = self._fact(RESOURCES[kind], event.object)
        if fact is not None:
            self._keep(self._put(kind, fact) if event.type in {"ADDED", "MODIFIED"} else self._drop(kind, fact))
        return version

    def _put(self, kind: Kind, fact: Any) -> list[Change]:
        match kind:
            case Kind.NODE:
                return self._mirror.put_node(fact)
            case Kind.POD:
                return self._mirror.put_pod(fact)
            case Kind.JOB:
                return self._mirror.put_job(fact)

    def _drop(self, kind: Kind, fact: Any) -> list[Change]:
        match kind:
            case Kind.NODE:
                return self._mirror.drop_node(fact.name)
            case Kind.POD:
                return self._mirror.drop_pod(fact.namespace, fact.name)
            case Kind.JOB:
                return self._mirror.drop_job(fact.namespace, fact.name)

    def _fact(self, resource: Resource, item: msgspec.Raw) -> Any:
        try:
            return resource.fact(decoded(item, resource.type, self._api.where))
        except Malformed:
            self.malformed += 1
            return None

    def _keep(self, changes: list[Change]) -> None:
        self._changes.extend(changes)
        while len(self._changes) > CHANGES_LIMIT:
            self._changes.popleft()
            self.dropped += 1

    def _confirm(self, kind: Kind) -> None:
        self._confirmed_ms[kind] = self._clock.now_ms()
        self._faults.pop(kind, None)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _checked(name: str) -> str:
    """A name that can stand in a path. Raises `Malformed` for one that Kubernetes would not have either."""
    try:
        return name_in({"name": name}, "name")
    except ValueError as error:
        raise Malformed(str(error)) from error
