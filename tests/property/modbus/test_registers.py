"""Laws of the register decoders: total, bounded, and true to the words they were given."""

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from devices.profiles.cdu_modbus import PROFILE as CDU
from devices.profiles.sunspec_battery import PROFILE as BATTERY
from devices.wire.modbus import fault_of
from devices.wire.registers import BLOCK_LIMIT, Span, merge, number, value_of
from devices.wire.sunspec import Model, next_model, places_of, spans_of
from devices.wire.sunspec import value_of as model_value
from fleet.errors import Malformed

words = st.integers(0, 0xFFFF)
spans = st.lists(st.builds(Span, st.integers(0, 60_000), st.integers(1, 4)), max_size=60)


@given(spans)
def test_merged_requests_cover_every_span_uncut_and_none_is_too_long(wanted: list[Span]) -> None:
    blocks = merge(wanted)
    assert all(any(block.start <= span.start and span.end <= block.end for block in blocks) for span in wanted)
    assert all(block.count <= BLOCK_LIMIT for block in blocks)
    assert list(blocks) == sorted(blocks)


@given(st.binary(max_size=300), st.integers(0, 255), st.integers(0, 0xFFFF))
def test_any_bytes_are_judged_without_a_crash(packet: bytes, unit: int, transaction: int) -> None:
    assert fault_of(packet, unit=unit, transaction=transaction) is None or len(packet) >= 8


@given(st.lists(words, min_size=12, max_size=12))
def test_any_image_of_a_cooling_unit_decodes_to_finite_numbers(image: list[int]) -> None:
    for point in CDU.points:
        value = value_of(point, {Span(0, 12): image})
        assert value is None or math.isfinite(value)


@given(st.integers(-(2**31), 2**31 - 1))
def test_both_word_orders_carry_the_same_number(value: int) -> None:
    high, low = struct.unpack(">HH", struct.pack(">i", value))
    assert number([high, low], "s32") == value
    assert number([low, high], "s32", low_word_first=True) == value


@given(st.sampled_from([int(table.entry) for table in BATTERY.tables]), st.data())
def test_any_image_of_a_model_decodes_to_finite_numbers_within_its_claimed_length(model_id: int, data) -> None:
    length = data.draw(st.integers(3, 200))
    model = Model(id=model_id, start=40_002, length=length)
    points = next(table.points for table in BATTERY.tables if table.entry == str(model_id))
    image = data.draw(st.lists(words, min_size=length, max_size=length))
    wanted = spans_of(model, points)
    assert all(model.start <= span.start and span.end <= model.end for span in wanted)
    blocks = {span: image[span.start - model.start : span.end - model.start] for span in merge(wanted)}
    for point in points:
        value = model_value(point, model, blocks)
        assert value is None or math.isfinite(value)


@given(st.lists(st.tuples(words, words), max_size=200))
def test_any_chain_of_headers_ends_or_is_called_malformed(headers: list[tuple[int, int]]) -> None:
    found: list[Model] = []
    at = 40_002
    for header in headers:
        try:
            model = next_model(header, at, found)
        except Malformed:
            break
        if model is None:
            break
        assert at < model.end <= 0xFFFF
        found.append(model)
        at = model.end
    assert len(found) <= 64


def test_every_point_of_the_battery_profile_is_in_the_published_definition() -> None:
    for table in BATTERY.tables:
        assert {point.name for point in table.points} <= places_of(int(table.entry)).keys()
