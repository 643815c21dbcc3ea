"""What is asked of workloads rather than of nodes and pods: replicas, admission, a checkpoint. One absolute request each."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from devices.wire.http_order import Seen
from devices.wire.kubernetes_look import read
from devices.wire.kubernetes_objects import decoded
from devices.wire.names import job_of, name_in
from devices.wire.once import Call, Peer
from fleet.errors import Refused

MERGE = "application/merge-patch+json"
PREFIX = "hallkeeper.io"
LEAST, MOST = f"{PREFIX}/least-replicas", f"{PREFIX}/most-replicas"
"""Annotations by which an owner lets a workload be scaled, and within which bounds; without both it is never touched."""
REQUEST, DEADLINE = f"{PREFIX}/checkpoint-request", f"{PREFIX}/checkpoint-deadline-seconds"
DONE, FAILED = f"{PREFIX}/checkpoint-done", f"{PREFIX}/checkpoint-failed"
"""A job reads the first two and answers with one of the last two, naming the request."""
KINDS = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
HIGHEST_REPLICAS = 10_000


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _ScaledSpec(msgspec.Struct, frozen=True):
    replicas: int = 1
    """The API server's own default."""


class _Scaled(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _ScaledSpec = _ScaledSpec()


class _QueueSpec(msgspec.Struct, frozen=True, rename="camel"):
    stop_policy: str = "None"


class _Queue(msgspec.Struct, frozen=True):
    metadata: _Meta
    spec: _QueueSpec = _QueueSpec()


class _Annotated(msgspec.Struct, frozen=True):
    metadata: _Meta


@dataclass(slots=True)
class Scale:
    """How many replicas a workload has, within its owner's bounds, for the version that was looked at only."""

    peer: Peer
    arguments: Mapping[str, object]
    _version: str = ""

    def __post_init__(self) -> None:
        _ = self.path, self.replicas

    @property
    def path(self) -> str:
        kind = KINDS.get(str(self.arguments.get("kind")))
        if kind is None:
            raise ValueError(f"kind is {self.arguments.get('kind')!r}, try one of {', '.join(KINDS)}")
        namespace, name = name_in(self.arguments, "namespace"), name_in(self.arguments, "name")
        return f"/apis/apps/v1/namespaces/{quote(namespace)}/{kind}/{quote(name)}"

    @property
    def replicas(self) -> int:
        wanted = self.arguments.get("replicas")
        if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 <= wanted <= HIGHEST_REPLICAS:
            raise ValueError(f"replicas is {wanted!r}, try a whole number from 0 to {HIGHEST_REPLICAS}")
        return wanted

    async def look(self) -> Seen:
        """Its replicas as they are wanted now."""
        body = await read(self.peer, self.path)
        if body is None:
            raise Refused(f"{self.peer.where}: there is no {self.path.rpartition('/')[2]}, try its name and namespace")
        found = decoded(body, _Scaled, self.peer.where)
        low, high = self._bounds(found.metadata.annotations or {})
        if not low <= self.replicas <= high:
            raise Refused(f"{self.replicas} replicas are outside what its owner allows, {low} to {high}")
        self._version = found.metadata.resource_version
        return Seen(f"{found.spec.replicas} replicas", found.spec.replicas == self.replicas)

    def _bounds(self, annotations: Mapping[str, str]) -> tuple[int, int]:
        try:
            return int(annotations[LEAST]), int(annotations[MOST])
        except (KeyError, ValueError):
            raise Refused(f"its owner lets nobody scale it, try the annotations {LEAST} and {MOST}") from None

    def call(self) -> Call:
        body = {"metadata": {"resourceVersion": self._version}, "spec": {"replicas": self.replicas}}
        return Call(method="PATCH", path=f"{self.path}/scale", body=msgspec.json.encode(body), content_type=MERGE)


@dataclass(slots=True)
class Admission:
    """Whether a Kueue cluster queue admits workloads; what runs is not touched."""

    peer: Peer
    queue: str
    stopped: bool

    @property
    def path(self) -> str:
        return f"/apis/kueue.x-k8s.io/v1beta1/clusterqueues/{quote(self.queue)}"

    async def look(self) -> Seen:
        """`held` or `admits`. A queue that somebody drains (HoldAndDrain) is held, and stays theirs."""
        body = await read(self.peer, self.path)
        if body is None:
            raise Refused(
                f"{self.peer.where}: there is no cluster queue {self.queue}, try its name, or installing Kueue"
            )
        policy = decoded(body, _Queue, self.peer.where).spec.stop_policy
        if policy == "HoldAndDrain" and not self.stopped:
            raise Refused(f"{self.queue} is being drained by somebody else: theirs to open")
        held = policy != "None"
        return Seen("held" if held else "admits", held is self.stopped)

    def call(self) -> Call:
        body = msgspec.json.encode({"spec": {"stopPolicy": "Hold" if self.stopped else "None"}})
        return Call(method="PATCH", path=self.path, body=body, content_type=MERGE)


@dataclass(slots=True)
class CheckpointNote:
    """A request for a checkpoint as an annotation of the job, answered by the job in another."""

    peer: Peer
    intent: str
    arguments: Mapping[str, object]

    def __post_init__(self) -> None:
        _ = self.path, self.call()

    @property
    def path(self) -> str:
        namespace, name = job_of(self.arguments)
        return f"/apis/batch/v1/namespaces/{quote(namespace)}/jobs/{quote(name)}"

    async def look(self) -> Seen:
        """`none`, `requested`, `done` or `failed`, of this request alone."""
        body = await read(self.peer, self.path)
        if body is None:
            raise Refused(f"{self.peer.where}: there is no job {self.path.rpartition('/')[2]}, it may have ended")
        notes = decoded(body, _Annotated, self.peer.where).metadata.annotations or {}
        for key, word in ((DONE, "done"), (FAILED, "failed"), (REQUEST, "requested")):
            if notes.get(key) == self.intent:
                return Seen(word, goal=word == "done", final=word == "failed")
        return Seen("none", goal=False)

    def call(self) -> Call:
        seconds = self.arguments.get("deadline_seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 1 <= seconds <= 3600:
            raise ValueError(f"deadline_seconds is {seconds!r}, try a number from 1 to 3600")
        body = {"metadata": {"annotations": {REQUEST: self.intent, DEADLINE: f"{seconds:g}"}}}
        return Call(method="PATCH", path=self.path, body=msgspec.json.encode(body), content_type=MERGE)
