"""What remediations did and have not taken back: a person must know it when automation stands still."""

import sqlite3
from pathlib import Path

import msgspec

from remediator.records import Remediation
from remediator.transitions import TERMINAL
from remediator.verbs import Verb

_LEFT_BEHIND = {
    Verb.CORDON.value: ("cordoned", Verb.UNCORDON.value),
    Verb.TAINT.value: ("tainted", Verb.UNTAINT.value),
    Verb.SLURM_DRAIN.value: ("drained in Slurm", Verb.SLURM_RESUME.value),
    Verb.SLURM_RESERVE.value: ("reserved in Slurm", Verb.SLURM_UNRESERVE.value),
    Verb.RACK_POWER_OFF.value: ("switched off", Verb.RACK_POWER_ON.value),
    Verb.SOFT_OFF.value: ("shut down", Verb.POWER_ON.value),
    Verb.OUTLET_OFF.value: ("without power", Verb.OUTLET_ON.value),
    Verb.POWER_OFF.value: ("switched off", Verb.POWER_ON.value),
    Verb.TAINT_OUT_OF_SERVICE.value: ("out of service", Verb.UNTAINT_OUT_OF_SERVICE.value),
}
_MAY_HAVE_BEEN = frozenset({"Succeeded", "Unproven", "Ambiguous"})
BUSY_SECONDS = 2.0


def leftovers(state: Remediation) -> str:
    """What it did to its node and did not take back, as the end of a sentence; empty where there is nothing."""
    done = {entry.verb for entry in state.done if entry.outcome in _MAY_HAVE_BEEN}
    left = [word for verb, (word, undo) in _LEFT_BEHIND.items() if verb in done and undo not in done]
    return f"; {state.target} is left {' and '.join(left)}" if left else ""


def half_done(ledger: Path) -> tuple[str, ...]:
    """A line for each remediation under way that left something behind or commands now; read beside who writes the ledger."""
    if not ledger.exists():
        return ()
    try:
        connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        try:
            rows = connection.execute("SELECT state FROM remediations ORDER BY created_at_ms, id").fetchall()
        finally:
            connection.close()
        states = [msgspec.json.decode(row[0], type=Remediation) for row in rows]
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        return (f"{ledger}: cannot be read ({error}), look at the nodes themselves",)
    return tuple(line for state in states if state.phase not in TERMINAL and (line := _line(state)))


def _line(state: Remediation) -> str:
    left = leftovers(state).removeprefix("; ")
    under_way = [f"{i.verb.value} on {i.device} is under way" for i in state.intents if i.outcome is None]
    said = "; ".join([*under_way, *([left] if left else [])])
    return f"{said} ({state.playbook}, remediation {state.remediation_id})" if said else ""
