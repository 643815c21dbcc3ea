"""The writers that the actuator commands BMCs and rack PDUs with, in the order of the real ones.

That is `devices.wire.ipmi_writer` and `snmp_set`: look, remember, compare the deadline, send once, fence where the protocol has
one, read back. Only the datagrams are not real: the network between is one that the seed decides.
"""

import asyncio
from dataclasses import dataclass

from devices.orders import FRESH_SECONDS, POWER_GOALS, Order, Remember, Report, State, Verdict, in_time, outlet_of
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Unreachable
from hallkeeper.world.network import PATIENCE_SECONDS, READ_TRIES, ROUND_TRIP_SECONDS
from hallkeeper.world.power_devices import PowerDevices, Session
from hallkeeper.world.process import Process

LONGEST_POLL_SECONDS = 2.0


@dataclass(slots=True)
class _Attempt:
    order: Order
    report: Report
    before: str | None = None
    sent_at_ns: int = 0
    state: State = State.NOT_SENT

    @property
    def goal(self) -> str:
        return POWER_GOALS[self.order.verb]

    def not_sent(self, text: str, *, after: str | None = None) -> Verdict:
        return Verdict(state=State.NOT_SENT, before=self.before, after=after, text=f"{self.order.asset}: {text}")

    def reached(self, state: State) -> None:
        self.state = state
        self.report(state)


class PowerWriter:
    """What both wires share; a subclass says what is read, what arrives, and how it is fenced."""

    def __init__(self, devices: PowerDevices, process: Process, clock: Clock, remember: Remember) -> None:
        self.devices, self.process, self._clock, self._remember = devices, process, clock, remember

    def state_of(self, order: Order) -> str:
        """What the device says of itself."""
        raise NotImplementedError

    def arrives(self, order: Order, note: str, *, copy: bool) -> bool:
        """The request reaches the device; whether it said yes."""
        raise NotImplementedError

    def opened(self, order: Order) -> str:
        """The note that a later process needs to fence what is about to be sent."""
        raise NotImplementedError

    async def fenced(self, order: Order, note: str) -> bool | None:
        """Whether no copy can run any more; None where the wire has no fence."""
        raise NotImplementedError

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, fence, look again."""
        attempt = _Attempt(order, report)
        looked_at_ns = self._clock.boottime_ns()
        try:
            attempt.before = await self.read(order)
        except HallkeeperError as error:
            return attempt.not_sent(f"nothing was sent: {error}")
        if attempt.before == attempt.goal:
            return attempt.not_sent(f"is {attempt.goal} already: nothing was sent", after=attempt.before)
        note = self.opened(order)
        sent = self._send(attempt, note, looked_at_ns)
        if isinstance(sent, Verdict):
            return sent
        attempt.reached(State.SENT)
        said = await self._answer(attempt, sent)
        return await self._ended(attempt, note, said)

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Fence what an earlier process may have sent, and read the device."""
        attempt = _Attempt(order, report, sent_at_ns=self._clock.boottime_ns(), state=State.UNKNOWN)
        return await self._ended(attempt, note, "not known")

    def _send(self, attempt: _Attempt, note: str, looked_at_ns: int) -> "asyncio.Future[bool] | Verdict":
        """The one place where a command leaves: now or not at all."""
        order = attempt.order
        try:
            self._remember(order.intent, note)
            if self._clock.boottime_ns() - looked_at_ns > FRESH_SECONDS * 1e9:
                return attempt.not_sent("nothing was sent: the state was read too long ago, try again as a new intent")
            if not in_time(self._clock.boottime_ns(), order.not_after_boottime_ns):
                return attempt.not_sent("nothing was sent: its time was over, try again as a new intent")
            self.process.point("send")
        except Exception as error:  # an intent that could not be written
            return attempt.not_sent(f"nothing was sent: {error!r}")
        answer = self._launched(order, note)
        attempt.sent_at_ns = self._clock.boottime_ns()
        self.process.point("sent")
        return answer

    def _launched(self, order: Order, note: str) -> "asyncio.Future[bool]":
        """The datagram is out: what the network makes of it happens whatever becomes of us."""
        loop, fate = self.process.loop, self.devices.network.command(str(order.asset))
        answer: asyncio.Future[bool] = loop.create_future()
        slow = self.devices.reach.delay_seconds(str(order.asset))

        def arrive() -> None:
            accepted = self.arrives(order, note, copy=False)
            if accepted and fate.answered:
                loop.call_later(ROUND_TRIP_SECONDS / 2 + slow, _tell, answer)

        if fate.arrives:
            loop.call_later(ROUND_TRIP_SECONDS / 2 + fate.late_seconds, arrive)
        for seconds in fate.copies:
            loop.call_later(seconds, lambda: self.arrives(order, note, copy=True))
        return answer

    async def _answer(self, attempt: _Attempt, answer: "asyncio.Future[bool]") -> str:
        handle = self.process.loop.call_later(5.0, _give_up, answer)
        try:
            accepted = await self.process.wait(answer)
        finally:
            handle.cancel()
        attempt.reached(State.ACKNOWLEDGED if accepted else State.UNKNOWN)
        return "accepted" if accepted else "no answer"

    async def _ended(self, attempt: _Attempt, note: str, said: str) -> Verdict:
        dead = await self.fenced(attempt.order, note)
        if dead is not None:
            attempt.report(State.FENCED if dead else State.UNCONFIRMED)
        after = await self._watch(attempt)
        state = attempt.state
        if dead is False:
            state = State.UNCONFIRMED
        elif dead and state is State.UNKNOWN and said != "not known":
            state = State.FENCED
        text = f"{attempt.order.asset}: {said}; is {after or 'not readable'}"
        return Verdict(state=state, before=attempt.before, after=after, text=text)

    async def read(self, order: Order) -> str:
        """The device's state. Raises `Unreachable` after some tries."""
        asset, devices = str(order.asset), self.devices
        for _ in range(READ_TRIES):
            slow = devices.reach.delay_seconds(asset)
            if slow < PATIENCE_SECONDS and devices.answers(asset) and devices.network.read(asset):
                await self.process.sleep(ROUND_TRIP_SECONDS + slow)
                return self.state_of(order)
            await self.process.sleep(PATIENCE_SECONDS)
        raise Unreachable(f"{asset} does not answer, try its network")

    async def _watch(self, attempt: _Attempt) -> str | None:
        """Read until the goal is seen or the effect's time has passed; at least once."""
        latency = attempt.order.effect_latency_seconds
        end_ns, seen = attempt.sent_at_ns + round(latency * 1e9), None
        while True:
            try:
                seen = await self.read(attempt.order)
            except HallkeeperError:
                seen = None
            if seen == attempt.goal or self._clock.boottime_ns() >= end_ns:
                return seen
            await self._clock.sleep(min(max(latency / 10, 0.02), LONGEST_POLL_SECONDS))


class BmcWriter(PowerWriter):
    """Chassis control over a session that is closed, and with it every copy, before the read-back counts."""

    def state_of(self, order: Order) -> str:
        """On or off, as the BMC says."""
        return self.devices.power_of(str(order.asset))

    def arrives(self, order: Order, note: str, *, copy: bool) -> bool:
        """Carried out while the session lives."""
        return self.devices.chassis(order, self.devices.sessions.setdefault(note, Session()), copy=copy)

    def opened(self, order: Order) -> str:
        """A session of its own for each command."""
        del order
        note = f"{len(self.devices.sessions) + 1:08x}"
        self.devices.sessions[note] = Session()
        return note

    async def fenced(self, order: Order, note: str) -> bool | None:
        """Close Session, acknowledged."""
        try:
            await self.read(order)
        except HallkeeperError:
            return False
        self.devices.sessions.setdefault(note, Session()).alive = False
        return True


class PduWriter(PowerWriter):
    """A SET of one outlet: SNMP has no fence, a copy may run."""

    def state_of(self, order: Order) -> str:
        """On or off, as the PDU says."""
        return self.devices.outlet_of(str(order.asset), outlet_of(order.arguments))

    def arrives(self, order: Order, note: str, *, copy: bool) -> bool:
        """Carried out, however often it comes."""
        del note
        return self.devices.relay(order, copy=copy)

    def opened(self, order: Order) -> str:
        """Nothing to be fenced with."""
        del order
        return "snmp"

    async def fenced(self, order: Order, note: str) -> bool | None:
        """There is none."""
        del order, note
        return None


def _tell(answer: "asyncio.Future[bool]") -> None:
    if not answer.done():
        answer.set_result(True)


def _give_up(answer: "asyncio.Future[bool]") -> None:
    if not answer.done():
        answer.set_result(False)
