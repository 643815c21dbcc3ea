"""`hallkeeper record`: what the bus carries, kept as Parquet for replay, DuckDB and Polars."""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from bus.port import open_bus
from fleet.clock import SystemClock
from fleet.loader import load_site
from fleet.settings import Settings, load_settings
from hallkeeper import __version__
from hallkeeper.instants import instant_ms
from hallkeeper.logs import configure_logs
from hallkeeper.preflight import partitions
from historian.recorder import HOUR_MS, Recorder, signers
from historian.recording.shape import Manifest


def record(
    folder: Annotated[Path, typer.Argument(help="Where the recording is kept; one that is there already goes on.")],
    *,
    settings: Annotated[Path, typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")] = Path(
        "hallkeeper.yaml"
    ),
    since: Annotated[
        str | None, typer.Option(help="From this time on (RFC 3339), as far as the bus goes back.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to this time (RFC 3339); until interrupted where left out.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="For so long from now on, or from --since.", min=0.1)] = None,
    keep_hours: Annotated[float | None, typer.Option(help="Drop what is older.", min=0.1)] = None,
) -> None:
    """Keep frames, device events, alerts and commands as a recording; Ctrl-C ends it well."""
    configure_logs(service="record")
    found = load_settings(settings, check_secrets=False)
    since_ms = None if since is None else instant_ms(since)
    until_ms = None if until is None else instant_ms(until)
    manifest = asyncio.run(_record(folder, found, since_ms, until_ms, minutes, keep_hours))
    print(
        f"{folder}: {manifest.points:,} points in {manifest.frames:,} frames, {len(manifest.segments)} segments,"
        f" {manifest.late} late, {manifest.refused} refused"
    )


async def _record(
    folder: Path,
    settings: Settings,
    since_ms: int | None,
    until_ms: int | None,
    minutes: float | None,
    keep_hours: float | None,
) -> Manifest:
    clock, site = SystemClock(), load_site(settings.site, check_secrets=False)
    begun_ms = clock.now_ms() if since_ms is None else since_ms
    if until_ms is None and minutes is not None:
        until_ms = begun_ms + round(minutes * HOUR_MS / 60)
    bus = await open_bus(
        settings.bus, data=settings.data, clock=clock, partitions=partitions(site), spool="spool-record"
    )
    try:
        recorder = Recorder(
            bus, clock, CollectorRegistry(), folder, site=site.path, name=site.name, version=__version__,
            trusted=signers(settings), since_ms=begun_ms, until_ms=until_ms, keep_hours=keep_hours,
        )  # fmt: skip
        running = asyncio.create_task(recorder.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return recorder.writer.manifest
    finally:
        await bus.close()
