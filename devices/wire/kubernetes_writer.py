"""Carries out the Kubernetes verbs: one request an order, absolute, guarded by uid or resource version, looked at after."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import quote

import msgspec

from devices.orders import Order
from devices.wire.http_order import Seen, Subject
from devices.wire.kubernetes_facts import OUT_OF_SERVICE, Node
from devices.wire.kubernetes_look import node, read
from devices.wire.kubernetes_objects import JobObject, PodObject, Taint, decoded
from devices.wire.kubernetes_workloads import MERGE, Admission, CheckpointNote, Scale
from devices.wire.names import job_of, name_in, uid_in
from devices.wire.once import Call, Courier, Peer
from devices.wire.order_writer import OrderWriter
from devices.wire.tls import bearer, client_context
from fleet.errors import Refused

STRATEGIC = "application/strategic-merge-patch+json"
TAINT = Taint(key=OUT_OF_SERVICE, value="nodeshutdown", effect="NoExecute")
"""By which the node is declared dead: its pods are deleted by force and its volumes detached (Kubernetes, "Node
shutdowns", non-graceful)."""
GONE = "gone"


class KubernetesWriter(OrderWriter):
    """One cluster's writer: `cordon`, `evict`, `taint_out_of_service` and the others of the closed list, nothing else."""

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        where = order.endpoint.source
        peer = Peer.at(order.endpoint.address, client_context(order.secret, where), bearer(order.secret, where))
        return peer, _subject(order, peer)


def _subject(order: Order, peer: Peer) -> Subject:
    """The object of the verb. Raises `Refused` for another verb and `ValueError` for names that are none."""
    make = _SUBJECTS.get(order.verb)
    if make is None:
        raise Refused(f"{order.verb!r} is no verb of Kubernetes, try one of devices.orders.VERBS")
    return make(order, peer)


@dataclass(slots=True)
class _Cordon:
    """Whether new pods may be put on a node."""

    peer: Peer
    name: str
    wanted: bool = field(kw_only=True)

    async def look(self) -> Seen:
        """`unschedulable` or `schedulable`."""
        found = await node(self.peer, self.name)
        word = "unschedulable" if found.unschedulable else "schedulable"
        return Seen(word, found.unschedulable == self.wanted)

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
        found = self._seen = await node(self.peer, self.name)
        tainted = any((taint.key, taint.effect) == (TAINT.key, TAINT.effect) for taint in found.taints)
        met = tainted if self.wanted else not found.out_of_service
        return Seen("out of service" if found.out_of_service else "in service", met)

    def call(self) -> Call:
        assert self._seen is not None
        others = [taint for taint in self._seen.taints if taint.key != OUT_OF_SERVICE]
        taints = [*others, TAINT] if self.wanted else others
        body = {"metadata": {"resourceVersion": self._seen.version}, "spec": {"taints": taints}}
        path = f"/api/v1/nodes/{quote(self.name)}"
        return Call(method="PATCH", path=path, body=msgspec.json.encode(body), content_type=MERGE)


_OWN_KEY = re.compile(r"hallkeeper\.io/[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule")
"""NoExecute would evict pods past their budgets."""


def _own_taint(arguments: Mapping[str, object]) -> Taint:
    """A taint of ours. Raises `ValueError`: other keys are others'."""
    key, effect = arguments.get("key"), arguments.get("effect", _EFFECTS[0])
    if not isinstance(key, str) or not _OWN_KEY.fullmatch(key):
        raise ValueError(f"key is {key!r}, try one such as hallkeeper.io/suspect")
    if effect not in _EFFECTS:
        raise ValueError(f"effect is {effect!r}, try one of {', '.join(_EFFECTS)}")
    return Taint(key=key, effect=str(effect))


@dataclass(slots=True)
class _OwnTaint:
    """Whether a node carries a taint of ours. The list is written whole, for the version that was looked at only."""

    peer: Peer
    name: str
    taint: Taint
    wanted: bool = field(kw_only=True)
    _seen: Node | None = None

    async def look(self) -> Seen:
        """`tainted` or `untainted`."""
        found = self._seen = await node(self.peer, self.name)
        mine = [taint for taint in found.taints if taint.key == self.taint.key]
        met = any(taint.effect == self.taint.effect for taint in mine) if self.wanted else not mine
        return Seen("tainted" if mine else "untainted", met)

    def call(self) -> Call:
        assert self._seen is not None
        others = [taint for taint in self._seen.taints if taint.key != self.taint.key]
        taints = [*others, self.taint] if self.wanted else others
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
        body = await read(self.peer, self.path)
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


class _Override(_Pod):
    """Ending a pod with its grace period although its budget would refuse; people have agreed to it by name."""

    async def look(self) -> Seen:
        word = await self.word()
        return Seen(word, word in {GONE, "terminating"})

    def call(self) -> Call:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": self.uid}}
        return Call(method="DELETE", path=self.path, body=msgspec.json.encode(body))


def _answerable(arguments: Mapping[str, object]) -> None:
    """Who wants it and why must be written down with the intent. Raises `ValueError`."""
    for key in ("reason", "person"):
        value = arguments.get(key)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{key} is {value!r}: a budget is overridden only by somebody, for a reason")


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
        body = await read(self.peer, self.path)
        if body is None:
            raise Refused(f"{self.peer.where}: there is no job {self.namespace}/{self.name}, it may have ended")
        suspended = bool(decoded(body, JobObject, self.peer.where).spec.suspend)
        return Seen("suspended" if suspended else "running", suspended == self.wanted)

    def call(self) -> Call:
        body: Mapping[str, object] = {"spec": {"suspend": self.wanted}}
        return Call(method="PATCH", path=self.path, body=msgspec.json.encode(body), content_type=MERGE)


def _node_name(order: Order) -> str:
    return name_in(order.arguments, "node")


def _pod_of(kind: type[_Pod]) -> Callable[[Order, Peer], Subject]:
    def make(order: Order, peer: Peer) -> Subject:
        arguments = order.arguments
        if kind is _Override:
            _answerable(arguments)
        pod = kind(peer, name_in(arguments, "namespace"), name_in(arguments, "pod"), uid_in(arguments))
        return cast("Subject", pod)

    return make


_SUBJECTS: Mapping[str, Callable[[Order, Peer], Subject]] = {
    "cordon": lambda order, peer: _Cordon(peer, _node_name(order), wanted=True),
    "uncordon": lambda order, peer: _Cordon(peer, _node_name(order), wanted=False),
    "taint": lambda order, peer: _OwnTaint(peer, _node_name(order), _own_taint(order.arguments), wanted=True),
    "untaint": lambda order, peer: _OwnTaint(peer, _node_name(order), _own_taint(order.arguments), wanted=False),
    "taint_out_of_service": lambda order, peer: _OutOfService(peer, _node_name(order), wanted=True),
    "untaint_out_of_service": lambda order, peer: _OutOfService(peer, _node_name(order), wanted=False),
    "evict": _pod_of(_Eviction),
    "evict_override": _pod_of(_Override),
    "delete_pod": _pod_of(_Deletion),
    "suspend_job": lambda order, peer: _Suspension(peer, *job_of(order.arguments), wanted=True),
    "resume_job": lambda order, peer: _Suspension(peer, *job_of(order.arguments), wanted=False),
    "scale": lambda order, peer: Scale(peer, order.arguments),
    "stop_admissions": lambda order, peer: Admission(peer, name_in(order.arguments, "queue"), stopped=True),
    "allow_admissions": lambda order, peer: Admission(peer, name_in(order.arguments, "queue"), stopped=False),
    "checkpoint_annotate": lambda order, peer: CheckpointNote(peer, order.intent, order.arguments),
}
