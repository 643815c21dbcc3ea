"""One intent under way: its states as they are reached, for whoever listens, from the first on."""

import asyncio
from collections.abc import AsyncIterator

from devices.orders import State, Verdict
from fleet.clock import Clock
from remediator.actuator_client import Answer, IntentMessage


class Act:
    """An intent and what is known of it; the last answer is final."""

    def __init__(self, message: IntentMessage, *, sent_at_ms: int | None = None) -> None:
        self.message = message
        self.sent_at_ms = sent_at_ms
        self.committed = False
        """The send is next, or done: from here to the ending the process does not end."""
        self.task: asyncio.Task[None] | None = None
        self._answers: list[Answer] = []
        self._more = asyncio.Event()

    @classmethod
    def over(cls, message: IntentMessage, ending: Answer) -> "Act":
        """An act that has ended before."""
        act = cls(message, sent_at_ms=ending.sent_at_ms)
        act.end(ending)
        return act

    def reached(self, state: State, clock: Clock) -> None:
        """A state was reached; the first `SENT` sets the time of the send."""
        if state is State.SENT and self.sent_at_ms is None:
            self.sent_at_ms = clock.now_ms()
        self._add(Answer(intent=self.message.intent, state=state, sent_at_ms=self.sent_at_ms))

    def verdict(self, verdict: Verdict, clock: Clock) -> Answer:
        """The final answer that a verdict makes."""
        return Answer(
            intent=self.message.intent,
            state=verdict.state,
            before=verdict.before,
            after=verdict.after,
            text=verdict.text,
            final=True,
            sent_at_ms=self.sent_at_ms,
            read_at_ms=None if verdict.after is None else clock.now_ms(),
        )

    def end(self, ending: Answer) -> None:
        assert ending.final
        self._add(ending)

    @property
    def ended(self) -> bool:
        return bool(self._answers) and self._answers[-1].final

    async def answers(self) -> AsyncIterator[Answer]:
        """Every answer from the first to the final one, each as soon as it is there."""
        told = 0
        while True:
            more = self._more
            while told < len(self._answers):
                answer = self._answers[told]
                told += 1
                yield answer
                if answer.final:
                    return
            await more.wait()

    def _add(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._more.set()
        self._more = asyncio.Event()
