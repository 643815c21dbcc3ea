"""Carries out an order over HTTPS: look, one request now or not at all, look again. Shared by agent and Kubernetes.

An HTTP request has no fence, so only absolute verbs travel here; what was written and not answered stays unknown and
the object is watched for as long as the effect may take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from devices.orders import FRESH_SECONDS, Order, Remember, Report, State, Verdict, in_time
from devices.wire.once import Answered, Call, Courier, Exchange, Lost, NotSent, said
from fleet.clock import Clock
from fleet.errors import HallkeeperError

NOTE = "http"
"""All that a later process can know: a request may have been sent. There is no session to end."""

DECIDED = frozenset(range(300, 500)) - {408, 499}
"""Statuses by which a server says that it did not do it: redirects are not followed, 408 and 499 mean an answer too
late. A status of 500 or more may come after the effect."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look found, in the verb's own words."""

    text: str
    goal: bool
    """The object is as the verb wants it."""
    final: bool = False
    """It will not come nearer to the goal by waiting."""


class Subject(Protocol):
    """The object that an order is about."""

    async def look(self) -> Seen:
        """Read it. Raises `Unreachable`, `Refused` or `Malformed`."""
        ...

    def call(self) -> Call:
        """The one request that changes it, made from what the last look found."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the steps of one order wait. Defaults to tune."""

    answer_seconds: float = 10.0
    """For the one request; an answer later than that is looked for in the object's state. With connections and looks
    an order ends within 30 s beyond its effect's time, which is what the remediator waits."""
    longest_poll_seconds: float = 2.0
    """Between two looks while the effect is awaited."""


class Errand:
    """One order under way."""

    def __init__(
        self,
        order: Order,
        courier: Courier,
        subject: Subject,
        report: Report,
        *,
        clock: Clock,
        remember: Remember,
        timing: Timing,
    ) -> None:
        self._order = order
        self._courier = courier
        self._subject = subject
        self._report = report
        self._clock = clock
        self._remember = remember
        self._timing = timing
        self._before: str | None = None
        self._looked_at_ns = 0
        self._sent_at_ns = 0
        self._state = State.NOT_SENT

    async def run(self) -> Verdict:
        """Look, send at most once, look again."""
        try:
            self._looked_at_ns = self._clock.boottime_ns()
            seen = await self._subject.look()
            self._before = seen.text
            if seen.goal:
                return self._verdict(f"is {seen.text} already: nothing was sent", after=seen.text)
            call = self._subject.call()
        except (HallkeeperError, ValueError) as error:
            return self._verdict(f"nothing was sent: {error}")
        answer = await self._exchange(call)
        if isinstance(answer, NotSent):
            return self._verdict(f"nothing was sent: {answer.why}")
        return await self._after_the_send(answer)

    async def _exchange(self, call: Call) -> Exchange:
        """The answer, or what is known when anything at all goes wrong on the way."""
        try:
            return await self._courier.exchange(
                call, answer_seconds=self._timing.answer_seconds, gate=self._why_not_now, sent=self._sent
            )
        except Exception as error:
            return Lost(repr(error)) if self._sent_at_ns else NotSent(repr(error))

    async def settle(self) -> Verdict:
        """Read what a request of an earlier process did; its answer is lost."""
        self._sent_at_ns = self._clock.boottime_ns()
        self._state = State.UNKNOWN
        return await self._read_back("its answer is not known")

    def _why_not_now(self) -> str | None:
        """Asked with connection and bytes ready: the intent durable, the deadline last."""
        self._remember(self._order.intent, NOTE)
        if self._clock.boottime_ns() - self._looked_at_ns > FRESH_SECONDS * 1e9:
            return "the state was read too long ago, try again as a new intent"
        if not in_time(self._clock.boottime_ns(), self._order.not_after_boottime_ns):
            return "its time was over, try again as a new intent"
        return None

    def _sent(self) -> None:
        self._sent_at_ns = self._clock.boottime_ns()
        self._reached(State.SENT)

    def _reached(self, state: State) -> None:
        self._state = state
        self._report(state)

    async def _after_the_send(self, answer: Answered | Lost) -> Verdict:
        match answer:
            case Answered(status) if 200 <= status < 300:
                self._reached(State.ACKNOWLEDGED)
                text = "accepted"
            case Answered(status) if status in DECIDED:
                self._reached(State.REFUSED)
                text = f"refused with {said(answer, fields(answer.body))}"
            case Answered():
                self._reached(State.UNKNOWN)
                text = f"it failed with {said(answer, fields(answer.body))}"
            case Lost(why):
                self._reached(State.UNKNOWN)
                text = why
        return await self._read_back(text)

    async def _read_back(self, text: str) -> Verdict:
        try:
            seen = await self._watch()
        except Exception as error:  # whatever happens after a send, the order ends with what is known
            seen, text = None, f"{text}; {error!r}"
        found = f"is {seen.text}" if seen is not None else "its state could not be read back"
        return self._verdict(f"{text}; {found}", after=None if seen is None else seen.text)

    async def _watch(self) -> Seen | None:
        """Look until the goal is seen or the effect's time has passed; at least once. A refusal is not watched."""
        latency_ns = 0 if self._state is State.REFUSED else round(self._order.effect_latency_seconds * 1e9)
        while True:
            over = self._clock.boottime_ns() >= self._sent_at_ns + latency_ns
            try:
                seen = await self._subject.look()
            except HallkeeperError:
                seen = None
            if over or (seen is not None and (seen.goal or seen.final)):
                return seen
            await self._clock.sleep(
                min(max(self._order.effect_latency_seconds / 10, 0.02), self._timing.longest_poll_seconds)
            )

    def _verdict(self, text: str, *, after: str | None = None) -> Verdict:
        return Verdict(state=self._state, before=self._before, after=after, text=f"{self._order.asset}: {text}")


def fields(body: bytes) -> Mapping[str, object] | None:
    """The fields of a JSON object, or None for anything else."""
    try:
        return msgspec.json.decode(body[:65_536], type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return None
