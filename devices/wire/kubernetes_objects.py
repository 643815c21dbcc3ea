"""Kubernetes objects as they are on the wire, as far as Hallkeeper reads them; every other field is skipped. Pure."""

from typing import TypeVar

import msgspec

from fleet.errors import Malformed


class Owner(msgspec.Struct, frozen=True):
    """Who made an object."""

    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """What every object carries."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    owner_references: list[Owner] | None = None


class Taint(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A taint as the API has it; given back as it came when the list is written."""

    key: str
    effect: str = ""
    value: str = ""
    time_added: str | None = None


class Condition(msgspec.Struct, frozen=True, rename="camel"):
    """What a controller says of an object."""

    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class _NodeSpec(msgspec.Struct, frozen=True):
    unschedulable: bool | None = None
    taints: list[Taint] | None = None


class _NodeStatus(msgspec.Struct, frozen=True):
    conditions: list[Condition] | None = None


class NodeObject(msgspec.Struct, frozen=True):
    """A node as it is on the wire."""

    metadata: Meta
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()


class _Waiting(msgspec.Struct, frozen=True):
    reason: str | None = None


class _ContainerState(msgspec.Struct, frozen=True):
    waiting: _Waiting | None = None


class Container(msgspec.Struct, frozen=True, rename="camel"):
    """A container as it runs."""

    name: str
    restart_count: int = 0
    state: _ContainerState | None = None


class Resources(msgspec.Struct, frozen=True):
    """What a container asks for, by resource."""

    requests: dict[str, str | int | float] | None = None
    limits: dict[str, str | int | float] | None = None


class ContainerSpec(msgspec.Struct, frozen=True):
    """A container as it is asked for."""

    resources: Resources | None = None


class _PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str | None = None
    priority_class_name: str | None = None
    priority: int | None = None
    containers: list[ContainerSpec] | None = None


class _PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    container_statuses: list[Container] | None = None


class PodObject(msgspec.Struct, frozen=True):
    """A pod as it is on the wire."""

    metadata: Meta
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


class _Template(msgspec.Struct, frozen=True):
    spec: _PodSpec = _PodSpec()


class _JobSpec(msgspec.Struct, frozen=True):
    suspend: bool | None = None
    parallelism: int | None = None
    template: _Template = _Template()


class _JobStatus(msgspec.Struct, frozen=True):
    active: int | None = None


class JobObject(msgspec.Struct, frozen=True):
    """A batch job as it is on the wire."""

    metadata: Meta
    spec: _JobSpec = _JobSpec()
    status: _JobStatus = _JobStatus()


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(name="continue", default=None)


class Page(msgspec.Struct, frozen=True):
    """One page of a list; its items are decoded one by one, so that a broken one costs only itself."""

    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct, frozen=True):
    """How the API says what went wrong."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None


class Versioned(msgspec.Struct, frozen=True):
    """Any object, for its version alone; a bookmark has no more."""

    metadata: _ListMeta


T = TypeVar("T")


def decoded(body: bytes | msgspec.Raw, kind: type[T], where: str) -> T:
    """The JSON as its type. Raises `Malformed`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"{where}: {kind.__name__}: {error}, try the API server's version") from error
