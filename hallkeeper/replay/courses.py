"""What both lanes of a replay have: a ledger that nobody reads afterwards, courses under way, and what they would have said."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final

from remediator.ledger import Ledger, Outgoing

DRAINED: Final = 1_000
"""Messages taken out of the ledger at once."""


class Courses:
    """One lane's courses, each a task of the loop that runs in virtual time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether a course is under way."""
        return bool(self._tasks)

    def _begin_course(self, course: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(course)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def told(self) -> list[Outgoing]:
        """What the bus would have heard since the last call, in order."""
        found: list[Outgoing] = []
        while waiting := self._ledger.outbox(DRAINED):
            self._ledger.published(waiting[-1].sequence)
            found += waiting
        return found

    async def close(self) -> None:
        """End what is under way, and forget the ledger."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._ledger.close()
