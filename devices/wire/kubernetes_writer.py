"""Carries out the Kubernetes verbs: one request an order, absolute, guarded by uid or resource version, looked at after."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from devices.orders import Order, Remember, Report, State, Verdict, forget
from devices.wire.http_order import Errand, Seen, Subject, Timing, fields
from devices.wire.kubernetes_facts import OUT_OF_SERVICE, Node, node_of
from devices.wire.kubernetes_objects import JobObject, NodeObject, PodObject, Taint, decoded
from devices.wire.names import job_of, name_in, uid_in
from devices.wire.once import Call, Peer, said
from devices.wire.tls import bearer, client_context
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Refused, Unreachable

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
TAINT = Taint(key=OUT_OF_SERVICE, value="nodeshutdown", effect="NoExecute")
"""By which the node is declared dead: its pods are deleted by force and its volumes detached (Kubernetes, "Node
shutdowns", non-graceful)."""
GONE = "gone"


class KubernetesWriter:
    """One cluster's writer: `cordon`, `evict`, `taint_out_of_service` and the others of the closed list, nothing else."""

    def __init__(self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None) -> None:
        self._clock = clock
        self._remember = remember
        self._timing = timing or Timing()

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again."""
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.run()

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Read what an earlier process's request did; there is nothing to fence."""
        del note
        errand = self._errand(order, report)
        return errand if isinstance(errand, Verdict) else await errand.settle()

    def _errand(self, order: Order, report: Report) -> Errand | Verdict:
        where = order.endpoint.source
        try:
            peer = Peer.at(order.endpoint.address, client_context(order.secret, where), bearer(order.secret, where))
            subject = _subject(order, peer)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {error}")
        return Errand(order, peer, subject, report, clock=self._clock, remember=self._remember, timing=self._timing)


def _subject(order: Order, peer: Peer) -> Subject:
    """The object of the verb. Raises `Refused` for another verb and `ValueError` for names that are none."""
    arguments = order.arguments
    match order.verb:
        case "cordon" | "uncordon":
            return _Cordon(peer, name_in(arguments, "node"), wanted=order.verb == "cordon")
        case "taint_out_of_service" | "untaint_out_of_service":
            return _OutOfService(peer, name_in(arguments, "node"), wanted=order.verb == "taint_out_of_service")
        case "evict":
            return _Eviction(peer, name_in(arguments, "namespace"), name_in(arguments, "pod"), uid_in(arguments))
        case "delete_pod":
            return _Deletion(peer, name_in(arguments, "namespace"), name_in(arguments, "pod"), uid_in(arguments))
        case "suspend_job" | "resume_job":
            return _Suspension(peer, *job_of(arguments), wanted=order.verb == "suspend_job")
        case _:
            raise Refused(f"{order.verb!r} is no verb of Kubernetes, try one of devices.orders.VERBS")


async def _read(peer: Peer, path: str) -> bytes | None:
    """The object's JSON, or None where there is none. Raises `Unreachable` or `Refused`."""
    answer = await peer.get(path)
    if answer.status == 404:
        return None
    if answer.status == 200:
        return answer.body
    what = f"{peer.where}{path}: {said(answer, fields(answer.body))}"
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(f"{what}, try again later")
    raise Refused(f"{what}, try the token of the secret and its role in the cluster")


async def _node(peer: Peer, name: str) -> Node:
    body = await _read(peer, f"/api/v1/nodes/{quote(name)}")
    if body is None:
        raise Refused(f"{peer.where}: there is no node {name}, try its name in the cluster")
    return node_of(decoded(body, NodeObject, peer.where))


@dataclass(slots=True)
class _Cordon:
    """Whether new pods may be put on a node."""

    peer: Peer
    name: str
    wanted: bool = field(kw_only=True)

    async def look(self) -> Seen:
        """`unschedulable` or `schedulable`."""
        node = await _node(self.peer, self.name)
        return Seen("unschedulable" if node.unschedulable else "schedulable", node.unschedulable == self.wanted)

    def call(self) -> Call:
        body = msgspec.json.encode({"spec": {"unschedulable": self.wanted}})
        return Call(method="PATCH", path=f"/api/v1/nodes/{quote(self.name)}", body=body, content_type=STRATEGIC)


@dataclass(slots=True)
class _OutOfService:
    """Whether a node is declared dead. The whole list of taints is written, for the version that was looked at only."""

    peer: Peer
    name: str
    wanted: bool = field(kw_only=True)
    _seen: Node | None = None

    async def look(self) -> Seen:
        """`out of service` or `in service`."""
        node = self._seen = await _node(self.peer, self.name)
        tainted = any((taint.key, taint.effect) == (TAINT.key, TAINT.effect) for taint in node.taints)
        met = tainted if self.wanted else not node.out_of_service
        return Seen("out of service" if node.out_of_service else "in service", met)

    def call(self) -> Call:
        assert self._seen is not None
        others = [taint for taint in self._seen.taints if taint.key != OUT_OF_SERVICE]
        taints = [*others, TAINT] if self.wanted else others
        body = {"metadata": {"resourceVersion": self._seen.version}, "spec": {"taints": taints}}
        path = f"/api/v1/nodes/{quote(self.name)}"
        return Call(method="PATCH", path=path, body=msgspec.json.encode(body), content_type=MERGE)


@dataclass(slots=True)
class _Pod:
    """One pod, by uid: its successor of the same name is another pod."""

    peer: Peer
    namespace: str
    name: str
    uid: str

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{quote(self.namespace)}/pods/{quote(self.name)}"

    async def word(self) -> str:
        """`gone`, `terminating`, or its phase in lower case."""
        body = await _read(self.peer, self.path)
        if body is None:
            return GONE
        pod = decoded(body, PodObject, self.peer.where)
        if pod.metadata.uid != self.uid:
            return GONE
        return "terminating" if pod.metadata.deletion_timestamp else pod.status.phase.lower() or "unknown"


class _Eviction(_Pod):
    """Asking a pod to go, budgets kept."""

    async def look(self) -> Seen:
        word = await self.word()
        return Seen(word, word in {GONE, "terminating"})

    def call(self) -> Call:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "deleteOptions": {"preconditions": {"uid": self.uid}},
        }
        return Call(method="POST", path=f"{self.path}/eviction", body=msgspec.json.encode(body))


class _Deletion(_Pod):
    """Striking a pod off by force: only for a node that is proven dead."""

    async def look(self) -> Seen:
        word = await self.word()
        return Seen(word, word == GONE)

    def call(self) -> Call:
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": self.uid},
        }
        return Call(method="DELETE", path=self.path, body=msgspec.json.encode(body))


@dataclass(slots=True)
class _Suspension:
    """Whether a job's pods are taken away and none are made."""

    peer: Peer
    namespace: str
    name: str
    wanted: bool = field(kw_only=True)

    @property
    def path(self) -> str:
        return f"/apis/batch/v1/namespaces/{quote(self.namespace)}/jobs/{quote(self.name)}"

    async def look(self) -> Seen:
        """`suspended` or `running`."""
        body = await _read(self.peer, self.path)
        if body is None:
            raise Refused(f"{self.peer.where}: there is no job {self.namespace}/{self.name}, it may have ended")
        suspended = bool(decoded(body, JobObject, self.peer.where).spec.suspend)
        return Seen("suspended" if suspended else "running", suspended == self.wanted)

    def call(self) -> Call:
        body: Mapping[str, object] = {"spec": {"suspend": self.wanted}}
        return Call(method="PATCH", path=self.path, body=msgspec.json.encode(body), content_type=MERGE)
