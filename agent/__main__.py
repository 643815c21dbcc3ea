"""`python -m agent --config FILE`: the daemon's command line."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

import structlog

from agent.daemon import BOOT_ID, serve
from fleet.clock import SystemClock
from fleet.errors import HallkeeperError


def main(arguments: list[str] | None = None) -> int:
    """Status 0 after a signal, 2 when the settings or what they name cannot be used."""
    parser = argparse.ArgumentParser(prog="agent", description="Hallkeeper's daemon on a node.")
    parser.add_argument("--config", type=Path, required=True, help="settings file, see docs/reference/agent.md")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        asyncio.run(serve(chosen.config, SystemClock(), boot_id=BOOT_ID.read_text(encoding="ascii").strip()))
    except HallkeeperError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except BaseExceptionGroup as group:
        ours, others = group.split(HallkeeperError)
        if others is not None or ours is None:
            raise
        sys.stderr.write("".join(f"{error}\n" for error in ours.exceptions))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
