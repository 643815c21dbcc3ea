"""Proofs by what meters show: a machine that booted anew, GPUs that are back, a battery or a loop that moves. Pure but for
the window that it asks.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

from fleet.model import AssetId, Kind, Site
from remediator.proof import SAMPLES_NEEDED, Finding, Meter, Verdict, seen
from remediator.records import Intent
from remediator.sight import Sight
from remediator.verbs import TRAITS, Plane, Verb

RECORDED = frozenset(
    verb for verb, traits in TRAITS.items() if traits.plane in {Plane.SLURM, Plane.HOOK} and traits.settles
) | {
    *(Verb.TAINT, Verb.UNTAINT, Verb.SCALE, Verb.STOP_ADMISSIONS, Verb.ALLOW_ADMISSIONS),
    *(Verb.CHECKPOINT_ANNOTATE, Verb.CHECKPOINT_HTTP),
}
"""Verbs whose object keeps a record that a reader sees."""

BOOT_SLACK_SECONDS = 5.0
"""An uptime may exceed the time since the send by the clock's and the agent's rounding."""
BESS_SHARE = 0.1
"""A battery's watts may miss the set-point by so much of it (a default to tune)."""
BESS_LEAST_WATTS = 20_000.0
"""Below this a battery's own losses move its meter (a default to tune)."""
SILENT_MS = 25_000
"""BMCs are polled every 10 s, those of an incident every 2 s, and restart in 60 s or more (a default to tune)."""
PUMP_RPM = 100.0
"""A pump that turns (a default to tune)."""
COOLANT_KELVIN = 0.5
"""A supply temperature has moved once it differs by so much (sensor noise, a default to tune)."""


def measured(intent: Intent, sight: Sight, site: Site, sent_at_ms: int) -> Finding:
    """What another instrument shows of the effect; open where none here does."""
    judge = _JUDGES.get(intent.verb)
    if judge is None:
        return Finding(Verdict.OPEN, text=f"no instrument here shows what {intent.verb} did")
    return judge(intent, sight, site, sent_at_ms)


def _meter(sight: Sight, metric: str, asset: AssetId, sent_at_ms: int, **labels: str) -> Meter:
    return sight.meter(metric, {"asset": str(asset), **labels}, sent_at_ms)


def _booted(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    rows = _meter(sight, "agent_up_seconds", intent.target, sent_at_ms).measured_after(sent_at_ms)
    if not rows:
        return Finding(Verdict.OPEN, text="its agent does not answer yet")
    last = rows[-1]
    if last.value <= (last.at_ms - sent_at_ms) / 1000 + BOOT_SLACK_SECONDS:
        return Finding(Verdict.PROVEN, text=f"its agent answers, up for {last.value:.0f} s")
    return Finding(Verdict.OPEN, text=f"its agent is up for {last.value:.0f} s: not booted since")


def _gpus_back(intent: Intent, sight: Sight, site: Site, sent_at_ms: int) -> Finding:
    wanted = int(site.asset(intent.target).ratings.get("gpus", 0))
    rows = _meter(sight, "agent_gpu_count", intent.target, sent_at_ms).measured_after(sent_at_ms)
    if len(rows) < SAMPLES_NEEDED:
        return Finding(Verdict.OPEN, text="too few samples after the send")
    return seen(f"{rows[-1].value:.0f} of {wanted} GPUs answer", all(row.value == wanted for row in rows))


def _bmc_back(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    """The BMC was silent for longer than polls lie apart, and answers its collector again."""
    meter = _meter(sight, "bmc_power_state", intent.target, sent_at_ms)
    heard = [sent_at_ms, *(reading.at_ms for reading in meter.readings if reading.at_ms > sent_at_ms)]
    back = [later for earlier, later in pairwise(heard) if later - earlier >= SILENT_MS]
    if not back or len(meter.measured_after(back[-1] - 1)) < SAMPLES_NEEDED:
        return Finding(Verdict.OPEN, text="its BMC has not been silent and come back yet")
    return Finding(Verdict.PROVEN, text=f"its BMC answers after {(back[-1] - sent_at_ms) / 1000:.0f} s")


def _unlimited(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    rows = [meter.measured_after(sent_at_ms) for meter in sight.outlet_meters(intent.target, sent_at_ms)]
    if not rows or any(len(row) < SAMPLES_NEEDED for row in rows):
        return Finding(Verdict.OPEN, text="too few samples after the send")
    return Finding(Verdict.PROVEN, text=f"its outlets draw {sum(row[-1].value for row in rows):.0f} W")


def _battery(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    wanted = float(intent.arguments["watts"])
    rows = _meter(sight, "bess_power_watts", intent.device, sent_at_ms).measured_after(sent_at_ms)
    if len(rows) < SAMPLES_NEEDED:
        return Finding(Verdict.OPEN, text="too few samples after the send")
    near = max(BESS_SHARE * abs(wanted), BESS_LEAST_WATTS)
    reached = all(abs(row.value - wanted) <= near for row in rows)
    return Finding(
        Verdict.PROVEN if reached else Verdict.OPEN, text=f"its meter shows {rows[-1].value:.0f} of {wanted:.0f} W"
    )


def _let_go(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    rows = _meter(sight, "bess_set_point_enabled", intent.device, sent_at_ms).measured_after(sent_at_ms)
    if len(rows) < SAMPLES_NEEDED:
        return Finding(Verdict.OPEN, text="too few samples after the send")
    return seen("the battery follows itself", all(row.value == 0 for row in rows))


def _pump(intent: Intent, sight: Sight, _site: Site, sent_at_ms: int) -> Finding:
    """Both pumps turn, or no longer both; a standby that took over from a failed one shows by flow, not here."""
    speeds = [
        _meter(sight, "cdu_pump_speed_rpm", intent.device, sent_at_ms, pump=pump).measured_after(sent_at_ms)
        for pump in ("1", "2")
    ]
    if any(len(rows) < SAMPLES_NEEDED for rows in speeds):
        return Finding(Verdict.OPEN, text="too few samples after the send")
    turning = sum(all(row.value > PUMP_RPM for row in rows) for rows in speeds)
    reached = turning == len(speeds) if intent.arguments.get("run") else turning < len(speeds)
    return Finding(Verdict.PROVEN if reached else Verdict.OPEN, text=f"{turning} of {len(speeds)} pumps turn")


def _coolant(intent: Intent, sight: Sight, site: Site, sent_at_ms: int) -> Finding:
    """The loop's supply is on its way: nearer to what was asked for than it was, or there."""
    wanted = float(intent.arguments["celsius"])
    meter = _meter(sight, "cdu_supply_temperature_celsius", intent.device, sent_at_ms - 60_000)
    before = [reading.value for reading in meter.readings if reading.at_ms <= sent_at_ms]
    rows = meter.measured_after(sent_at_ms)
    if not before or len(rows) < SAMPLES_NEEDED:
        return Finding(Verdict.OPEN, text="too few samples around the send")
    assert site.asset(intent.device).kind in {Kind.CDU, Kind.CRAC}
    start, now = before[-1], rows[-1].value
    there = all(abs(row.value - wanted) <= COOLANT_KELVIN for row in rows)
    nearer = abs(wanted - now) <= abs(wanted - start) - COOLANT_KELVIN
    return Finding(
        Verdict.PROVEN if there or nearer else Verdict.OPEN,
        text=f"{now:.1f} °C, {start:.1f} °C before, {wanted:g} asked",
    )


_JUDGES: Mapping[Verb, Callable[[Intent, Sight, Site, int], Finding]] = {
    Verb.REBOOT: _booted,
    Verb.GPU_RESET: _gpus_back,
    Verb.BMC_COLD_RESET: _bmc_back,
    Verb.DCMI_LIMIT_OFF: _unlimited,
    Verb.BESS_SET_POINT: _battery,
    Verb.BESS_RELEASE: _let_go,
    Verb.STANDBY_PUMP: _pump,
    Verb.COOLANT_SET_POINT: _coolant,
}
"""A signal to a Slurm job has no judge: what the job makes of it is seen by the steps that wait for its checkpoint."""
