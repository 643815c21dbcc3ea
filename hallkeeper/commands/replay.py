"""`hallkeeper replay`: recorded telemetry through rules and playbooks in virtual time; nothing is sent to anything."""

import getpass
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from fleet.clock import SystemClock
from fleet.errors import HallkeeperError
from fleet.loader import load_site
from fleet.model import Site
from hallkeeper.instants import instant_ms
from hallkeeper.logs import configure_logs
from hallkeeper.replay.backtest import records, write
from hallkeeper.replay.findings import Report, encode
from hallkeeper.replay.page import page
from hallkeeper.replay.plan import DEFAULT_WARM_SECONDS
from hallkeeper.replay.report import Wanted, report_of
from hallkeeper.replay.words import words
from historian.recording.reader import Recording
from remediator.playbook_loader import SHIPPED, load_playbooks
from rules.service import SHIPPED as CATALOGUE


def replay(
    recording: Annotated[Path, typer.Argument(help="The recording's folder.")],
    *,
    rules: Annotated[Path, typer.Option(help="Folder of rule files, or one file.")] = CATALOGUE,
    against: Annotated[Path | None, typer.Option(help="Another rule set, to be compared with.")] = None,
    playbooks: Annotated[list[Path] | None, typer.Option(help="Folders of playbooks; the shipped ones.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write the report as one HTML page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    since: Annotated[str | None, typer.Option(help="From this time on (RFC 3339).")] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time (RFC 3339).")] = None,
    warm_up: Annotated[
        float, typer.Option(help="Seconds in which the window is filled and nothing judged.", min=0.0, max=86_400.0)
    ] = DEFAULT_WARM_SECONDS,
    site: Annotated[Path | None, typer.Option(help="Another site file than the recording's own.")] = None,
    record_backtest: Annotated[
        Path | None,
        typer.Option(help="Data folder in which the back-test of every playbook is recorded; `enforce` asks for it."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who records the back-test; the user's name.")] = None,
) -> None:
    """Say what would have fired, been done and been refused; equal input gives equal bytes."""
    configure_logs(service="replay", level="ERROR")
    wanted = _wanted(recording, rules, against, playbooks, site, since, until, warm_up)
    began = time.process_time()
    found = report_of(wanted, _progress)
    _speed(found, time.process_time() - began)
    if report is not None:
        report.write_text(page(found), encoding="utf-8")
    if as_json:
        sys.stdout.buffer.write(encode(found))
    else:
        print(words(found))
    if record_backtest is not None:
        kept = records(found, wanted.playbooks, rules, by=by or getpass.getuser(), at_ms=SystemClock().now_ms())
        path = write(record_backtest, kept)
        print(f"back-tests of {', '.join(sorted(kept)) or 'no playbook'} in {path}", file=sys.stderr)


def _wanted(
    recording: Path,
    rules: Path,
    against: Path | None,
    playbooks: list[Path] | None,
    site: Path | None,
    since: str | None,
    until: str | None,
    warm_up: float,
) -> Wanted:
    folders = tuple(playbooks or (SHIPPED,))
    for folder in (rules, against):
        if folder is not None and not folder.exists():
            raise HallkeeperError(f"{folder}: there are no rules, try another folder")
    opened = Recording(recording)
    return Wanted(
        recording=opened,
        site=_site(opened, site),
        rules=rules,
        against=against,
        playbooks=load_playbooks(folders),
        playbook_folders=folders,
        since_ms=None if since is None else instant_ms(since),
        until_ms=None if until is None else instant_ms(until),
        warm_seconds=warm_up,
    )


def _site(recording: Recording, named: Path | None) -> Site:
    path = named or recording.site
    if path is None:
        raise HallkeeperError(f"{recording.folder} has no site file, try --site with that of its time")
    return load_site(path, check_secrets=False)


def _progress(at_ms: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(at_ms / 1000))} UTC", end="", file=sys.stderr)


def _speed(found: Report, cpu_seconds: float) -> None:
    span = (found.source.until_ms - found.source.from_ms) / 1000 * (1 if found.against is None else 2)
    points = found.source.points * (1 if found.against is None else 2)
    rate = f"{points / cpu_seconds / 1e6:.1f} M points a CPU-second, {span / cpu_seconds:.0f} times real time"
    print(f"\r{cpu_seconds:.1f} CPU-seconds: {rate}", file=sys.stderr)
