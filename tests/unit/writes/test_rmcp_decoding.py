"""What sensors, records, logs and statuses mean."""

import math

import pytest

from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp_sdr import decode_name, decode_record
from devices.wire.rmcp_sel import decode_sel_entry, decode_sel_record
from devices.wire.rmcp_sensor import Factors, Format, decode_factors, unit_of
from fleet.errors import Malformed, Refused


def factors(**changes: object) -> Factors:
    plain = {"m": 1, "b": 0, "b_exponent": 0, "result_exponent": 0, "linearisation": 0, "format": Format.UNSIGNED}
    return Factors(**(plain | changes))


def test_a_linear_sensor_is_scaled_and_shifted_by_its_exponents() -> None:
    assert factors(m=40).value(150) == 6000
    assert factors(m=2, b=5, b_exponent=1, result_exponent=-1).value(10) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("kind", "raw", "number"),
    [(Format.UNSIGNED, 0xFF, 255), (Format.TWOS_COMPLEMENT, 0xFF, -1), (Format.ONES_COMPLEMENT, 0xFE, -1)],
)
def test_the_raw_byte_is_a_number_in_the_records_format(kind: Format, raw: int, number: int) -> None:
    assert factors(format=kind).value(raw) == number


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0x01, math.log(9)), (0x02, math.log10(9)), (0x03, math.log2(9)), (0x04, math.exp(9)), (0x05, 1e9),
        (0x06, 512.0), (0x07, 1 / 9), (0x08, 81.0), (0x09, 729.0), (0x0A, 3.0), (0x0B, 9 ** (1 / 3)),
    ],
)  # fmt: skip
def test_the_standard_curves(code: int, expected: float) -> None:
    assert factors(linearisation=code).value(9) == pytest.approx(expected)


@pytest.mark.parametrize(("code", "raw"), [(0x01, 0), (0x07, 0), (0x70, 9), (0x0C, 9)])
def test_a_curve_without_a_value_there_gives_none_and_no_error(code: int, raw: int) -> None:
    assert factors(linearisation=code).value(raw) is None


def test_factors_are_ten_bit_signed_and_their_exponents_four() -> None:
    found = decode_factors(bytes((0xFF, 0xC0, 0x01, 0x80, 0x00, 0xF3)), 0, 2)
    assert (found.m, found.b, found.result_exponent, found.b_exponent) == (-1, -511, -1, 3)


@pytest.mark.parametrize(
    ("packed", "name"),
    [
        (b"\xc4FAN1", "FAN1"),
        (b"\x83" + bytes.fromhex("66e846"), "FAN1"),
        (b"\x42\x12\x3a", "123 "),
        (b"\x04F\x00A\x00", "FA"),
        (b"\xc3A\x00B", "AB"),
        (b"\xc0", ""),
    ],
)
def test_names_come_in_four_codings(packed: bytes, name: str) -> None:
    assert decode_name(packed) == name.strip()


def record(kind: int, body: bytes) -> bytes:
    return b"\x01\x00\x51" + bytes((kind, len(body))) + body


def test_one_compact_record_describes_a_run_of_sensors() -> None:
    body = bytearray(27)
    body[0], body[2], body[3], body[4] = 0x20, 0x30, 0x1D, 0x01
    body[7], body[8] = 0x04, 0x6F
    body[18], body[19] = 0x03, 0x81  # three of them, named from 1, instances counted on
    whole = record(0x02, bytes(body[:26]) + b"\xc3FAN")
    found = decode_record(whole)
    assert [(one.number, one.name, one.entity_instance) for one in found] == [
        (0x30, "FAN1", 1), (0x31, "FAN2", 2), (0x32, "FAN3", 3),
    ]  # fmt: skip
    assert found[0].factors is None


def test_records_that_are_no_sensors_are_passed_over() -> None:
    assert decode_record(record(0x11, bytes(20))) == ()
    assert decode_record(record(0xC0, bytes(5))) == ()


@pytest.mark.parametrize("cut", range(58))
def test_a_cut_record_is_malformed_wherever_it_is_cut(cut: int) -> None:
    whole = record(0x01, bytes(42) + b"\xcaTEMP_INLET")
    with pytest.raises(Malformed):
        decode_record(whole[:cut])


def test_units_carry_their_rate() -> None:
    assert unit_of(0x00, 1) == "celsius"
    assert unit_of(0x01, 1) == "percent"
    assert unit_of(0x18, 41) == "liters_per_second"
    assert unit_of(0x00, 200) == "unit_200"


def test_a_sel_record_has_its_code_its_time_and_its_direction() -> None:
    raw = bytes.fromhex("0100 02 80ca6b65 2000 04 23 60 ef c0ffff".replace(" ", ""))
    found = decode_sel_record(raw)
    assert (found.code, found.at, found.asserted, found.sensor) == ("0x23:0x0", 0x656BCA80, False, 0x60)


def test_a_timestamp_from_before_the_clock_was_set_is_no_time() -> None:
    raw = bytes.fromhex("0100 02 10000000 2000 04 23 60 6f c0ffff".replace(" ", ""))
    assert decode_sel_record(raw).at is None
    assert decode_sel_record(raw).raw_at == 16


def test_oem_records_keep_their_bytes() -> None:
    timed = decode_sel_record(bytes.fromhex("0200 c0 80ca6b65 112233 010203040506".replace(" ", "")))
    plain = decode_sel_record(bytes.fromhex("0300 e0 0102030405060708090a0b0c0d".replace(" ", "")))
    assert (timed.code, timed.at, len(timed.data)) == ("0xc0", 0x656BCA80, 9)
    assert (plain.code, plain.at, len(plain.data)) == ("0xe0", None, 13)


def test_an_entry_names_the_one_after_it() -> None:
    entry = decode_sel_entry(b"\x02\x00" + bytes.fromhex("0100e0") + bytes(13))
    assert (entry.following, entry.record.record) == (2, 1)


def test_chassis_status_power_reading_and_device_id() -> None:
    status = ipmi.decode_chassis_status(bytes((0x61, 0x10, 0x40)))
    assert (status.power_on, status.restore_policy, status.last_event) == (True, 3, 0x10)
    power = ipmi.decode_power_reading(bytes.fromhex("dc d007 c800 a40c 2003 00000000 e8030000 40".replace(" ", "")))
    assert (power.current_watts, power.minimum_watts, power.maximum_watts, power.active) == (2000, 200, 3236, True)
    device = ipmi.decode_device_id(bytes.fromhex("20 01 02 53 02 87 471600 0001".replace(" ", "")))
    assert (device.firmware, device.ipmi_version, device.manufacturer, device.product) == ("2.53", "2.0", 0x1647, 0x100)


def test_a_sensor_without_a_reading_has_none_rather_than_its_last_byte() -> None:
    assert ipmi.decode_sensor_reading(bytes((0x2A, 0xC0, 0xC0))).raw == 0x2A
    assert ipmi.decode_sensor_reading(bytes((0x2A, 0xE0, 0xC0))).raw is None
    assert ipmi.decode_sensor_reading(bytes((0x2A, 0x00))).raw is None


def test_only_absolute_power_commands_exist() -> None:
    assert set(ipmi.POWER_COMMANDS.values()) == {b"\x00", b"\x01", b"\x05"}


def test_a_refusal_says_what_the_bmc_said() -> None:
    answer = ipmi.Answer(netfn=0, command=2, token=1, code=0xD4, data=b"")
    with pytest.raises(Refused, match="does not give this user that privilege .completion code 0xd4."):
        ipmi.accepted(answer)
