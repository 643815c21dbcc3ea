"""The ground truth: every state-changing request that any server saw, whether it was carried out or not."""

import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

KEPT_IN_MEMORY = 100_000
"""Entries that the control API can still hand out; the file keeps all."""


class Entry(NamedTuple):
    """One line of the log."""

    number: int
    line: bytes


class GroundTruth:
    """Appends one JSON object a line, on disk before the server answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kept: deque[Entry] = deque(maxlen=KEPT_IN_MEMORY)
        self.count = path.read_bytes().count(b"\n")
        """Entries so far; an earlier run's file is carried on."""

    def record(
        self,
        *,
        device: str,
        server: str,
        verb: str,
        arguments: Mapping[str, object],
        request_id: str,
        accepted: bool,
        executed: bool,
        note: str = "",
    ) -> None:
        """Write down a request. `accepted`: the device said yes; `executed`: it changes the plant or the API's objects."""
        self.count += 1
        entry: dict[str, object] = {
            "number": self.count,
            "at_ms": time.time_ns() // 1_000_000,
            "device": device,
            "server": server,
            "verb": verb,
            "arguments": dict(arguments),
            "request_id": request_id,
            "accepted": accepted,
            "executed": executed,
        }
        if note:
            entry["note"] = note
        line = msgspec.json.encode(entry) + b"\n"
        os.write(self._file, line)
        self._kept.append(Entry(self.count, line))

    def lines(self, after: int = 0) -> list[bytes]:
        """The entries with a number above `after`, oldest first, each ending in a newline."""
        return [entry.line for entry in self._kept if entry.number > after]

    def close(self) -> None:
        os.close(self._file)
