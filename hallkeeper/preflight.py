"""Looks an installation over before any process of it starts: one message a mistake, not one from each child."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bus.port import open_bus
from fleet.clock import Clock
from fleet.errors import ConfigurationError, HallkeeperError, Problem
from fleet.loader import load_site
from fleet.model import Site
from fleet.settings import Settings, load_settings

MET = "bus-met"
"""The file in the data folder that names the bus that this installation has spoken to."""


class DataFolderError(HallkeeperError):
    """The data folder cannot be used."""


def look_over(path: Path) -> tuple[Settings, Site]:
    """Every file that the installation names. Raises `HallkeeperError` with all mistakes of all of them."""
    from remediator.playbook_loader import SHIPPED as PLAYBOOKS
    from remediator.playbook_loader import load_playbooks
    from rules.files.load import load_rules
    from rules.service import SHIPPED as RULES

    settings = load_settings(path)
    problems: list[Problem] = []
    site: Site | None = None
    try:
        site = load_site(settings.site)
    except ConfigurationError as error:
        problems += error.problems
    for load, folders in (
        (load_rules, settings.rules or (RULES,)),
        (load_playbooks, settings.playbooks or (PLAYBOOKS,)),
    ):
        try:
            load(folders)
        except ConfigurationError as error:
            problems += error.problems
    if problems or site is None:
        raise ConfigurationError(problems)
    return settings, site


def usable(data: Path) -> None:
    """Make the data folder and write in it, whoever else tries at the same moment. Raises `DataFolderError` with what to try."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=data):
            pass
    except OSError as error:
        raise DataFolderError(
            f"{data}: the data folder cannot be used ({error.strerror}); try: giving it to this user, or another folder under `data:` in hallkeeper.yaml"
        ) from error


@contextlib.contextmanager
def sole(data: Path) -> Iterator[None]:
    """One supervisor a data folder: a second one would take the sockets of the first one's children. Raises `DataFolderError`."""
    fd = os.open(data / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DataFolderError(
            f"{data}: another `hallkeeper run` works here; try: stopping it first, or another folder under `data:` in hallkeeper.yaml"
        ) from error
    finally:
        os.close(fd)


def known_bus(settings: Settings) -> bool:
    """Whether this installation has spoken to its bus before: then the bus may be away, what is published waits in the spool."""
    try:
        return (settings.data / MET).read_text() == settings.bus
    except OSError:
        return False


async def meet_bus(settings: Settings, clock: Clock, *, partitions: int) -> None:
    """The first time, the bus must answer: a wrong address is said at once. Raises `BusError`."""
    if known_bus(settings):
        return
    bus = await open_bus(
        settings.bus, data=settings.data, clock=clock, partitions=partitions, spool="spool-run", require=True
    )
    await bus.close()
    (settings.data / MET).write_text(settings.bus)


def partitions(site: Site) -> int:
    """One partition a zone number, and one for what belongs to none (zone 0)."""
    return max((asset.zone for asset in site.assets.values()), default=0) + 1
