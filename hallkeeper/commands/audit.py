"""`hallkeeper audit`: is the record of every decision whole?"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fleet.settings import load_settings
from remediator.audit import AUDIT_FILE, CHECKPOINT_FILE, Verdict, checkpoint_in, verify
from remediator.service import trusted_keys

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def audit() -> None:
    """The audit."""


@app.command("verify")
def verify_file(
    file: Annotated[Path | None, typer.Argument(help="The audit; that of the data folder where left out.")] = None,
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint that was kept elsewhere; the one beside the file where left out.")
    ] = None,
    settings: Annotated[Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")] = Path(
        "hallkeeper.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines.")] = False,
) -> None:
    """Follow the chain of hashes from the first record and check every signature; exit 1 and name the first broken record.

    Changed, dropped, moved and added records break the chain; a tail that was cut off is missed by the checkpoint.
    """
    installed = load_settings(settings)
    path = file or installed.data / AUDIT_FILE
    began = time.perf_counter()
    found = verify(path, trusted_keys(installed), checkpoint_in(checkpoint or path.with_name(CHECKPOINT_FILE)))
    if as_json:
        print(json.dumps(_report(path, found, time.perf_counter() - began)))
    elif found.whole:
        print(
            f"{path}: whole, {found.records} records, {found.checkpoints} signed checkpoints,"
            f" {found.unsigned} records after the last; head {found.head}"
        )
    else:
        print(f"{path}: broken at record {found.broken_at}: {found.why}", file=sys.stderr)
    raise typer.Exit(0 if found.whole else 1)


def _report(path: Path, found: Verdict, seconds: float) -> dict[str, object]:
    return {
        "file": str(path),
        "whole": found.whole,
        "records": found.records,
        "checkpoints": found.checkpoints,
        "head": found.head,
        "broken_at": found.broken_at,
        "why": found.why,
        "unsigned": found.unsigned,
        "records_per_second": round(found.records / max(seconds, 1e-9)),
    }
