"""Laws of the codecs: what goes in comes out, and no bytes whatever bring a reader down."""

import json
import struct
from pathlib import Path

import jsonschema
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus.errors import UnknownMajor
from bus.events import decode_event, encode_event
from bus.frame_reader import FrameReader, Seen
from bus.frames import Frame, FrameWriter, SeriesLayout, SeriesTable, decode, encode_frame, encode_table, values_of
from bus.schema import schema_path
from fleet.errors import Malformed
from tests.property.bus.events import events, text

GOLDEN = [path.read_bytes() for path in (Path(__file__).parents[2] / "contract" / "frames").glob("*.bin")]
label = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\1\2"), min_size=1, max_size=10)
series = st.lists(
    st.tuples(label, st.dictionaries(label, label, max_size=4).map(lambda labels: list(labels.items()))), max_size=6
)
bits = st.lists(st.integers(0, 2**64 - 1), max_size=20)
unsigned = st.integers(0, 2**64 - 1)


@given(label, unsigned, unsigned, unsigned, st.integers(0, 253402300799999), bits, st.booleans())
@example("s", 0, 0, 0, 0, [0x7FF0000000000002, 0x7FF8000000000001, 0xFFF8DEADBEEF0001], True)
def test_a_frame_comes_back_bit_by_bit_whatever_its_nans(source, boot, sequence, layout, at, numbers, marked):
    frame = Frame(
        source=source, boot=boot, sequence=sequence, layout=layout, at=at, values=struct.pack(f"<{len(numbers)}Q", *numbers),
        quality=bytes(len(numbers)) if marked else None,
    )  # fmt: skip
    back = decode(encode_frame(frame))
    assert back == frame
    assert values_of(back).view("<u8").tolist() == numbers


@given(label, series)
def test_a_table_comes_back_and_its_layout_holds_in_any_order_of_labels(source, given_series):
    layout = SeriesLayout.of(given_series)
    assert SeriesLayout.of([(name, list(reversed(labels))) for name, labels in given_series]) == layout
    table = SeriesTable(source=source, layout=layout.layout, series=layout.series)
    assert decode(encode_table(table)) == table


@given(series, series)
def test_two_layouts_have_one_hash_only_when_they_are_the_same(first, second):
    one, two = SeriesLayout.of(first), SeriesLayout.of(second)
    assert (one.layout == two.layout) == (one.series == two.series)


@given(st.data())
@settings(max_examples=400)
def test_mutated_bytes_are_a_frame_or_a_table_or_malformed_and_nothing_else(data):
    value = bytearray(data.draw(st.sampled_from(GOLDEN)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        match data.draw(st.integers(0, 3)):
            case 0:
                value[at] ^= 1 << data.draw(st.integers(0, 7))
            case 1:
                del value[at : at + data.draw(st.integers(1, 9))]
            case 2:
                value[at:at] = data.draw(st.binary(max_size=9))
            case _:
                value[at] = data.draw(st.sampled_from([0x00, 0x80, 0xC0, 0xC4, 0xC6, 0xCF, 0xDD, 0xDF, 0xFF]))
        value = value or bytearray(b"\0")
    try:
        read = decode(bytes(value))
    except Malformed:
        return
    assert decode(encode_frame(read) if isinstance(read, Frame) else encode_table(read)) == read


@given(st.binary(max_size=200))
def test_random_bytes_never_bring_a_reader_down(value):
    reader = FrameReader()
    reader.read([value, b"\x98" + value, b"\x94" + value, *GOLDEN])
    assert reader.malformed >= 1


@given(st.lists(st.integers(0, 60), max_size=120))
def test_a_sequence_number_is_new_exactly_once(numbers):
    seen, known = Seen(), set()
    for number in numbers:
        assert seen.add(number) == (number not in known)
        known.add(number)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 2)), min_size=1, max_size=40), st.data())
def test_a_log_that_is_replayed_or_partly_delivered_again_changes_nothing(answers, data):
    writers = {boot: FrameWriter(boot) for boot in (1, 2)}
    log = []
    for at, (source, boot) in enumerate(answers):
        layout = SeriesLayout.of([(source, [])])
        log += [message.value for message in writers[boot].messages(source, 0, layout, at, np.array([float(at)]))]
    once = FrameReader().read(log)
    start = data.draw(st.integers(0, len(log)))
    again = FrameReader()
    assert again.read(log[: start + 1] + log[start // 2 :] + log) == once
    assert len(once) == len(answers)


@given(events)
def test_an_event_comes_back_and_fits_its_schema(event):
    value = encode_event(event)
    assert decode_event(value) == event
    jsonschema.Draft202012Validator(json.loads(schema_path(type(event)).read_text())).validate(json.loads(value))


@given(events, st.dictionaries(text.filter(lambda key: key != "data"), st.integers(), max_size=3))
def test_what_a_newer_release_added_survives_reading_and_writing(event, more):
    document = json.loads(encode_event(event))
    newer = more | document | {"data": more | document["data"]}
    assert json.loads(encode_event(decode_event(json.dumps(newer).encode()))) == newer


@given(events, st.data())
@settings(max_examples=300)
def test_mutated_events_are_events_or_malformed_or_newer_and_nothing_else(event, data):
    value = bytearray(encode_event(event))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        value[at : at + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"{", b"}", b"1e999", b"null", b"[" * 50])
        )
        value = value or bytearray(b"0")
    try:
        read = decode_event(bytes(value), now_ms=1_700_000_000_000)
    except (Malformed, UnknownMajor):
        return
    assert decode_event(encode_event(read)) == read
