"""The ledger's rows: how states, intents and events are written into its tables and read back."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from remediator.facts import Refusal
from remediator.records import Intent, Remediation
from remediator.transitions import TERMINAL


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One event on its way from the ledger to the bus."""

    sequence: int
    topic: str
    key: str
    value: bytes


TERMINAL_SQL = "(" + ",".join(f"'{phase}'" for phase in sorted(TERMINAL)) + ")"


def put_state(db: sqlite3.Connection, state: Remediation) -> None:
    """The last state of a remediation."""
    db.execute(
        "INSERT INTO remediations(id, incident, target, phase, sequence, created_at_ms, updated_at_ms, state)"
        " VALUES(?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET phase=excluded.phase, sequence=excluded.sequence,"
        " updated_at_ms=excluded.updated_at_ms, state=excluded.state",
        (
            state.remediation_id,
            state.incident_id,
            state.target,
            state.phase.value,
            state.sequence,
            state.created_at_ms,
            state.updated_at_ms,
            msgspec.json.encode(state),
        ),
    )


def put_events(db: sqlite3.Connection, events: Sequence[Outgoing]) -> None:
    """Events that wait for the bus, in order."""
    for event in events:
        db.execute("INSERT INTO outbox(topic, key, value) VALUES(?,?,?)", (event.topic, event.key, event.value))


def take_lease(db: sqlite3.Connection, state: Remediation) -> None:
    """One remediation a target; a lease of its own stays."""
    db.execute(
        "INSERT INTO leases(target, remediation, epoch, since_ms) VALUES(?,?,?,?)"
        " ON CONFLICT(target) DO UPDATE SET epoch=excluded.epoch WHERE leases.remediation=excluded.remediation",
        (state.target, state.remediation_id, state.epoch, state.updated_at_ms),
    )
    holder = db.execute("SELECT remediation FROM leases WHERE target=?", (state.target,)).fetchone()[0]
    if holder != state.remediation_id:
        raise sqlite3.IntegrityError(f"lease held by {holder}")


INSERT_INTENT = (
    "INSERT INTO intents(id, remediation, step, verb, device, target, lock, class, epoch, created_at_ms,"
    " effect_until_ms, body) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
)


CLOSE_INTENT = (
    "UPDATE intents SET outcome=?, text=?, closed_at_ms=?, wire_state=?, sent_at_ms=coalesce(?, sent_at_ms) WHERE id=?"
)


def closing_values(intent: Intent) -> tuple[object, ...]:
    """For `CLOSE_INTENT`."""
    return (
        intent.outcome,
        intent.text,
        intent.closed_at_ms,
        intent.wire_state,
        intent.sent_at_ms,
        intent.intent_id,
    )


def put_memory(db: sqlite3.Connection, name: str, value: Any) -> None:
    """A value of None is forgotten."""
    if value is None:
        db.execute("DELETE FROM memory WHERE name=?", (name,))
        return
    db.execute(
        "INSERT INTO memory(name, value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET value=excluded.value",
        (name, msgspec.json.encode(value)),
    )


def put_intent(db: sqlite3.Connection, intent: Intent) -> None:
    """An intent of another worker, with how it ended.

    One of ours on the same object that is still open is of an older epoch: either the topic says elsewhere how it ended, or
    it was never published and so never sent.
    """
    db.execute(
        "UPDATE intents SET outcome='Superseded', text='a newer leader commanded its object', closed_at_ms=?"
        " WHERE lock=? AND id<>? AND outcome IS NULL AND epoch<?",
        (intent.created_at_ms, intent.lock, intent.intent_id, intent.epoch),
    )
    db.execute(f"{INSERT_INTENT} ON CONFLICT(id) DO NOTHING", (*intent_values(intent), msgspec.json.encode(intent)))
    db.execute(CLOSE_INTENT, closing_values(intent))


def hold_again(db: sqlite3.Connection, state: Remediation, domains: Sequence[str]) -> None:
    """What it held on the other worker it holds here, whatever the budgets say now."""
    db.execute(
        "INSERT OR REPLACE INTO leases(target, remediation, epoch, since_ms) VALUES(?,?,?,?)",
        (state.target, state.remediation_id, state.epoch, state.updated_at_ms),
    )
    for domain in domains:
        db.execute(
            "INSERT INTO reservations(domain, remediation, allowed) VALUES(?,?,?)",
            (domain, state.remediation_id, 1 << 30),
        )


def intent_values(intent: Intent) -> tuple[object, ...]:
    """For `INSERT_INTENT`, without the body."""
    return (
        intent.intent_id,
        intent.remediation_id,
        intent.step,
        intent.verb.value,
        intent.device,
        intent.target,
        intent.lock,
        intent.class_,
        intent.epoch,
        intent.created_at_ms,
        intent.effect_until_ms,
    )


def refusal_of(error: sqlite3.IntegrityError, state: Remediation) -> Refusal:
    """Which constraint said no, for people."""
    text = str(error)
    if "budget" in text:
        return Refusal("blast_radius", f"a failure domain of {state.target} filled up meanwhile")
    if "lease" in text:
        return Refusal("lease", f"{state.target} is held by another remediation ({text})")
    if "intents.id" in text:
        return Refusal("repeated", "the intent was written before: it is never sent again")
    return Refusal("device_busy", "an act on the same object has no outcome yet")


def intent_of(row: tuple[Any, ...]) -> Intent:
    """An intent with what happened to it since it was written."""
    body, sent_at_ms, wire_state, *rest = row
    outcome, text, closed_at_ms = rest or (None, "", None)
    return msgspec.structs.replace(
        msgspec.json.decode(body, type=Intent),
        sent_at_ms=sent_at_ms,
        wire_state=wire_state,
        outcome=outcome,
        text=text or "",
        closed_at_ms=closed_at_ms,
    )
