"""Watches: a stream of JSON lines from a resource version on, with bookmarks, and 410 where the past is gone."""

import asyncio
from collections.abc import Callable

import msgspec

from simulator.http import Stream
from simulator.kube.selectors import Matches
from simulator.kube.status import failure
from simulator.kube.store import Event, Resource, Store

BOOKMARK_SECONDS = 30.0
LONGEST_SECONDS = 3_600.0
USUAL_SECONDS = 1_800.0


class Watch:
    """One client's watch over one resource."""

    def __init__(self, store: Store, resource: Resource, *, terms: list[Matches], version: str, seconds: float,
                 bookmarks: bool, answers: Callable[[], bool]) -> None:  # fmt: skip
        self._store = store
        self._resource = resource
        self._terms = terms
        self._version = version
        self._seconds = min(seconds, LONGEST_SECONDS)
        self._bookmarks = bookmarks
        self._answers = answers
        self._over = asyncio.Event()

    def _wants(self, event: Event) -> bool:
        if event.resource is not self._resource:
            return False
        return all(term(event.object) for term in self._terms)

    async def run(self, stream: Stream) -> None:
        """Send the past from the version on, then what happens, until time is up or the client has gone."""
        if not self._send_past(stream):
            return
        deadline = asyncio.get_running_loop().time() + self._seconds

        def told(event: Event) -> None:
            if stream.closed or not self._answers():
                self._over.set()  # what it missed it must list again
            elif self._wants(event):
                stream.send(event.line)

        self._store.subscribe(told)
        try:
            while (left := deadline - asyncio.get_running_loop().time()) > 0 and not self._over.is_set():
                try:
                    async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                        await self._over.wait()
                except TimeoutError:
                    self._send_bookmark(stream)
        finally:
            self._store.unsubscribe(told)

    def _send_past(self, stream: Stream) -> bool:
        if self._version in ("", "0"):
            for item in self._store.all(self._resource):
                event = Event(
                    0, self._resource, "ADDED", item, b'{"type":"ADDED","object":%s}\n' % msgspec.json.encode(item)
                )
                if self._wants(event):
                    stream.send(event.line)
            return True
        past = self._store.since(self._resource, int(self._version))
        if past is None or int(self._version) > self._store.version:
            status = failure(410, f"too old resource version: {self._version} ({self._store.version})")
            stream.send(msgspec.json.encode({"type": "ERROR", "object": status}) + b"\n")
            return False
        for event in past:
            if self._wants(event):
                stream.send(event.line)
        return True

    def _send_bookmark(self, stream: Stream) -> None:
        if self._bookmarks:
            version = {"resourceVersion": str(self._store.version), "creationTimestamp": None}
            mark = {"kind": self._resource.kind, "apiVersion": self._resource.api_version, "metadata": version}
            stream.send(msgspec.json.encode({"type": "BOOKMARK", "object": mark}) + b"\n")
