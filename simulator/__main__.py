"""`python -m simulator --directory DIR`: bind a whole site on loopback, say so, and run until SIGTERM."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from simulator.layout import Layout
from simulator.limits import raise_file_limit, wanted_files
from simulator.scenarios import load_scenarios
from simulator.scenarios.assets import layout_of
from simulator.scenarios.course import settings_of
from simulator.simulation import Simulation


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line. Exits with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A simulated data hall that answers over the real protocols on loopback.",
    )
    parser.add_argument(
        "--directory", type=Path, required=True, help="where site.yaml, secrets/, ca.pem and ground-truth.jsonl go"
    )
    parser.add_argument("--nodes", type=int, default=64, help="how many nodes (default 64)")
    parser.add_argument("--racks", type=int, default=16, help="how many racks (default 16), four to a row")
    parser.add_argument(
        "--apc-racks", type=int, default=2, help="racks with APC rPDU2 instead of Eaton ePDU G3 (default 2)"
    )
    parser.add_argument(
        "--scenario", help="take the site of this scenario; POST /scenario to the control API begins what happens in it"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the plant's noise (default 1)")
    parser.add_argument("--speed", type=float, default=1.0, help="plant seconds a real second (default 1)")
    options = parser.parse_args(arguments)
    if not 0.01 <= options.speed <= 1000:
        parser.error(f"--speed {options.speed}: try a number from 0.01 to 1000")
    return options


def simulation_of(options: argparse.Namespace) -> Simulation:
    """The site that the command line asks for. Raises `ValueError` and `ScenarioError`."""
    folder = options.directory.resolve()
    if options.scenario is None:
        layout = Layout(options.nodes, options.racks, options.apc_racks)
        return Simulation(folder, layout, seed=options.seed, speed=options.speed)
    known = {scenario.scenario: scenario for scenario in load_scenarios()}
    scenario = known.get(options.scenario)
    if scenario is None:
        raise ValueError(f"there is no scenario {options.scenario!r}, try one of {', '.join(sorted(known))}")
    site = scenario.site
    return Simulation(
        folder, layout_of(site), seed=site.seed, speed=options.speed, settings=settings_of(site), scenario=scenario
    )


async def serve(simulation: Simulation) -> None:
    """Open, announce, run until a signal, close."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await simulation.open()
        ready = {
            "ready": True,
            "site": str(simulation.directory / "site.yaml"),
            "control": f"http://127.0.0.1:{simulation.control_port}",
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(simulation.run())
            await stop.wait()
            running.cancel()
    finally:
        simulation.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a signal, 2 for a command line or folder that cannot be used."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        simulation = simulation_of(options)
        raise_file_limit(wanted_files(simulation.layout))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(simulation))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
