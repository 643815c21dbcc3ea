"""The ends that lead nowhere: a bus that carries nothing and an actuator that sends nothing. A replay must need neither."""

import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

from bus.port import Consumer, Publisher, Record
from fleet.errors import HallkeeperError
from remediator.actuator_client import Answer, IntentMessage


class ReplayReached(HallkeeperError):
    """A replay tried to reach the world: a bug, and nothing was reached."""


class NoBus:
    """Carries nothing."""

    async def publisher(self) -> Publisher:
        raise ReplayReached("a replay publishes nothing")

    async def consumer(self, *_: object, **__: object) -> Consumer:
        raise ReplayReached("a replay consumes nothing")

    async def reader(self, *_: object, **__: object) -> Consumer:
        raise ReplayReached("a replay reads nothing but its recording")

    def meters(self) -> dict[str, int]:
        return {}

    async def latest(self, *_: object, **__: object) -> dict[str, Record]:
        raise ReplayReached("a replay reads nothing but its recording")

    async def close(self) -> None:
        return


class NoActuator:
    """Sends nothing: playbooks observe here, so that it is never asked."""

    async def carry_out(self, message: IntentMessage) -> AsyncGenerator[Answer, None]:
        raise ReplayReached(f"a replay commands nothing: {message.verb} on {message.asset}")
        yield  # makes it the generator that its protocol wants


def passing(path: Path) -> sqlite3.Connection:
    """A ledger's connection that need not outlive the replay: nothing is synced."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=MEMORY")
    connection.execute("PRAGMA synchronous=OFF")
    return connection
