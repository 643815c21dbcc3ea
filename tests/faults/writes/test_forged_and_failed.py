"""Lies on the wire and failures of the machine: what an attacker, a full buffer or a mute device must not bring about."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devices.orders import Order, State
from devices.wire import rmcp_link
from devices.wire.ipmi_writer import IpmiWriter, Timing
from devices.wire.rmcp import Client, Patience, session_with
from devices.wire.rmcp_bmc import device_id
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_link import Link
from devices.wire.rmcp_packet import checksum
from devices.wire.rmcp_session import ADMINISTRATOR, Account
from devices.wire.snmp_set import SnmpSetWriter
from devices.wire.snmp_set import Timing as SnmpTiming
from fleet.clock import SystemClock
from fleet.errors import Malformed, Unreachable
from fleet.model import AssetId, Endpoint, Wire
from tests.faults.proxy import Fault, Plan, UdpProxy
from tests.faults.write_peers import PASSWORD, USER, IpmiSim
from tests.faults.write_sniff import IpmiSniffer, SnmpSniffer
from tests.faults.write_snmpd import AUTH_KEY, PRIV_KEY, V3_USER, Snmpd

IPMI_SECRET = {"user": USER, "password": PASSWORD, "suite": 3}
V3 = {"version": "3", "user": V3_USER, "auth": "sha256", "auth_key": AUTH_KEY, "priv": "aes128", "priv_key": PRIV_KEY}
QUICK = Timing(patience=Patience(timeout_seconds=0.2, tries=4), answer_seconds=0.3)


def order(address: str, wire: Wire, **changes: object) -> Order:
    profile, name = ("any", "bmc") if wire is Wire.IPMI else ("eaton-epdu-g3", "snmp")
    whole = {
        "intent": "i1",
        "asset": AssetId("x"),
        "verb": "power_off" if wire is Wire.IPMI else "outlet_off",
        "arguments": {"outlet": "2"},
        "endpoint": Endpoint(
            asset=AssetId("x"), name=name, wire=wire, address=address, profile=profile, credentials="c", job=name
        ),
        "secret": IPMI_SECRET if wire is Wire.IPMI else V3,
        "not_after_boottime_ns": SystemClock().boottime_ns() + 10**10,
        "effect_latency_seconds": 0.3,
    }
    return Order(**(whole | changes))


@pytest.fixture
def bmc(tmp_path: Path) -> Iterator[IpmiSim]:
    sim = IpmiSim(tmp_path / "bmc").start()
    yield sim
    sim.stop()


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[Snmpd]:
    agent = Snmpd(tmp_path / "pdu").start()
    yield agent
    agent.stop()


class Liar(UdpProxy):
    """Swallows replies once the command has passed and answers in the device's place."""

    lie: Callable[[bytes], bytes | None] = staticmethod(lambda _reply: None)
    lying = False

    def _to_client(self, side: object, data: bytes) -> None:
        if not self.lying:
            super()._to_client(side, data)
            return
        lie = self.lie(data)
        if lie is not None:
            super()._to_client(side, lie)


def accepted_in_clear(reply: bytes) -> bytes:
    """Chassis control, token 3, completed: as the BMC would say it, in the session that anybody can see, but unsigned."""
    head, body = b"\x81\x04", bytes((0x20, 3 << 2, 0x02, 0x00))
    message = head + bytes((checksum(head),)) + body + bytes((checksum(body),))
    return reply[:5] + b"\0" + reply[6:10] + b"\x63\0\0\0" + len(message).to_bytes(2, "little") + message


def damaged(reply: bytes) -> bytes:
    return reply[:-1] + bytes((reply[-1] ^ 1,))


@pytest.mark.peer("ipmi_sim")
@pytest.mark.parametrize("lie", [accepted_in_clear, damaged, lambda _: b"", lambda r: r[:20], lambda _: b"\xff" * 900])
async def test_only_an_authenticated_reply_changes_unknown(bmc: IpmiSim, lie: Callable[[bytes], bytes]) -> None:
    sniffer = IpmiSniffer(USER, PASSWORD)
    async with Liar(
        ("127.0.0.1", bmc.port), Plan(rate=0.0), on_request=sniffer.request, on_reply=sniffer.reply
    ) as liar:
        liar.lie = lie
        states: list[State] = []

        def report(state: State) -> None:
            states.append(state)
            liar.lying = state is State.SENT  # the command's reply alone is forged

        verdict = await IpmiWriter(SystemClock(), timing=QUICK).act(order(liar.address, Wire.IPMI), report)
    assert states == [State.SENT, State.UNKNOWN, State.FENCED]
    assert (verdict.state, verdict.after) == (State.FENCED, "off")
    assert sniffer.commands == 1
    assert len(bmc.executions()) == 1


@pytest.mark.peer("ipmi_sim")
async def test_a_bmc_that_falls_silent_after_the_send_leaves_the_fence_unconfirmed(bmc: IpmiSim) -> None:
    async with UdpProxy(("127.0.0.1", bmc.port), Plan(rate=0.0)) as proxy:

        def report(state: State) -> None:
            if state is State.SENT:
                proxy.plan = Plan(fault=Fault.DROP_REPLIES, rate=1.0)

        timing = Timing(patience=Patience(timeout_seconds=0.05, tries=2, logins=1), answer_seconds=0.1)
        verdict = await IpmiWriter(SystemClock(), timing=timing).act(order(proxy.address, Wire.IPMI), report)
    assert verdict.state is State.UNCONFIRMED
    assert verdict.after is None
    assert "66 s" in verdict.text
    assert len(bmc.executions()) == 1


class FailingSocket:
    """A socket whose next send fails, as with a full buffer or a route that went away."""

    def __init__(self, sock: socket.socket, error: OSError) -> None:
        self._sock = sock
        self._error = error
        self.armed = False

    def send(self, data: bytes) -> int:
        if self.armed:
            raise self._error
        return self._sock.send(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


@pytest.mark.peer("ipmi_sim")
@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENETUNREACH, errno.ENOBUFS, errno.EPERM])
async def test_a_send_error_is_not_sent(bmc: IpmiSim, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    links: list[Link] = []
    plain = Link.open

    async def opened(address: str) -> Link:
        link = await plain(address)
        link.sock = FailingSocket(link.sock, OSError(code, "no"))
        links.append(link)
        return link

    monkeypatch.setattr(rmcp_link.Link, "open", opened)

    def remember(_intent: str, _note: str) -> None:
        links[0].sock.armed = True

    states: list[State] = []
    verdict = await IpmiWriter(SystemClock(), remember=remember, timing=QUICK).act(
        order(bmc.address, Wire.IPMI), states.append
    )
    assert verdict.state is State.NOT_SENT
    assert states == []
    assert bmc.executions() == []


async def test_an_error_that_an_earlier_packet_left_behind_does_not_stop_a_read() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    link = await Link.open(address)
    try:
        for _ in range(3):
            link.send(b"x")
            await asyncio.sleep(0.02)
    finally:
        link.close()


def report_pdu(request: bytes, oid: bytes) -> bytes:
    """A forged, unauthenticated v3 report with the request's message id: unknownEngineID, notInTimeWindow and the like."""
    from tests.faults.write_sniff import _element, _parts

    message_id = _parts(_parts(_element(request, 0)[1])[1][1])[0][1]

    def tlv(tag: int, content: bytes) -> bytes:
        return bytes((tag, len(content))) + content

    header = tlv(0x30, tlv(2, message_id) + tlv(2, b"\x00\xff\xff") + tlv(4, b"\x00") + tlv(2, b"\x03"))
    engine = b"\x80\x00\x1f\x88\x80forged"
    usm = tlv(
        4, tlv(0x30, tlv(4, engine) + tlv(2, b"\x01") + tlv(2, b"\x01") + tlv(4, b"") + tlv(4, b"") + tlv(4, b""))
    )
    binding = tlv(0x30, tlv(0x30, tlv(6, oid) + tlv(0x41, b"\x01")))
    pdu = tlv(0xA8, tlv(2, b"\x01") + tlv(2, b"\x00") + tlv(2, b"\x00") + binding)
    return tlv(0x30, tlv(2, b"\x03") + header + usm + tlv(0x30, tlv(4, engine) + tlv(4, b"") + pdu))


USM_STATS = bytes.fromhex("2b060106030f0101")
"""1.3.6.1.6.3.15.1.1; .2.0 notInTimeWindows, .3.0 unknownUserNames, .4.0 unknownEngineIDs, .5.0 wrongDigests"""


@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("stat", [2, 3, 4, 5])
async def test_a_forged_report_makes_no_second_set(pdu: Snmpd, stat: int) -> None:
    """pysnmp by itself answers such a report with the SET again: up to five times."""
    sniffer = SnmpSniffer(PRIV_KEY)
    last: list[bytes] = []

    def on_request(datagram: bytes) -> None:
        last[:] = [datagram]
        sniffer.request(datagram)

    async with Liar(("127.0.0.1", pdu.port), Plan(rate=0.0), on_request=on_request) as liar:
        liar.lie = lambda _reply: report_pdu(last[0], USM_STATS[:-1] + bytes((1, stat, 0)))
        states: list[State] = []

        def report(state: State) -> None:
            states.append(state)
            liar.lying = state is State.SENT

        timing = SnmpTiming(timeout_seconds=0.3, retries=2)
        verdict = await SnmpSetWriter(SystemClock(), timing=timing).act(order(liar.address, Wire.SNMP), report)
    assert states == [State.SENT, State.UNKNOWN]
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "off")
    assert sniffer.sets == 1
    assert len(pdu.executions()) == 1


@pytest.mark.peer("snmpd")
@pytest.mark.parametrize("garbage", [b"", b"\x30", b"\x30\x82\xff\xff", b"0" * 300, b"\x30\x80" * 200])
async def test_garbage_in_place_of_the_sets_answer_leaves_it_unknown(pdu: Snmpd, garbage: bytes) -> None:
    async with Liar(("127.0.0.1", pdu.port), Plan(rate=0.0)) as liar:
        liar.lie = lambda _reply: garbage

        def report(state: State) -> None:
            liar.lying = state is State.SENT

        timing = SnmpTiming(timeout_seconds=0.2, retries=2)
        verdict = await SnmpSetWriter(SystemClock(), timing=timing).act(order(liar.address, Wire.SNMP), report)
    assert (verdict.state, verdict.after) == (State.UNKNOWN, "off")
    assert len(pdu.executions()) == 1


class Flood(asyncio.DatagramProtocol):
    """A device that answers everything with a thousand packets of nonsense."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for place in range(1000):
            self.transport.sendto(
                b"\x06\x00\xff\x07\x06\x11" + bytes(8) + b"\x24\x00" + bytes((place & 0xFF,)) + b"\xff" * 35, address
            )


async def test_a_flood_of_nonsense_is_malformed_within_the_patience_and_without_growth() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Flood, local_addr=("127.0.0.1", 0))
    address = "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    account = Account(user=USER, password=PASSWORD, suite=suite_of(17), privilege=ADMINISTRATOR)
    try:
        with pytest.raises((Malformed, Unreachable)):
            async with (
                asyncio.timeout(10),
                session_with(address, account, patience=Patience(timeout_seconds=0.1, tries=2)),
            ):
                pass
    finally:
        transport.close()


@pytest.mark.peer("ipmi_sim")
async def test_a_session_whose_answers_are_all_damaged_is_malformed_not_silent(bmc: IpmiSim) -> None:
    async with Liar(("127.0.0.1", bmc.port), Plan(rate=0.0)) as liar:
        liar.lie = damaged
        client = Client(await Link.open(liar.address), patience=Patience(timeout_seconds=0.1, tries=2))
        try:
            await client.login(Account(user=USER, password=PASSWORD, suite=suite_of(3), privilege=ADMINISTRATOR))
            liar.lying = True
            with pytest.raises(Malformed, match="integrity code is wrong"):
                await device_id(client)
        finally:
            liar.lying = False
            await client.close()
