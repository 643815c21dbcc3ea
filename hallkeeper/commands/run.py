"""`hallkeeper run`: everything on one machine under a supervisor, or single services as daemons of their own."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fleet.clock import SystemClock
from hallkeeper.forks import WarmSpawner
from hallkeeper.logs import configure_logs
from hallkeeper.notify import notify
from hallkeeper.preflight import look_over, meet_bus, partitions, sole, usable
from hallkeeper.services import serve
from hallkeeper.supervisor import ChildSpec, Supervisor

SERVICES = ("collectors", "rules", "remediator", "protective", "oncall", "console")
OPTIONAL = ("historian",)
"""Services that run only where the settings ask for them."""
LANES = ("corrective", "protective")

SETTINGS = typer.Option("--settings", "-s", help="The installation's hallkeeper.yaml.")


def run(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Which: {', '.join((*SERVICES, *OPTIONAL))}; all that the settings ask for, with the actuators, when left out."
        ),
    ] = None,
    settings: Annotated[Path, SETTINGS] = Path("hallkeeper.yaml"),
) -> None:
    """Run services as long-running daemons: systemd notify, SIGTERM drains, SIGHUP reloads."""
    unknown = [name for name in services or () if name not in (*SERVICES, *OPTIONAL)]
    if unknown:
        raise typer.BadParameter(f"no service {', '.join(unknown)}; try: {', '.join((*SERVICES, *OPTIONAL))}")
    if not services:
        supervise(settings)
        return
    configure_logs(service="+".join(services))
    import uvloop

    uvloop.run(serve(tuple(services), settings))


def supervise(path: Path) -> None:
    """Every service and both actuators as children of this process, once the installation has been looked over."""
    configure_logs(service="supervisor")
    settings, site = look_over(path)
    usable(settings.data)
    clock = SystemClock()
    wanted = OPTIONAL if settings.historian.recordings is not None else ()
    supervisor = Supervisor(children(path, wanted), folder=settings.data / "run", clock=clock, spawn=WarmSpawner())
    with sole(settings.data):
        asyncio.run(meet_bus(settings, clock, partitions=partitions(site)))
        asyncio.run(_until_signal(supervisor))


def children(settings: Path, optional: Sequence[str] = ()) -> Sequence[ChildSpec]:
    """What runs on one machine: services, with those that the settings ask for, and one actuator a lane."""
    daemons = [
        ChildSpec(name=name, argv=[sys.executable, "-m", "hallkeeper", "run", name, "--settings", str(settings)])
        for name in (*SERVICES, *optional)
    ]
    actuators = [
        ChildSpec(
            name=f"actuator-{lane}",
            argv=[sys.executable, "-m", "remediator.actuator", "--settings", str(settings), "--lane", lane],
            holds_commands=True,
        )
        for lane in LANES
    ]
    return [*actuators, *daemons]


async def _until_signal(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(supervisor.run())
        announcing = group.create_task(_announce(supervisor))
        await asyncio.wait([running])
        announcing.cancel()


async def _announce(supervisor: Supervisor) -> None:
    """Tell our own supervisor when all are ready, with the console's address, and feed its watchdog while we run."""
    await supervisor.wait_ready()
    address = supervisor.status()["console"].get("console", "")
    notify(f"READY=1\nX_ADDRESS={address}")
    while True:
        await asyncio.sleep(5.0)
        notify("WATCHDOG=1")
