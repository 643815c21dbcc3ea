"""The API's objects with their resource versions, and the events that watches are fed from."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

EVENTS_KEPT = 4_096
"""Per resource; a watch that starts before them is told 410 Gone."""

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object as the API names it."""

    group: str
    """Empty for the core group."""
    plural: str
    kind: str
    namespaced: bool
    short: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"


NODES = Resource("", "nodes", "Node", namespaced=False, short=("no",))
PODS = Resource("", "pods", "Pod", namespaced=True, short=("po",))
NAMESPACES = Resource("", "namespaces", "Namespace", namespaced=False, short=("ns",))
JOBS = Resource("batch", "jobs", "Job", namespaced=True)
BUDGETS = Resource("policy", "poddisruptionbudgets", "PodDisruptionBudget", namespaced=True, short=("pdb",))
PRIORITIES = Resource("scheduling.k8s.io", "priorityclasses", "PriorityClass", namespaced=False, short=("pc",))
RESOURCES = (NODES, PODS, NAMESPACES, JOBS, BUDGETS, PRIORITIES)


@dataclass(frozen=True, slots=True)
class Event:
    """One change, encoded once for all watches."""

    version: int
    resource: Resource
    kind: str
    """ADDED, MODIFIED or DELETED."""
    object: Object
    """A copy of the metadata, spec and status that selectors look at."""
    line: bytes


def key_of(item: Object) -> str:
    metadata = item["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


class Store:
    """Objects by resource and `namespace/name`."""

    def __init__(self) -> None:
        self.version = 1_000
        self._objects: dict[str, dict[str, Object]] = {resource.plural: {} for resource in RESOURCES}
        self._events: dict[str, deque[Event]] = {resource.plural: deque(maxlen=EVENTS_KEPT) for resource in RESOURCES}
        self._subscribers: set[Callable[[Event], None]] = set()

    def all(self, resource: Resource) -> list[Object]:
        return list(self._objects[resource.plural].values())

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self._objects[resource.plural].get(f"{namespace}/{name}")

    def put(self, resource: Resource, item: Object) -> None:
        """Keep a new or changed object under a new version, and tell the watches."""
        objects = self._objects[resource.plural]
        key = key_of(item)
        kind = "MODIFIED" if key in objects else "ADDED"
        objects[key] = item
        self._happened(resource, kind, item)

    def remove(self, resource: Resource, item: Object) -> None:
        if self._objects[resource.plural].pop(key_of(item), None) is not None:
            self._happened(resource, "DELETED", item)

    def _happened(self, resource: Resource, kind: str, item: Object) -> None:
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        encoded = msgspec.json.encode(item)
        line = b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded)
        event = Event(self.version, resource, kind, msgspec.json.decode(encoded), line)
        self._events[resource.plural].append(event)
        for subscriber in list(self._subscribers):
            subscriber(event)

    def since(self, resource: Resource, version: int) -> Iterator[Event] | None:
        """Events after a version; None where some of them are no longer kept."""
        events = self._events[resource.plural]
        if len(events) == EVENTS_KEPT and version < events[0].version - 1:
            return None
        return (event for event in list(events) if event.version > version)

    def forget_events(self) -> None:
        """Drop all kept events, as compaction does: watches that resume are told 410."""
        for plural, events in self._events.items():
            events.clear()
            filler = [Event(self.version, NODES, "FORGOTTEN", {}, b"")] * EVENTS_KEPT
            self._events[plural] = deque(filler, maxlen=EVENTS_KEPT)

    def subscribe(self, told: Callable[[Event], None]) -> None:
        self._subscribers.add(told)

    def unsubscribe(self, told: Callable[[Event], None]) -> None:
        self._subscribers.discard(told)


def look_up(item: Mapping[str, Any], path: str) -> str:
    """A field by its dotted path, as text; empty where it is absent."""
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)
