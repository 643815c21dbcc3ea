"""`python -m remediator.actuator --settings hallkeeper.yaml --lane corrective|protective`."""

import argparse
import logging
import sys
from pathlib import Path

import structlog
import uvloop

from fleet.errors import HallkeeperError
from remediator.actuator.process import run
from remediator.verbs import Lane


def main() -> int:
    """Run until told to end; 1 with a message when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m remediator.actuator", description="One lane's device commands.")
    parser.add_argument("--settings", type=Path, default=Path("hallkeeper.yaml"), help="the installation's settings")
    parser.add_argument("--lane", type=Lane, choices=list(Lane), required=True)
    arguments = parser.parse_args()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=f"actuator-{arguments.lane}")
    try:
        uvloop.run(run(arguments.settings, arguments.lane))
    except HallkeeperError as error:
        print(error, file=sys.stderr)  # noqa: T201 - why it did not start, for the person at the terminal
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
