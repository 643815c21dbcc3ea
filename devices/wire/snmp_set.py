"""Outlets switched over SNMP: one SET, now or not at all, read back at the state's own OID.

SNMP has no fence: a copy of the datagram that the network holds may run later, so only absolute off and on are sent,
and the state is watched for as long as the effect may take.
"""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from devices.orders import (
    FRESH_SECONDS,
    POWER_GOALS,
    Order,
    Remember,
    Report,
    State,
    Verdict,
    forget,
    in_time,
    outlet_of,
)
from devices.profiles.profile import Switch, Switching
from devices.profiles.switching import SWITCHING
from devices.wire.address import host_and_port
from devices.wire.snmp_set_engine import Conversation, Engines, Login, NotSent, Reply
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable
from fleet.secrets import reveal

SNMP_PORT = 161
NOTE = "set"
"""All that a later process can know: a SET may have been sent. There is no session to end."""

MAY_HAVE_RUN = frozenset({5, 14, 15})
"""Error statuses that do not say that nothing happened: genErr, commitFailed, undoFailed."""

STRANGE = frozenset({"UnknownEngineID", "NotInTimeWindow", "EngineIDMismatch"})
"""Troubles that say that the device is not who the engine remembers; silence may say the same under version 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the steps of one SET wait. Defaults to tune."""

    timeout_seconds: float = 1.0
    """For one answer."""
    retries: int = 3
    """Of reads; the SET has none."""
    longest_poll_seconds: float = 2.0
    """Between two reads of the state while its effect is awaited."""


def login_of(order: Order) -> Login:
    """What the secret says. Raises `Refused` for one that lacks something."""
    secret = order.secret
    try:
        if reveal(secret["version"]) == "2c":
            return Login(community=reveal(secret["community"]))
        return Login(
            user=reveal(secret["user"]),
            authentication=reveal(secret["auth"]),
            authentication_key=reveal(secret["auth_key"]),
            privacy=reveal(secret["priv"]),
            privacy_key=reveal(secret["priv_key"]),
        )
    except KeyError as error:
        raise Refused(
            f"{order.endpoint.source}: the secret lacks {error}, try version 2c with community, "
            "or version 3 with user, auth, auth_key, priv, priv_key"
        ) from None


class _StrangeEngine(Unreachable):
    """The device is not who pysnmp's engine remembers."""


@dataclass(slots=True)
class _Attempt:
    """One order under way."""

    order: Order
    login: Login
    switching: Switching
    outlet: str
    report: Report
    before: str | None = None
    looked_at_ns: int = 0
    sent_at_ns: int | None = None
    state: State = State.NOT_SENT

    @property
    def goal(self) -> str:
        return POWER_GOALS[self.order.verb]

    @property
    def command(self) -> Switch:
        return self.switching.off if self.goal == "off" else self.switching.on

    @property
    def name(self) -> str:
        return f"{self.order.asset} outlet {self.outlet}"

    def not_sent(self, text: str, *, after: str | None = None) -> Verdict:
        return Verdict(state=State.NOT_SENT, before=self.before, after=after, text=f"{self.name}: {text}")

    def reached(self, state: State) -> None:
        self.state = state
        self.report(state)


class SnmpSetWriter:
    """Carries out `outlet_off` and `outlet_on` by the switching table, and nothing else."""

    def __init__(
        self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None, engines: Engines | None = None
    ) -> None:
        self._clock = clock
        self._remember = remember
        self._timing = timing or Timing()
        self._engines = engines or Engines()

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again."""
        try:
            attempt = self._attempt(order, report)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {error}")
        try:
            sent = await self._in_conversation(attempt)
        except Exception as error:
            if attempt.sent_at_ns is None:
                return attempt.not_sent(f"nothing was sent: {error}")
            sent = Reply(repr(error))
        return sent if isinstance(sent, Verdict) else await self._after_the_send(attempt, sent)

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """Watch the state that an earlier process may have changed, for as long as a late copy may take."""
        del note
        try:
            attempt = self._attempt(order, report)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.UNKNOWN, text=f"{order.asset}: {error}")
        attempt.sent_at_ns = self._clock.boottime_ns()
        attempt.state = State.UNKNOWN
        return await self._read_back(attempt, "outcome not known")

    def _attempt(self, order: Order, report: Report) -> _Attempt:
        switching = SWITCHING.get(order.endpoint.profile)
        if switching is None:
            known = ", ".join(SWITCHING)
            raise Refused(f"no switching table for profile {order.endpoint.profile!r}, try one of {known}")
        return _Attempt(order, login_of(order), switching, outlet_of(order.arguments), report)

    async def _in_conversation(self, attempt: _Attempt) -> Verdict | Reply:
        """Look and send over one socket; an engine that remembers another device is replaced once, before the SET."""
        try:
            return await self._look_and_send(attempt)
        except _StrangeEngine:
            self._engines.forget(attempt.login)
            return await self._look_and_send(attempt)

    async def _look_and_send(self, attempt: _Attempt) -> Verdict | Reply:
        async with self._conversation(attempt) as device:
            attempt.looked_at_ns = self._clock.boottime_ns()
            attempt.before = await self._state(attempt, device)
            if attempt.before == attempt.goal:
                return attempt.not_sent(f"is {attempt.goal} already: nothing was sent", after=attempt.before)
            return await self._send(attempt, device)

    async def _send(self, attempt: _Attempt, device: Conversation) -> Verdict | Reply:
        device.shot.arm(lambda: self._why_not_now(attempt))
        try:
            oid = attempt.command.oid.format(outlet=attempt.outlet)
            return await device.set_once(oid, attempt.command.value, sent=lambda: self._sent(attempt))
        except NotSent as error:
            return attempt.not_sent(f"nothing was sent: {error}")

    def _why_not_now(self, attempt: _Attempt) -> str | None:
        """Called in the transport's send with the datagram encoded: the intent durable, the deadline last."""
        order = attempt.order
        self._remember(order.intent, NOTE)
        if self._clock.boottime_ns() - attempt.looked_at_ns > FRESH_SECONDS * 1e9:
            return "the state was read too long ago, try again as a new intent"
        if not in_time(self._clock.boottime_ns(), order.not_after_boottime_ns):
            return "its time was over, try again as a new intent"
        return None

    def _sent(self, attempt: _Attempt) -> None:
        attempt.sent_at_ns = self._clock.boottime_ns()
        attempt.reached(State.SENT)

    async def _after_the_send(self, attempt: _Attempt, reply: Reply) -> Verdict:
        if reply.trouble is not None or reply.status in MAY_HAVE_RUN:
            attempt.reached(State.UNKNOWN)
        else:
            attempt.reached(State.REFUSED if reply.status else State.ACKNOWLEDGED)
        said = reply.trouble or (f"refused with error status {reply.status}" if reply.status else "accepted")
        return await self._read_back(attempt, said)

    async def _read_back(self, attempt: _Attempt, said: str) -> Verdict:
        try:
            after = await self._watch(attempt)
        except Exception as error:  # whatever happens after a send, the order ends with what is known
            after, said = None, f"{said}; {error!r}"
        if after is None:
            found = "its state could not be read back"
        else:
            found = f"is {after}" if after == attempt.goal else f"is {after}, not {attempt.goal}"
        return Verdict(state=attempt.state, before=attempt.before, after=after, text=f"{attempt.name}: {said}; {found}")

    async def _watch(self, attempt: _Attempt) -> str | None:
        """Read until the goal is seen or the effect's time has passed; at least once."""
        assert attempt.sent_at_ns is not None
        end_ns = attempt.sent_at_ns + round(attempt.order.effect_latency_seconds * 1e9)
        while True:
            try:
                async with self._conversation(attempt) as device:
                    return await self._poll(attempt, device, end_ns)
            except HallkeeperError as error:
                if isinstance(error, _StrangeEngine):
                    self._engines.forget(attempt.login)
                if self._clock.boottime_ns() >= end_ns:
                    return None
                await self._pause(attempt)

    async def _poll(self, attempt: _Attempt, device: Conversation, end_ns: int) -> str:
        while True:
            seen = await self._state(attempt, device)
            if seen == attempt.goal or self._clock.boottime_ns() >= end_ns:
                return seen
            await self._pause(attempt)

    async def _pause(self, attempt: _Attempt) -> None:
        tenth = attempt.order.effect_latency_seconds / 10
        await self._clock.sleep(min(max(tenth, 0.02), self._timing.longest_poll_seconds))

    def _conversation(self, attempt: _Attempt) -> AbstractAsyncContextManager[Conversation]:
        host, port = host_and_port(attempt.order.endpoint.address, SNMP_PORT)
        timing = self._timing
        return self._engines.conversation(
            attempt.login, host, port, timeout_seconds=timing.timeout_seconds, retries=timing.retries
        )

    async def _state(self, attempt: _Attempt, device: Conversation) -> str:
        """The outlet's state in the family's own words. Raises `Unreachable`, `Refused`, `Malformed`."""
        reply = await device.get(attempt.switching.state_oid.format(outlet=attempt.outlet))
        where = f"{attempt.order.endpoint.address} {attempt.name}"
        if reply.kind in STRANGE or (reply.kind == "RequestTimedOut" and attempt.login.is_v3):
            raise _StrangeEngine(f"{where}: {reply.trouble}")
        if reply.kind == "RequestTimedOut":
            raise Unreachable(f"{where}: {reply.trouble}")
        if reply.trouble is not None or reply.status:
            raise Refused(f"{where}: {reply.trouble or f'error status {reply.status}'}, try the secret's user and keys")
        return _word(attempt.switching, reply, where)


def _word(switching: Switching, reply: Reply, where: str) -> str:
    """The state's word. Raises `Malformed` for what is no state of this family."""
    try:
        word = switching.states.get(int(reply.values[0]))
    except (IndexError, TypeError, ValueError):
        word = None
    if word is None:
        shown = [value.prettyPrint() for value in reply.values]
        raise Malformed(f"{where}: {shown} is no outlet state of this family, try another profile or outlet number")
    return word
