"""Watches a run from outside: what stood in the ledger and in the plant at the very moment at which a request reached a device."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hallkeeper.world.hall import Hall
from hallkeeper.world.truth import Arrival
from remediator.records import Intent
from simulator.layout import GPUS
from simulator.machines import NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One arrival and what was true when it came."""

    arrival: Arrival
    at: float
    """Virtual seconds."""
    intent: Intent | None
    """As it stood durably in the ledger; None where it did not."""
    noted: bool
    """Whether the actuator's own journal held it."""
    node: str
    """The machine that it was about; empty for none."""
    state: NodeState | None
    whole: bool
    """The machine ran and had all its GPUs."""
    out: frozenset[str]
    """Nodes that we have cordoned or cut and not given back, this one included."""


@dataclass(slots=True)
class Witness:
    """Collects what a checker needs and nobody writes down."""

    hall: Hall
    seen: list[Seen] = field(default_factory=list)
    _out: set[str] = field(default_factory=set)
    ready_seconds: list[tuple[float, float]] = field(default_factory=list)
    """When a remediator was started, and after how long it was ready."""

    def __post_init__(self) -> None:
        self.hall.truth.told.append(self.hear)

    def hear(self, arrival: Arrival) -> None:
        """A request reached a device."""
        data = self.hall.settings.data
        intent = ledger_intent(data / "ledger.sqlite", arrival.intent) or ledger_intent(
            data / "protective.sqlite", arrival.intent
        )
        node = str(intent.target) if intent is not None else str(arrival.arguments.get("node", arrival.device))
        index = self.hall.plant.layout.node_index.get(node)
        machines = self.hall.plant.machines
        state = None if index is None else NodeState(int(machines.state[index]))
        gpus = GPUS if index is None else int(machines.present[index].sum())
        if index is not None and arrival.executed:
            _count(self._out, node, arrival.verb)
        self.seen.append(
            Seen(
                arrival=arrival,
                at=self.hall.loop.time(),
                intent=intent,
                noted=_noted(data / "actuator-corrective.sqlite", arrival.intent)
                or _noted(data / "actuator-protective.sqlite", arrival.intent),
                node=node if index is not None else "",
                state=state,
                whole=state is NodeState.RUNNING and gpus == GPUS,
                out=frozenset(self._out),
            )
        )


def _count(out: set[str], node: str, verb: str) -> None:
    if verb in {"cordon", "power_off", "taint_out_of_service"}:
        out.add(node)
    elif verb == "uncordon":
        out.discard(node)


def ledger_intent(path: Path, intent: str) -> Intent | None:
    """An intent as another process reads it from the ledger's file."""
    row = _row(path, "SELECT body FROM intents WHERE id=?", intent)
    return None if row is None else msgspec.json.decode(row[0], type=Intent)


def _noted(path: Path, intent: str) -> bool:
    row = _row(path, "SELECT note FROM intents WHERE intent=?", intent)
    return row is not None and row[0] is not None


def _row(path: Path, sql: str, intent: str) -> tuple[bytes] | None:
    try:
        connection = sqlite3.connect(path)
        try:
            found: tuple[bytes] | None = connection.execute(sql, (intent,)).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return found
