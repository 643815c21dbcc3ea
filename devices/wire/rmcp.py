"""An RMCP+ client for one event loop and many BMCs: sessions, reads with retries, and what a BMC can be asked.

Only reads are repeated here. The one request that changes state is sent by `devices.wire.ipmi_writer`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp_link import Link
from devices.wire.rmcp_packet import Answer
from devices.wire.rmcp_session import Account, Login, LoginLost, Request, Session
from fleet.errors import Malformed, Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one read waits and how often it is asked again."""

    timeout_seconds: float = 1.0
    """Wait for one packet's answer; a busy BMC takes up to 0.8 s (measured on ipmi_sim). A default to tune."""
    tries: int = 4
    """Packets for one read or one step of a login."""
    logins: int = 3
    """Logins begun anew after the BMC forgot what was agreed."""


READING = Patience()


class Client:
    """One session with one BMC: one request under way at a time, as BMCs like it.

    Raises `Unreachable` (silence), `Refused` (an authenticated no, a wrong password), `Malformed` (only undecodable
    answers came).
    """

    def __init__(self, link: Link, *, patience: Patience = READING) -> None:
        self.link = link
        self.patience = patience
        self.session: Session | None = None
        self.acknowledged = 0
        """A session sequence number that the BMC is known to have received; never too high."""
        self.malformed = 0
        """Datagrams that could not be decoded, or carried a wrong signature."""
        self._trouble: Malformed | None = None
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._request: Request | None = None
        self._answer: asyncio.Future[Answer | None] | None = None
        link.on_datagram = self._heard

    async def login(self, account: Account) -> None:
        """Open a session and raise it to the account's privilege; a login that the BMC forgot is begun anew."""
        for attempt in range(self.patience.logins):
            try:
                self.session = await self._handshake(Login(account))
                await self._raise_privilege(account.privilege)
            except (LoginLost, Unreachable):
                self.session = None
                if attempt == self.patience.logins - 1:
                    raise
            else:
                return

    async def read(self, command: ipmi.Command, data: bytes = b"") -> Answer:
        """Ask, and ask again when nothing comes: for commands that change nothing."""
        async with self._turn:
            session = self._logged_in()
            request = session.request(*command, data)
            first = request.sequence
            for attempt in range(self.patience.tries):
                if attempt:
                    request = session.again(request, data)
                self.link.send(request.packet)
                answer = await self.answer_to(request, self.patience.timeout_seconds)
                if answer is not None:
                    self.acknowledged = first
                    return answer
            raise self._silence(f"no answer to {self.patience.tries} packets of {command[0]:#04x}/{command[1]:#04x}")

    async def answer_to(self, request: Request, timeout_seconds: float) -> Answer | None:
        """Wait for the authenticated answer to a request that was just sent; None when the time is over.

        Asked for before anything else runs in this event loop, so that no answer can slip by.
        """
        self._request = request
        answer: asyncio.Future[Answer | None] = self._loop.create_future()
        self._answer = answer
        alarm = self._loop.call_later(timeout_seconds, _expire, answer)
        try:
            return await answer
        finally:
            alarm.cancel()
            self._request = self._answer = None

    async def close(self) -> None:
        """Log out: BMCs have few sessions. Never raises; a BMC that does not answer expires the session itself."""
        try:
            if self.session is not None:
                await self.close_session()
        except (Unreachable, Malformed):
            pass
        finally:
            self.link.close()

    async def close_session(self) -> Answer:
        """Close Session, once or again until the BMC acknowledges it; this client cannot ask anything after that."""
        session = self._logged_in()
        impatient = replace(self.patience, tries=min(self.patience.tries, 2))
        patience, self.patience = self.patience, impatient  # a closed session's BMC is silent: long waits gain nothing
        try:
            return await self.read(ipmi.CLOSE_SESSION, session.bmc.to_bytes(4, "little"))
        finally:
            self.patience = patience
            self.session = None

    def _logged_in(self) -> Session:
        if self.session is None:
            raise Unreachable(f"{self.link.where}: no session, log in first")
        return self.session

    async def _handshake(self, login: Login) -> Session:
        opened: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)  # a login takes three answers; more is a flood
        self.link.on_datagram = lambda datagram: None if opened.full() else opened.put_nowait(datagram)
        try:
            while True:
                packet = login.packet
                session = await self._step(login, opened)
                if session is not None:
                    return session
                if login.packet is packet:
                    raise self._silence(f"no answer to {self.patience.tries} login packets")
        finally:
            self.link.on_datagram = self._heard

    async def _step(self, login: Login, heard: asyncio.Queue[bytes]) -> Session | None:
        """Send the login's packet until it moves on. Returns without progress when patience is over."""
        packet = login.packet
        for _ in range(self.patience.tries):
            self.link.send(packet)
            end = self._loop.time() + self.patience.timeout_seconds
            while login.packet is packet:
                try:
                    async with asyncio.timeout_at(end):
                        datagram = await heard.get()
                except TimeoutError:
                    break
                session = self._take(login, datagram)
                if session is not None:
                    return session
            if login.packet is not packet:
                break
        return None

    def _take(self, login: Login, datagram: bytes) -> Session | None:
        try:
            return login.receive(datagram)
        except Malformed as error:
            self._note(error)
            return None

    async def _raise_privilege(self, privilege: int) -> None:
        ipmi.accepted(await self.read(ipmi.SET_SESSION_PRIVILEGE, bytes((privilege,))))

    def _heard(self, datagram: bytes) -> None:
        if self.session is None:
            return
        try:
            answer = self.session.receive(datagram)
        except Malformed as error:
            self._note(error)
            return
        waiting, request = self._answer, self._request
        if answer is None or waiting is None or request is None or waiting.done():
            return
        if request.answered_by(answer):
            waiting.set_result(answer)

    def _note(self, error: Malformed) -> None:
        self.malformed += 1
        self._trouble = error

    def _silence(self, text: str) -> Unreachable | Malformed:
        """What to raise when no usable answer came: malformed if something did come."""
        trouble, self._trouble = self._trouble, None
        if trouble is not None:
            return Malformed(f"{self.link.where}: {text}, only {trouble}")
        return Unreachable(f"{self.link.where}: {text}")


def _expire(answer: "asyncio.Future[Answer | None]") -> None:
    if not answer.done():
        answer.set_result(None)


@asynccontextmanager
async def session_with(address: str, account: Account, *, patience: Patience = READING) -> AsyncIterator[Client]:
    """A logged-in client, logged out whatever happens."""
    client = Client(await Link.open(address), patience=patience)
    try:
        await client.login(account)
        yield client
    finally:
        await client.close()
