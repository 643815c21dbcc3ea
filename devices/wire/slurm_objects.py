"""What slurmrestd says of nodes, jobs, partitions and reservations, in the shapes of every served version. Pure.

Sources: the OpenAPI description of v0.0.38 (Slurm 22.05, seen served) and the later versions' change notes: states became
lists, numbers became `{set, infinite, number}`. Fields that are not known are skipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.errors import Malformed

ANSWER_ITEMS_LIMIT = 200_000
"""Nodes or jobs of one answer; the largest sites have tens of thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmNode:
    """One node as the controller sees it."""

    name: str
    states: frozenset[str]
    """Lower case: one base state (idle, mixed, allocated, down …) and its flags (drain, not_responding …)."""
    reason: str = ""

    @property
    def drained(self) -> bool:
        """No new work is put on it."""
        return bool(self.states & {"drain", "drained", "draining"})

    @property
    def word(self) -> str:
        return "drained" if self.drained else "in service"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmJob:
    """One job as the controller sees it."""

    job_id: int
    states: frozenset[str]
    restarts: int
    held: bool
    nodes: str = ""
    name: str = ""

    @property
    def word(self) -> str:
        """`held`, or its base state in lower case."""
        if self.held and "pending" in self.states:
            return "held"
        return "+".join(sorted(self.states)) or "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmPartition:
    """One partition."""

    name: str
    states: frozenset[str]

    @property
    def word(self) -> str:
        return "+".join(sorted(self.states)) or "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlurmReservation:
    """One reservation."""

    name: str
    nodes: str
    end_s: int


def decoded(body: bytes, where: str) -> Mapping[str, Any]:
    """The answer's fields. Raises `Malformed` for anything that is no JSON object."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"{where}: {error}, try slurmrestd's log") from error


def items(answer: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    """The list of that name. Raises `Malformed` where there is none."""
    found = answer.get(key)
    if not isinstance(found, list) or len(found) > ANSWER_ITEMS_LIMIT:
        raise Malformed(f"{where}: {key} is no list, try slurmrestd's version")
    return [item for item in found if isinstance(item, dict)]


def node_of(item: Mapping[str, Any]) -> SlurmNode:
    return SlurmNode(
        name=_text(item, "name"), states=_states(item, "state", "state_flags"), reason=_text(item, "reason")
    )


def job_of(item: Mapping[str, Any]) -> SlurmJob:
    priority = _number(item, "priority")
    return SlurmJob(
        job_id=_number(item, "job_id") or 0,
        states=_states(item, "job_state"),
        restarts=_number(item, "restart_cnt") or 0,
        held=priority == 0 or _text(item, "state_reason") in {"JobHeldAdmin", "JobHeldUser"},
        nodes=_text(item, "nodes"),
        name=_text(item, "name"),
    )


def partition_of(item: Mapping[str, Any]) -> SlurmPartition:
    inner = item.get("partition")
    return SlurmPartition(name=_text(item, "name"), states=_states(inner if isinstance(inner, dict) else item, "state"))


def reservation_of(item: Mapping[str, Any]) -> SlurmReservation:
    return SlurmReservation(
        name=_text(item, "name"), nodes=_text(item, "node_list"), end_s=_number(item, "end_time") or 0
    )


def _text(item: Mapping[str, Any], key: str) -> str:
    value = item.get(key)
    return value if isinstance(value, str) else ""


def _states(item: Mapping[str, Any], *keys: str) -> frozenset[str]:
    found: set[str] = set()
    for key in keys:
        value = item.get(key)
        words = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        found |= {word.lower() for word in words if isinstance(word, str) and word}
    return frozenset(found)


def _number(item: Mapping[str, Any], key: str) -> int | None:
    value = item.get(key)
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
