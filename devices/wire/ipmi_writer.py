"""Power off and power on through a BMC: sent once, now or not at all; fenced; read back.

The order of things is that of the checks: a fresh session with the pinned suite, the state before in that session,
the packet encoded, the socket's old error cleared, the intent durable, the deadline compared, the send. After the send
nothing but an authenticated answer changes *unknown*, and nothing here ever sends the command again.
"""

from dataclasses import dataclass, field, replace

from devices.orders import FRESH_SECONDS, Order, Remember, Report, State, Verdict, forget, in_time
from devices.wire import rmcp_commands as ipmi
from devices.wire.ipmi_fence import NUMBER_BLIND, fence, gone
from devices.wire.ipmi_restart import Restart
from devices.wire.ipmi_subjects import RUNS, ColdReset, Subject, subject_of
from devices.wire.rmcp import Client, Patience, session_with
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_link import Link, clear_error
from devices.wire.rmcp_session import Account, Request
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Refused
from fleet.secrets import reveal

MAY_HAVE_RUN = frozenset({0xC3, 0xCE, 0xFF})
"""Completion codes that do not say that nothing happened: timed out, response lost, unspecified."""

SESSION_EXPIRY_SECONDS = 66.0
"""After this long without a packet a BMC has dropped the session (60 s, give or take 3; section 6.12.15), and with it
every copy of a command in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long the steps of one command wait. Defaults to tune."""

    patience: Patience = field(default_factory=Patience)
    answer_seconds: float = 5.0
    """For the command's answer: BMCs answer chassis control after up to some seconds."""
    longest_poll_seconds: float = 2.0
    """Between two reads of the state while its effect is awaited."""


@dataclass(slots=True)
class _Attempt:
    """One order under way."""

    order: Order
    subject: Subject
    account: Account
    report: Report
    before: str | None = None
    sent_at_ns: int | None = None
    state: State = State.NOT_SENT

    @property
    def goal(self) -> str | None:
        return self.subject.goal

    def not_sent(self, text: str, *, after: str | None = None) -> Verdict:
        return Verdict(state=State.NOT_SENT, before=self.before, after=after, text=f"{self.order.asset}: {text}")

    def reached(self, state: State) -> None:
        self.state = state
        self.report(state)


def account_of(order: Order, privilege: int) -> Account:
    """Who logs in for an order: the suite is the secret's, never what the BMC offers. Raises `Refused`."""
    secret = order.secret
    try:
        user, password, suite = (reveal(secret[key]) for key in ("user", "password", "suite"))
        number = int(suite)
    except (KeyError, ValueError) as error:
        raise Refused(
            f"{order.endpoint.source}: the secret lacks {error}, try user, password, suite (17 or 3)"
        ) from None
    return Account(user=user, password=password, suite=suite_of(number), privilege=privilege)


class IpmiWriter:
    """Carries out the verbs of `ipmi_subjects`: power, the DCMI limit and the BMC's own restart, and nothing else."""

    def __init__(self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None) -> None:
        self._clock = clock
        self._remember = remember
        self._timing = timing or Timing()

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, fence, look again."""
        try:
            subject = subject_of(order.verb, order.arguments)
            attempt = _Attempt(order, subject, account_of(order, subject.privilege), report)
            client = Client(await Link.open(order.endpoint.address), patience=self._timing.patience)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: {error}")
        try:
            return await self._in_session(attempt, client)
        finally:
            await client.close()

    async def settle(self, order: Order, note: str, report: Report) -> Verdict:
        """End the session in which an earlier process may have sent the command, then read what it did."""
        try:
            subject = subject_of(order.verb, order.arguments)
            account = account_of(order, subject.privilege)
        except (HallkeeperError, ValueError) as error:
            return Verdict(state=State.UNCONFIRMED, text=f"{order.asset}: {error}")
        attempt = _Attempt(order, subject, account, report, sent_at_ns=self._clock.boottime_ns(), state=State.UNKNOWN)
        dead = await gone(order.endpoint.address, attempt.account, int(note, 16), patience=self._timing.patience)
        return await self._read_back(attempt, "the session it was sent in is gone" if dead else None, said="not known")

    async def _in_session(self, attempt: _Attempt, client: Client) -> Verdict:
        try:
            await client.login(attempt.account)
            looked_at_ns = self._clock.boottime_ns()
            attempt.before = await attempt.subject.look(client)
        except HallkeeperError as error:
            return attempt.not_sent(f"nothing was sent: {error}")
        if attempt.before == attempt.goal:
            return attempt.not_sent(f"is {attempt.goal} already: nothing was sent", after=attempt.before)
        sent = self._send(attempt, client, looked_at_ns)
        if isinstance(sent, Verdict):
            return sent
        try:
            return await self._after_the_send(attempt, client, sent)
        except Exception as error:
            return Verdict(
                state=State.UNCONFIRMED,
                before=attempt.before,
                text=f"{attempt.order.asset}: sent, then {error!r}: read the device, a human decides",
            )

    def _send(self, attempt: _Attempt, client: Client, looked_at_ns: int) -> Request | Verdict:
        """The one place where a command leaves: now or not at all."""
        order, session, sock = attempt.order, client.session, client.link.sock
        assert session is not None
        command, payload = attempt.subject.request()
        request = session.request(*command, payload)
        try:
            clear_error(sock)
            self._remember(order.intent, f"{session.bmc:08x}")
            if self._clock.boottime_ns() - looked_at_ns > FRESH_SECONDS * 1e9:
                return attempt.not_sent("nothing was sent: the state was read too long ago, try again as a new intent")
            if not in_time(self._clock.boottime_ns(), order.not_after_boottime_ns):
                return attempt.not_sent("nothing was sent: its time was over, try again as a new intent")
            sock.send(request.packet)
        except Exception as error:  # a failed send (UDP sends all or nothing), or an intent that could not be written
            return attempt.not_sent(f"nothing was sent: {error!r}")
        attempt.sent_at_ns = self._clock.boottime_ns()
        return request

    async def _after_the_send(self, attempt: _Attempt, client: Client, request: Request) -> Verdict:
        attempt.reached(State.SENT)
        answer = await client.answer_to(request, self._timing.answer_seconds)
        if answer is None or answer.code in MAY_HAVE_RUN:
            attempt.reached(State.UNKNOWN)
        else:
            attempt.reached(State.REFUSED if answer.code else State.ACKNOWLEDGED)
        said = (
            "no answer" if answer is None else f"the BMC {ipmi.meaning_of(answer.code)}" if answer.code else "accepted"
        )
        if isinstance(attempt.subject, ColdReset) and attempt.state is not State.REFUSED:
            return await self._after_restart(attempt, client, said)
        how = await fence(
            client,
            attempt.account,
            address=attempt.order.endpoint.address,
            command_sequence=request.sequence,
            number_blind=attempt.order.endpoint.profile in NUMBER_BLIND,
        )
        verdict = await self._read_back(attempt, how, said)
        return replace(verdict, state=State.FENCED) if verdict.state is State.UNKNOWN else verdict

    async def _after_restart(self, attempt: _Attempt, client: Client, said: str) -> Verdict:
        """A BMC that starts anew takes its sessions along: that is its fence, and the only sign that it did."""
        order, session = attempt.order, client.session
        assert session is not None
        assert attempt.sent_at_ns is not None
        client.session = None  # it dies with the restart, or is ended from outside: a Close would wait for nobody
        restart = Restart(
            address=order.endpoint.address,
            account=attempt.account,
            session=session.bmc,
            sent_at_ns=attempt.sent_at_ns,
            patience=self._timing.patience,
            clock=self._clock,
        )
        until_ns = attempt.sent_at_ns + round(order.effect_latency_seconds * 1e9)
        restarted = await restart.seen(until_ns=until_ns, pause_seconds=self._pause_seconds(attempt))
        dead = restarted or await gone(
            order.endpoint.address, attempt.account, session.bmc, patience=self._timing.patience
        )
        attempt.report(State.FENCED if dead else State.UNCONFIRMED)
        state = State.FENCED if attempt.state is State.UNKNOWN else attempt.state
        return Verdict(
            state=state if dead else State.UNCONFIRMED,
            before=attempt.before,
            after={True: "restarted", False: RUNS, None: None}[restarted],
            text=f"{order.asset}: {said}; {_RESTARTED[restarted]}",
        )

    async def _read_back(self, attempt: _Attempt, fenced: str | None, said: str) -> Verdict:
        """The state after the fence; unfenced, the state is read too but proves nothing final."""
        attempt.report(State.FENCED if fenced else State.UNCONFIRMED)
        after = await self._watch(attempt)
        if after is None:
            found = "its state could not be read back"
        else:
            found = f"is {after}" if after == attempt.goal else f"is still {after}"
        fence_text = fenced or (
            f"fence unconfirmed: a copy may still run for {SESSION_EXPIRY_SECONDS:.0f} s, a human decides after that"
        )
        return Verdict(
            state=attempt.state if fenced else State.UNCONFIRMED,
            before=attempt.before,
            after=after,
            text=f"{attempt.order.asset}: {said}; {fence_text}; {found}",
        )

    async def _watch(self, attempt: _Attempt) -> str | None:
        """Read until the goal is seen or the effect's time has passed; at least once."""
        assert attempt.sent_at_ns is not None
        seconds = 0.0 if attempt.goal is None else attempt.order.effect_latency_seconds
        end_ns = attempt.sent_at_ns + round(seconds * 1e9)
        while True:
            try:
                async with session_with(
                    attempt.order.endpoint.address, attempt.account, patience=self._timing.patience
                ) as client:
                    return await self._poll(attempt, client, end_ns)
            except HallkeeperError:
                if self._clock.boottime_ns() >= end_ns:
                    return None
                await self._pause(attempt)

    async def _poll(self, attempt: _Attempt, client: Client, end_ns: int) -> str:
        while True:
            seen = await attempt.subject.look(client)
            if seen == attempt.goal or self._clock.boottime_ns() >= end_ns:
                return seen
            await self._pause(attempt)

    async def _pause(self, attempt: _Attempt) -> None:
        await self._clock.sleep(self._pause_seconds(attempt))

    def _pause_seconds(self, attempt: _Attempt) -> float:
        return min(max(attempt.order.effect_latency_seconds / 10, 0.02), self._timing.longest_poll_seconds)


_RESTARTED = {
    True: "it restarted: it answers and has forgotten the session",
    False: "it answers and has not restarted",
    None: "it does not answer yet",
}
