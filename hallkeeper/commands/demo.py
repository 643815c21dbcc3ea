"""`hallkeeper demo`: a simulated site, three faults, each healed and proven before your eyes."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from hallkeeper.demo.director import Report

T = TypeVar("T")


def demo(
    nodes: Annotated[int, typer.Option(help="Nodes of the simulated site.", min=16, max=1024)] = 64,
    bus: Annotated[str, typer.Option(help="`embedded`, or kafka://host:port of a running Apache Kafka.")] = "embedded",
    seed: Annotated[int, typer.Option(help="Seed of the simulated site.")] = 1,
    headless: Annotated[bool, typer.Option("--headless", help="No terminal needed: ends by itself.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
    restore: Annotated[
        bool, typer.Option(help="Wait for the staged restore after the load shed (a few minutes).")
    ] = True,
) -> None:
    """Show Hallkeeper healing a site: a hung node, an overload after a lost feed, a GPU that fell off its bus."""
    from rich.console import Console

    from hallkeeper.demo.director import Director, Plan
    from hallkeeper.demo.story import Line

    screen = Console(stderr=as_json, highlight=False, soft_wrap=True)

    def tell(line: Line) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(line.at_ms / 1000))
        screen.print(f"{clock}  {line.text}", style=line.style, markup=False)

    async def play() -> "Report":
        return await Director(Plan(nodes=nodes, seed=seed, bus=bus, restore=restore), tell).run()

    report = asyncio.run(interruptible(play()))
    if report is None:
        sys.exit(130)
    if not headless or not as_json:
        summary(screen, report)
    if as_json:
        print(json.dumps(report.as_json()))
    sys.exit(0 if report.passed else 1)


async def interruptible(work: Coroutine[Any, Any, T]) -> T | None:
    """Ctrl-C or SIGTERM ends the work in order; gives None then."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None


def summary(screen: "Console", report: "Report") -> None:
    """The end as a table."""
    from rich.table import Table

    table = Table("fault", "target", "detected", "first act", "proven", "incidents", "commands", "duplicates")
    for fault in report.as_json()["faults"]:
        times = [
            f"{fault[key]:.1f} s" if fault[key] is not None else "-"
            for key in ("detected_seconds", "acted_seconds", "proven_seconds")
        ]
        table.add_row(
            fault["fault"],
            fault["target"],
            *times,
            str(fault["incidents"]),
            str(len(fault["commands_on_the_wire"])),
            str(fault["duplicates"]),
        )
    screen.print(table)
    screen.print(
        "all healed and proven, nothing sent twice" if report.passed else "NOT all healed and proven",
        style="bold green" if report.passed else "bold red",
    )
