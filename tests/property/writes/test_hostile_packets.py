"""Whatever bytes come: `Malformed`, `Refused`, a lost login or silence, never another error, never without end."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp_crypto import SUITES, Keys, suite_of
from devices.wire.rmcp_packet import LARGEST, checksum, decode_answer, decode_packet, request_message, sealed_packet
from devices.wire.rmcp_sdr import decode_record
from devices.wire.rmcp_sel import decode_sel_entry, decode_sel_info, decode_sel_record
from devices.wire.rmcp_sensor import Factors, Format
from devices.wire.rmcp_session import Account, Login, LoginLost, Session
from fleet.errors import HallkeeperError, Malformed, Refused

KEY = b"k" * 20
SMALL = st.binary(max_size=300)


def answer_message(code: int = 0, data: bytes = b"") -> bytes:
    head, body = b"\x81\x1c", bytes((0x20, 0x04, 0x01, code)) + data
    return head + bytes((checksum(head),)) + body + bytes((checksum(body),))


@given(SMALL)
def test_any_bytes_are_a_packet_or_malformed(datagram: bytes) -> None:
    for keys in (None, Keys(SUITES[17], KEY)):
        with suppress(Malformed):
            decode_packet(datagram, keys)


@given(st.sampled_from([3, 17]), st.binary(max_size=60), st.data())
def test_a_mutated_packet_never_passes_as_another(suite: int, content: bytes, data: st.DataObject) -> None:
    """Flip, cut, insert: a session takes the packet as it was sent, or nothing."""
    sent = sealed_packet(Keys(SUITES[suite], KEY), session=2, sequence=1, payload=answer_message(data=content))
    mutated = bytearray(sent)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(mutated) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "cut", "insert"])):
            case "flip" if mutated:
                mutated[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del mutated[at:]
            case _:
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=8))
    session = Session(bmc=1, console=2, keys=Keys(SUITES[suite], KEY))
    try:
        answer = session.receive(bytes(mutated))
    except Malformed:
        return
    if bytes(mutated[4:]) != sent[4:]:  # the RMCP header in front is not signed
        assert answer is None


@given(st.integers(0, 3), SMALL, st.data())
def test_a_login_takes_any_answer_at_any_step(step: int, garbage: bytes, data: st.DataObject) -> None:
    login = Login(Account(user="hk", password="secret", suite=suite_of(data.draw(st.sampled_from([3, 17])))))
    tag = bytes((login.packet[16],))
    kind = data.draw(st.sampled_from([0x11, 0x13, 0x15]))
    payload = tag + garbage
    datagram = b"\x06\x00\xff\x07\x06" + bytes((kind,)) + bytes(8) + len(payload).to_bytes(2, "little") + payload
    for _ in range(step + 1):
        with suppress(Malformed, Refused, LoginLost):
            assert login.receive(datagram) is None


@given(SMALL)
def test_any_payload_is_an_answer_or_malformed(message: bytes) -> None:
    with suppress(Malformed):
        decode_answer(message)


@given(SMALL)
def test_any_data_decodes_or_is_malformed(data: bytes) -> None:
    for decode in (
        ipmi.decode_chassis_status,
        ipmi.decode_device_id,
        ipmi.decode_power_reading,
        ipmi.decode_sensor_reading,
        decode_record,
        decode_sel_record,
        decode_sel_entry,
        decode_sel_info,
    ):
        with suppress(HallkeeperError):
            decode(data)


@given(st.integers(1, 3), st.binary(min_size=5, max_size=80))
def test_any_sensor_record_gives_at_most_sixteen_sensors_with_printable_names(kind: int, body: bytes) -> None:
    record = b"\x01\x00\x51" + bytes((kind, len(body))) + body
    with suppress(Malformed):
        sensors = decode_record(record)
        assert len(sensors) <= 16
        assert all(sensor.name.isprintable() for sensor in sensors)
        for sensor in sensors:
            sensor.value(0x80)


@given(
    st.integers(-512, 511),
    st.integers(-512, 511),
    st.integers(-8, 7),
    st.integers(-8, 7),
    st.integers(0, 127),
    st.sampled_from(Format),
    st.integers(0, 255),
)
def test_any_factors_give_a_finite_number_or_none(
    m: int, b: int, b_exponent: int, result_exponent: int, curve: int, kind: Format, raw: int
) -> None:
    value = Factors(m, b, b_exponent, result_exponent, curve, kind).value(raw)
    assert value is None or abs(value) < float("inf")


@given(st.lists(st.integers(1, 200), max_size=60))
def test_every_number_is_taken_at_most_once(numbers: list[int]) -> None:
    theirs = Keys(SUITES[17], KEY)
    session = Session(bmc=1, console=2, keys=Keys(SUITES[17], KEY))
    taken = [
        n for n in numbers if session.receive(sealed_packet(theirs, session=2, sequence=n, payload=answer_message()))
    ]
    assert len(taken) == len(set(taken))
    assert (not numbers) or numbers[0] in taken


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_what_is_sealed_opens_to_itself_under_every_suite(payload: bytes) -> None:
    for suite in SUITES.values():
        ours, theirs = Keys(suite, KEY), Keys(suite, KEY)
        for _ in range(3):
            assert theirs.open(ours.seal(payload)) == payload


@given(st.integers(0, 62), st.integers(0, 255), st.binary(max_size=40))
def test_a_request_sums_to_zero_as_the_standard_asks(netfn: int, command: int, data: bytes) -> None:
    message = request_message(netfn & 0x3E, command, 5, data)
    assert sum(message[:3]) & 0xFF == 0
    assert sum(message[3:]) & 0xFF == 0


def test_a_datagram_beyond_any_ipmi_message_is_not_even_looked_at() -> None:
    try:
        decode_packet(bytes(LARGEST + 1))
    except Malformed as error:
        assert "bytes" in str(error)
