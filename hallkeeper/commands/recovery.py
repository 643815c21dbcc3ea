"""`hallkeeper recovery`: how long resuming took by phase, how often machines fail, and which checkpoint interval that advises."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bus.events import RemediationEvent, UnknownMajor, decode_event
from bus.port import open_bus
from bus.topics import REMEDIATIONS
from fleet.clock import Clock, SystemClock
from fleet.errors import HallkeeperError, Malformed
from fleet.loader import load_site
from fleet.model import Kind
from fleet.settings import Settings, load_settings
from hallkeeper.commands.query import SETTINGS
from hallkeeper.preflight import partitions
from hallkeeper.shedding.amounts import seconds
from hallkeeper.tables import table
from remediator.records import Remediation, remediation_of
from remediator.recovery import (
    RESPAWN_SECONDS,
    RESUME_SECONDS,
    XID_RESPAWN_SECONDS,
    advised_interval_seconds,
    failures,
    failures_per_gpu_hour,
    late,
    phases,
    summary,
    waste,
)
from remediator.verbs import Lane

RESTART_SECONDS = 55.0
"""From the respawn order to the first new step: start 30 s, load 15 s, step 10 s (`remediation.md`, section 5.3); the job's, not ours."""
BLOCKING_SECONDS = (0.02, 0.1, 1.0, 10.0, 60.0)
"""How long a checkpoint holds a job up: overlapped in memory, snapshot to host, … synchronous to a parallel file system."""


def recovery(
    *,
    since: Annotated[str, typer.Option(help="How far back: 28d, 12h.")] = "28d",
    gpus: Annotated[
        int | None, typer.Option(min=1, help="GPUs of the job to advise; the whole site's where left out.")
    ] = None,
    machine: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
    settings: Annotated[Path, SETTINGS] = Path("hallkeeper.yaml"),
) -> None:
    """Say what resuming took by phase, the measured MTBF, the waste it makes, and the checkpoint interval to choose."""
    try:
        span = seconds(since)
    except ValueError as error:
        raise HallkeeperError(str(error)) from None
    installation = load_settings(settings, check_secrets=False)
    site = load_site(installation.site)
    all_gpus = sum(int(node.ratings.get("gpus", 0)) for node in site.of_kind(Kind.NODE))
    clock = SystemClock()
    states = asyncio.run(_states(installation, clock, partitions(site)))
    young = [each for each in states if each.created_at_ms >= clock.now_ms() - round(1000 * span)]
    answer = report(young, site_gpus=all_gpus, job_gpus=gpus or all_gpus, span_seconds=span)
    if machine:
        print(json.dumps(answer, indent=2))
    else:
        _show(answer)


async def _states(settings: Settings, clock: Clock, count: int) -> list[Remediation]:
    """The last state of every corrective remediation that the bus holds."""
    bus = await open_bus(
        settings.bus, data=settings.data, clock=clock, partitions=count, spool="spool-recovery", require=True
    )
    try:
        records = await bus.latest(REMEDIATIONS)
    finally:
        await bus.close()
    found = []
    for record in records.values():
        try:
            event = decode_event(record.value or b"")
        except (Malformed, UnknownMajor):
            continue
        state = remediation_of(event) if isinstance(event, RemediationEvent) else None
        if state is not None and state.lane is Lane.CORRECTIVE:
            found.append(state)
    return sorted(found, key=lambda state: state.created_at_ms)


def report(states: list[Remediation], *, site_gpus: int, job_gpus: int, span_seconds: float) -> dict[str, Any]:
    """All figures; seconds, and shares of a job's time."""
    took = [phases(state) for state in states if state.acted]
    count = failures(states)
    rate = failures_per_gpu_hour(count, site_gpus * span_seconds / 3600)
    mtbf = 3600 / (rate * job_gpus)
    ordered = summary(took)["respawn_ordered"]["p50"]
    resume = RESUME_SECONDS if ordered is None else ordered + RESTART_SECONDS
    return {
        "remediations": len(took),
        "failures": count,
        "failures_per_gpu_hour": rate,
        "job_gpus": job_gpus,
        "mtbf_seconds": mtbf,
        "resume_seconds": resume,
        "phases_seconds": summary(took),
        "late": [asdict(each) for each in late(took)],
        "advice": [_advice(blocking, mtbf, resume) for blocking in BLOCKING_SECONDS],
    }


def _advice(blocking: float, mtbf: float, resume: float) -> dict[str, float]:
    every = advised_interval_seconds(blocking_seconds=blocking, mtbf_seconds=mtbf)
    shares = waste(every_seconds=every, blocking_seconds=blocking, mtbf_seconds=mtbf, resume_seconds=resume)
    return {
        "blocking_seconds": blocking,
        "checkpoint_every_seconds": every,
        "rolled_back_and_blocking": shares.rolled_back_and_blocking,
        "downtime": shares.downtime,
        "goodput": shares.goodput,
    }


def _show(answer: dict[str, Any]) -> None:
    rows = [
        [name.replace("_", " "), _seconds(row["p50"]), _seconds(row["p99"])]
        for name, row in answer["phases_seconds"].items()
    ]
    print(f"{answer['remediations']} remediations that acted; since the condition first held:")
    print(table(["PHASE", "P50", "P99"], rows), end="\n\n")
    for each in answer["late"]:
        owed = XID_RESPAWN_SECONDS if each["reported"] else RESPAWN_SECONDS
        print(
            f"late: {each['target']} ({each['playbook']}): respawn ordered after {each['respawn_ordered']:.1f} s, owed {owed:.0f} s"
        )
    print(
        f"{answer['failures']} machines failed: one failure every {answer['mtbf_seconds'] / 3600:.1f} h for a job of"
        f" {answer['job_gpus']} GPUs (with the published rate as one failure's worth of belief)"
    )
    rows = [
        [
            f"{each['blocking_seconds']:g} s", f"{each['checkpoint_every_seconds']:.0f} s",
            f"{each['rolled_back_and_blocking']:.3%}", f"{each['downtime']:.3%}", f"{each['goodput']:.2%}",
        ]
        for each in answer["advice"]
    ]  # fmt: skip
    print(
        table(["A CHECKPOINT BLOCKS", "TAKE ONE EVERY", "ROLLED BACK + BLOCKING", "DOWNTIME", "GOODPUT (ETTR)"], rows)
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"
