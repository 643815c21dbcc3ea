"""`hallkeeper scenario`: what goes wrong in a hall, and whether the product says and does what it should, and nothing else."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.errors import HallkeeperError
from hallkeeper.world.scenario import Outcome, run_all, summary
from simulator.scenarios import SHIPPED, load_scenarios

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def scenario() -> None:
    """Scenarios: run them in virtual time."""


@app.command()
def run(
    file: Annotated[Path | None, typer.Argument(help="A scenario file, or one scenario of it as FILE:VARIANT.")] = None,
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every shipped scenario with its variants.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Over the protocols, in real time.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes that work on it.", min=1, max=64)] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run scenarios; fail when one of them is not as it should be."""
    if all_of_them == (file is not None):
        raise typer.BadParameter("name one file, or give --all")
    path, _, variant = str(file or SHIPPED).partition(":")
    files = (Path(path),)
    chosen = [one for one in load_scenarios(files) if not variant or one.scenario.endswith(f"/{variant}")]
    if live:
        raise HallkeeperError(
            "scenarios run in virtual time here; `hallkeeper demo` runs five of them over the protocols"
        )
    if not chosen:
        raise HallkeeperError(f"{path} has no variant {variant!r}, try one of its `variant:` names")
    outcomes = [_told(outcome) for outcome in run_all(chosen, files, jobs=jobs)]
    if as_json:
        print(json.dumps(summary(outcomes), indent=1))
    if not all(outcome.passed for outcome in outcomes):
        raise typer.Exit(1)


def _told(outcome: Outcome) -> Outcome:
    speed = outcome.seconds / max(outcome.cpu_seconds, 1e-9)
    print(f"{outcome.name}: {'passed' if outcome.passed else 'FAILED'} ({speed:.0f} times real time)", file=sys.stderr)
    for line in outcome.why:
        print(f"  {line}", file=sys.stderr)
    return outcome
