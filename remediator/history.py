"""What was done before, in counts: pure over the ledger's intents, so that cool-downs and budgets survive a restart."""

from collections.abc import Collection, Sequence

from fleet.model import AssetId
from remediator.facts import History, Traffic
from remediator.records import Intent, Remediation
from remediator.verbs import TRAITS, ActionClass, Lane, Plane, Verb

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MINUTE_MS = 60_000

RUNNING_ALLOWED = {ActionClass.A0: 100, ActionClass.A1: 32, ActionClass.A2: 16, ActionClass.A3: 8, ActionClass.A4: 1}
"""Acts of a class under way at once, site-wide (defaults to tune)."""
RATE_PER_MINUTE = {
    ActionClass.A0: 100,
    ActionClass.A1: 60,
    ActionClass.A2: 50,
    ActionClass.A3: 6,
    ActionClass.A4: 30,
}
"""Sends of a class a minute: A3 is three cycles of off and on; A4 is a rack's machines one by one, two seconds apart, so that
their inrush never adds up, and one at a time. How many racks is the blast radius's business (defaults to tune)."""
CAPS_PER_MINUTE = 12_000
"""Caps are the fast remedy of the protective lane: 200 a second."""
SCHEDULER_CONCURRENCY = 16
"""A scheduler takes several acts at once, on different objects; every other device takes one."""
_CYCLES = frozenset(verb for verb, traits in TRAITS.items() if traits.cuts)
_IN_DOUBT = frozenset({"unknown", "unconfirmed"})


def history_of(
    state: Remediation,
    intents: Sequence[Intent],
    *,
    now_ms: int,
    tries: int,
    tries_allowed: int,
    active_since_ms: int,
    hold_down_seconds: float,
    cool_down_seconds: float,
) -> History:
    """The target's past as the gates want it; the intents are those of the last seven days."""
    mine = [intent for intent in intents if intent.target == state.target]
    others = [intent for intent in mine if intent.remediation_id != state.remediation_id]
    last_ms = max((intent.closed_at_ms or intent.created_at_ms for intent in others if _sent(intent)), default=None)
    cool_ms = 0 if last_ms is None or state.acted else last_ms + round(cool_down_seconds * 1000) - now_ms
    return History(
        active_seconds=(now_ms - active_since_ms) / 1000,
        hold_down_seconds=0.0 if state.acted else hold_down_seconds,
        cool_down_left_seconds=max(0.0, cool_ms / 1000),
        window_left_seconds=max(0.0, _open_until(mine) - now_ms) / 1000,
        tries=tries,
        tries_allowed=tries_allowed,
        cycles_day=len(_cycles(mine, now_ms) - {(state.remediation_id, state.step_name)}),
        remediations_week=len({i.remediation_id for i in mine if _sent(i)} | {state.remediation_id}),
    )


def _cycles(intents: Sequence[Intent], now_ms: int) -> set[tuple[str, str]]:
    """Power cycles of a day: a step that switched several outlets is one, what a device refused is none."""
    return {
        (i.remediation_id, i.step)
        for i in intents
        if i.verb in _CYCLES and _sent(i) and i.wire_state != "refused" and i.created_at_ms > now_ms - DAY_MS
    }


def traffic_of(device: AssetId, verb: Verb, intents: Sequence[Intent], *, lane: Lane, now_ms: int) -> Traffic:
    """What is under way and what was sent in the last minute, in the verb's class and on its device."""
    traits = TRAITS[verb]
    running = [intent for intent in intents if intent.outcome is None]
    sent = [i for i in intents if i.class_ == traits.class_ and _sent(i) and i.created_at_ms > now_ms - MINUTE_MS]
    caps = lane is Lane.PROTECTIVE and traits.class_ is ActionClass.A1
    return Traffic(
        running_in_class=sum(intent.class_ == traits.class_ for intent in running),
        running_allowed=256 if caps else RUNNING_ALLOWED[traits.class_],
        running_on_device=sum(intent.device == device for intent in running),
        device_allowed=SCHEDULER_CONCURRENCY if traits.plane in {Plane.SCHEDULER, Plane.SLURM} else 1,
        sent_last_minute=len(sent),
        rate_per_minute=CAPS_PER_MINUTE if caps else RATE_PER_MINUTE[traits.class_],
    )


def _sent(intent: Intent) -> bool:
    """It reached the wire, or may have."""
    return intent.sent_at_ms is not None or intent.outcome is None or intent.outcome in {"Ambiguous", "Unproven"}


def _open_until(intents: Collection[Intent]) -> int:
    """Until when an act whose end nobody confirmed may still take effect."""
    return max(
        (i.effect_until_ms for i in intents if i.outcome is not None and i.wire_state in _IN_DOUBT and i.sent_at_ms),
        default=0,
    )
