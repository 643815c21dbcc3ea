"""Whatever bytes arrive, a server drops or refuses them and answers the next good request."""

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from simulator.http import Service, json_response, listen
from simulator.ipmi import packets
from simulator.ipmi.commands import TABLE, Bmc, run
from simulator.ipmi.packets import PacketError
from simulator.ipmi.server import BmcServer
from simulator.ipmi.sessions import Account, Session, Sessions
from simulator.ipmi.suites import SUITES, CipherError
from simulator.kube.patch import APPLY, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, PatchError
from simulator.layout import Layout
from simulator.modbus.cdu import cdu_registers
from simulator.modbus.server import READ_INPUT, Device
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.snmp import ber
from simulator.snmp.agent import Access, SnmpAgent, engine_id_of
from simulator.snmp.eaton import CONTROL, EatonPdu
from simulator.snmp.usm import make_user
from simulator.truth import GroundTruth

LAYOUT = Layout(4, 1)
GUID = bytes(16)
GET_STATE = ber.sequence(
    (
        ber.integer(1), ber.octets(b"read"),
        ber.tlv(0xA0, ber.integer(7) + ber.integer(0) + ber.integer(0) + ber.sequence((ber.sequence((ber.oid((*CONTROL, 2, 0, 1)), b"\x05\x00")),))),
    )
)  # fmt: skip


def mutations(sample: bytes) -> st.SearchStrategy[bytes]:
    """The sample with some bytes changed, cut off or added."""
    changed = st.lists(st.tuples(st.integers(0, len(sample) - 1), st.integers(0, 255)), max_size=6)

    def mutate(parts: tuple) -> bytes:
        changes, keep, tail = parts
        buffer = bytearray(sample)
        for at, byte in changes:
            buffer[at] = byte
        return bytes(buffer[:keep]) + tail

    return st.tuples(changed, st.integers(0, len(sample)), st.binary(max_size=8)).map(mutate)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    plant = Plant(LAYOUT, seed=1)
    engine = engine_id_of("pdu-r01-a")
    user = make_user(
        "u", algorithm="sha256", auth_password="a" * 12, privacy_password="p" * 12, engine_id=engine, may_write=True
    )
    truth = GroundTruth(tmp_path_factory.mktemp("snmp") / "truth.jsonl")
    mib = EatonPdu(plant, 0).mib(engine_id=engine, boots=1, seconds=lambda: 5.0)
    access = Access(read_community=b"read", write_community=b"writ", users={b"u": user})
    yield SnmpAgent(
        name="pdu-r01-a",
        mib=mib,
        access=access,
        engine_id=engine,
        boots=1,
        started=0.0,
        truth=truth,
        reach=Reach(plant),
    )
    truth.close()


def answer_of(agent: SnmpAgent, packet: bytes) -> bytes | None:
    try:
        return agent.respond(packet)
    except ber.BerError:
        return None


@settings(max_examples=400, deadline=None)
@given(st.one_of(mutations(GET_STATE), st.binary(max_size=200)))
@example(b"\x30\x84\xff\xff\xff\xff")
@example(b"\x30\x80")
@example(b"")
def test_an_snmp_agent_survives_any_datagram(agent, packet) -> None:
    answer_of(agent, packet)
    assert answer_of(agent, GET_STATE) is not None


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=20).map(lambda rest: (1, 3, *rest)),
    st.integers(0, 200),
    st.integers(0, 2**31 - 1),
)
def test_any_object_can_be_asked_for_with_any_repetition(agent, oid, singles, repetitions) -> None:
    varbinds = ber.sequence((ber.sequence((ber.oid(oid), b"\x05\x00")),))
    for kind, second, third in ((0xA0, 0, 0), (0xA1, 0, 0), (0xA5, singles, repetitions)):
        request = ber.sequence(
            (
                ber.integer(1),
                ber.octets(b"read"),
                ber.tlv(kind, ber.integer(1) + ber.integer(second) + ber.integer(third) + varbinds),
            )
        )
        answer = answer_of(agent, request)
        assert answer is not None and len(answer) <= 8_192


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_survive_their_encoding_in_the_fewest_octets(value) -> None:
    encoded = ber.integer(value)
    assert ber.read_integer(encoded, 0, len(encoded)) == (value, len(encoded))
    assert encoded[1] == 1 or not (encoded[2] in (0x00, 0xFF) and (encoded[2] ^ encoded[3]) & 0x80 == 0)


@given(st.tuples(st.integers(0, 1), st.integers(0, 39), st.lists(st.integers(0, 2**32 - 1), max_size=30)))
def test_object_identifiers_survive_their_encoding(parts) -> None:
    oid = (parts[0], parts[1], *parts[2])
    start, end = ber.expect(encoded := ber.oid(oid), 0, len(encoded), ber.OID)
    assert ber.decode_oid(encoded[start:end]) == oid


@pytest.fixture(scope="module")
def bmc(tmp_path_factory):
    plant = Plant(LAYOUT, seed=1)
    truth = GroundTruth(tmp_path_factory.mktemp("ipmi") / "truth.jsonl")
    sessions = Sessions(accounts={b"w": Account(b"secret", 4)}, suites=frozenset({3, 17}), guid=GUID)
    unit = Bmc(plant, 0, GUID, lambda seconds: seconds, lambda: False, lambda *_: None)
    yield BmcServer(
        name="n", bmc=unit, sessions=sessions, suites=frozenset({3, 17}), truth=truth, answers=lambda: True,
        loses_replies=lambda: False, delay_seconds=lambda: 0.0, clock=lambda: 0.0,
    )  # fmt: skip
    truth.close()


CHANNEL = bytes.fromhex("0600ff070000000000000000000920 18c88100388e04b5".replace(" ", ""))
OPEN = packets.plain_packet(
    packets.OPEN_REQUEST,
    bytes(4) + b"\1\2\3\4" + bytes((0, 0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 8, 1, 0, 0, 0)),
)
RAKP_1 = packets.plain_packet(packets.RAKP_1, bytes(28))
SEALED = packets.RMCP_IPMI + packets.session_body(0, 1, 1, bytes(48), flags=0xC0) + bytes(16)


@settings(max_examples=400, deadline=None)
@given(st.one_of(mutations(CHANNEL), mutations(OPEN), mutations(RAKP_1), mutations(SEALED), st.binary(max_size=120)))
@example(b"")
@example(b"\x06\x00\xff\x06\x00\x00\x11\xbe\x80\x01\x00\x00")
def test_a_bmc_survives_any_datagram(bmc, packet) -> None:
    with contextlib.suppress(PacketError, CipherError):
        bmc.respond(packet)
    assert bmc.respond(CHANNEL) is not None


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([*TABLE, (0x0A, 0x47), (0x30, 0x99)]), st.binary(max_size=24))
def test_any_command_with_any_data_gets_a_completion_code(bmc, command, data) -> None:
    session = Session(1, 1, SUITES[17], 0.0, account=Account(b"x", 4), role=4, privilege=4)
    code, answer = run(bmc.bmc, *command, data, session)
    assert 0 <= code <= 255 and isinstance(answer, bytes)
    assert code == 0 or answer == b""


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 255))
def test_any_modbus_request_gets_data_or_an_exception(tmp_path_factory, pdu, unit) -> None:
    plant = Plant(LAYOUT, seed=1)
    truth = GroundTruth(tmp_path_factory.mktemp("modbus") / "truth.jsonl")
    device = Device(name="cdu-1", unit=1, registers={READ_INPUT: cdu_registers(plant, 0)}, truth=truth)
    answer = device.respond(1, unit, pdu)
    truth.close()
    assert (answer[0] & 0x7F) == (pdu[0] & 0x7F)
    assert (answer[0] & 0x80 and len(answer) == 2) or len(answer) == 2 + answer[1]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "metadata", "op", "path", "value", "taints", "$patch", "x"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH]), anything)
def test_any_patch_is_applied_or_refused_and_never_changes_what_it_was_given(kind, patch) -> None:
    target = {"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"taints": [{"key": "k"}]}}
    with contextlib.suppress(PatchError):
        APPLY[kind](target, patch)
    assert target == {"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"taints": [{"key": "k"}]}}


REQUEST = b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(mutations(REQUEST), st.binary(max_size=60)), min_size=1, max_size=3))
@example([b"GET /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"])
@example([b"GET /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"])
@example([b"A" * 20_000])
def test_an_http_server_survives_any_bytes_and_serves_the_next_client(pieces) -> None:
    async def talk() -> None:
        listener = await listen(Service(handler=lambda request: json_response({"path": request.path})))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            for piece in pieces:
                writer.write(piece)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 2)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(b"GET /y HTTP/1.1\r\n\r\n")
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
            writer.close()
        finally:
            listener.close()
            await asyncio.sleep(0)

    asyncio.run(talk())


def test_requests_that_arrive_byte_by_byte_or_all_at_once_are_answered_in_order() -> None:
    whole = b"".join(b"PUT /%d HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc" % number for number in range(5))

    async def talk(pieces) -> bytes:
        listener = await listen(Service(handler=lambda request: json_response([request.path, request.body.decode()])))
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        answers = b"".join([await reader.readuntil(b"]") for _ in range(5)])
        writer.close()
        listener.close()
        await asyncio.sleep(0)
        return answers

    at_once = asyncio.run(talk([whole]))
    assert [b'["/%d","abc"]' % number in at_once for number in range(5)] == [True] * 5
    assert asyncio.run(talk([bytes((byte,)) for byte in whole])) == at_once


def test_the_ground_truth_is_whole_lines_numbered_without_a_gap(tmp_path: Path) -> None:
    truth = GroundTruth(tmp_path / "truth.jsonl")
    for number in range(50):
        truth.record(
            device="d", server="s", verb="v", arguments={"n": number}, request_id="r\n", accepted=True, executed=False
        )
    truth.close()
    lines = (tmp_path / "truth.jsonl").read_bytes().splitlines()
    assert [b'"number":%d,' % number in line for number, line in zip(itertools.count(1), lines, strict=False)] == [
        True
    ] * 50
