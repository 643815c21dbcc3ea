"""`hallkeeper campaign`: the product in virtual halls in which everything goes wrong, and whether it kept its promises."""

import json
import sys
from typing import Annotated

import typer

from hallkeeper.world.campaign import report, verdicts
from hallkeeper.world.seeds import Verdict


def campaign(
    *,
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1, max=1_000_000)] = 20,
    first_seed: Annotated[int, typer.Option(help="The first of them: a campaign goes on where it ended.", min=0)] = 1,
    jobs: Annotated[int, typer.Option(help="Processes that work on it.", min=1, max=256)] = 2,
    crash_sweep: Annotated[
        bool,
        typer.Option("--crash-sweep", help="Instead: a crash before and after every durable write and every send."),
    ] = False,
    points: Annotated[
        int, typer.Option(help="Of a crash sweep: at most so many points, spread evenly; 0 for all.", min=0)
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run seeds of 64 nodes and half an hour each; fail when a promise was broken or a seed healed nothing."""
    if crash_sweep:
        from hallkeeper.world.crash_sweep import sweep

        found = sweep(jobs=jobs, points=points, told=_say)
    else:
        numbers = range(first_seed, first_seed + seeds)
        found = report(_told(verdict) for verdict in verdicts(numbers, jobs=jobs))
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    if found["failures"]:
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _told(verdict: Verdict) -> Verdict:
    speed = verdict.simulated_seconds / max(verdict.cpu_seconds, 1e-9)
    how = "failed" if verdict.failed else "held"
    _say(f"seed {verdict.seed}: {how}, {verdict.acts} acts, {speed:.0f} times real time")
    for line in verdict.violations:
        _say(f"  {line}")
    return verdict
