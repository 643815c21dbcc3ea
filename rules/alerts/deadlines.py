"""When pending alerts are due: a heap in which an entry counts only while it is its alert's newest."""

import heapq
import math


class Deadlines:
    """Times by key; a key that is set again is due at its newest time alone."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._due: dict[int, int] = {}

    def set(self, key: int, at_ms: int) -> None:
        """The key is due then."""
        self._due[key] = at_ms
        heapq.heappush(self._heap, (at_ms, key))

    @property
    def next_ms(self) -> float:
        """When the next entry's time comes."""
        return self._heap[0][0] if self._heap else math.inf

    def due(self, now_ms: int) -> bool:
        """Whether an entry's time has come."""
        return self.next_ms <= now_ms

    def take(self, now_ms: int, most: int | None = None) -> list[int]:
        """The keys that are due, each once, `most` at most; they are forgotten."""
        found: list[int] = []
        while self.due(now_ms) and (most is None or len(found) < most):
            at_ms, key = heapq.heappop(self._heap)
            if self._due.get(key) == at_ms:
                del self._due[key]
                found.append(key)
        return found
