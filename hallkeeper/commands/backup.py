"""`hallkeeper backup` and `hallkeeper restore`: ledgers, journals, audit and switches in one archive."""

import fcntl
import os
from pathlib import Path
from typing import Annotated

import typer

from fleet.clock import SystemClock
from fleet.errors import HallkeeperError
from fleet.settings import load_settings
from remediator import safekeeping

SETTINGS = Annotated[Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")]
HERE = Path("hallkeeper.yaml")
LOCKS = ("run.lock", "remediator.lock", "protective.lock", "actuator-corrective.lock", "actuator-protective.lock")
"""Held by whoever writes into the data folder."""


def backup(
    archive: Annotated[Path, typer.Argument(help="The file to write, such as hallkeeper-2026-01-01.tar.gz.")],
    settings: SETTINGS = HERE,
) -> None:
    """Write ledgers, actuators' journals, audit, switches and proofs into one file; services may run meanwhile."""
    manifest = safekeeping.backup(load_settings(settings).data, archive, SystemClock().now_ms())
    print(f"{archive}: {', '.join(f'{kept.name} ({kept.bytes} bytes)' for kept in manifest.files)}")


def restore(
    archive: Annotated[Path, typer.Argument(help="A file that `hallkeeper backup` wrote.")],
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Write over what the data folder holds.")] = False,
    settings: SETTINGS = HERE,
) -> None:
    """Put everything back, checked first; services must be stopped. An old ledger makes its service observe and say why."""
    data = load_settings(settings).data
    _stopped(data)
    manifest = safekeeping.restore(archive, data, replaces=replace)
    print(f"{data}: {', '.join(kept.name for kept in manifest.files)}")
    print("what the bus knows beyond this ledger is compared at the next start: it observes until a person resumes")


def _stopped(data: Path) -> None:
    """Raises `HallkeeperError` while a service holds the data folder."""
    for name in LOCKS:
        if not (data / name).exists():
            continue
        descriptor = os.open(data / name, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise HallkeeperError(f"{data / name} is held: services run, try again once they are stopped") from error
        finally:
            os.close(descriptor)
