"""Frames: what a writer numbers and tells, and what no reader accepts."""

import msgspec
import numpy as np
import pytest

from bus.frames import (
    LAYOUTS_PER_SOURCE,
    SERIES_LIMIT,
    Frame,
    FrameWriter,
    SeriesLayout,
    SeriesTable,
    decode,
    encode_frame,
    layout_hash,
    stale_of,
    values_of,
)
from fleet.errors import Malformed

LAYOUT = SeriesLayout.of([("up", [("asset", "dgx-001"), ("zone", "1")]), ("a", [])])
VALUES = np.array([1.0, 2.0])


def wire(**changes) -> bytes:
    fields = {
        "version": 1, "source": "dgx-001/dcgm", "boot": 1, "sequence": 0, "layout": 5, "at": 10,
        "values": bytes(16), "quality": None,
    } | changes  # fmt: skip
    return msgspec.msgpack.encode(list(fields.values()))


def kinds(messages) -> str:
    return "".join("T" if message.value[0] == 0x94 else "F" for message in messages)


def test_the_table_comes_before_the_first_frame_and_every_five_minutes():
    writer = FrameWriter(boot=1)
    told = [kinds(writer.messages("s", 0, LAYOUT, at, VALUES)) for at in (0, 1_000, 299_999, 300_000, 301_000)]
    assert told == ["TF", "F", "F", "TF", "F"]


def test_each_layout_of_a_source_has_its_own_table():
    other = SeriesLayout.of([("b", [])])
    writer = FrameWriter(boot=1)
    assert kinds(writer.messages("s", 0, LAYOUT, 0, VALUES)) == "TF"
    assert kinds(writer.messages("s", 0, other, 0, VALUES[:1])) == "TF"
    assert kinds(writer.messages("s", 0, LAYOUT, 1, VALUES)) == "F"


def test_a_forgotten_source_tells_its_table_again():
    writer = FrameWriter(boot=1)
    writer.messages("s", 0, LAYOUT, 0, VALUES)
    writer.forget("s")
    assert kinds(writer.messages("s", 0, LAYOUT, 1, VALUES)) == "TF"


def test_layouts_that_come_and_go_do_not_pile_up():
    writer = FrameWriter(boot=1)
    for number in range(200):
        writer.messages("s", 0, SeriesLayout.of([(f"m{number}", [])]), 0, VALUES[:1])
    assert len(writer._told["s"]) == LAYOUTS_PER_SOURCE


def test_sequences_count_up_per_source():
    writer = FrameWriter(boot=9)
    frames = [decode(writer.messages(source, 0, LAYOUT, 0, VALUES)[-1].value) for source in ("s", "t", "s")]
    assert [(frame.source, frame.boot, frame.sequence) for frame in frames] == [("s", 9, 0), ("t", 9, 0), ("s", 9, 1)]


@pytest.mark.parametrize(("values", "quality"), [(VALUES[:1], None), (VALUES, np.zeros(3, np.uint8)), (bytes(7), None)])
def test_lengths_that_do_not_agree_are_refused_before_anything_is_numbered(values, quality):
    writer = FrameWriter(boot=1)
    with pytest.raises(ValueError, match=r"s: .* for 2 series"):
        writer.messages("s", 0, LAYOUT, 0, values, quality)
    assert decode(writer.messages("s", 0, LAYOUT, 0, VALUES)[-1].value).sequence == 0


def test_a_layout_too_large_for_one_message_is_refused_with_what_to_try():
    layout = SeriesLayout.of([(f"m{number}", []) for number in range(SERIES_LIMIT + 1)])
    with pytest.raises(ValueError, match="try splitting"):
        FrameWriter(boot=1).messages("s", 0, layout, 0, np.zeros(SERIES_LIMIT + 1))


@pytest.mark.parametrize(
    "series",
    [
        [("", [])],
        [("a\0", [])],
        [("a\2b", [])],
        [("a", [("l", "x\1y")])],
        [("a", [("l\0", "x")])],
        [("a", [("l", "\2")])],
        [("a", [("", "x")])],
        [("a", [("l", "1"), ("l", "2")])],
        [("a", [("l", "\ud800")])],
    ],
)
def test_a_name_or_label_that_would_blur_the_layout_is_refused(series):
    with pytest.raises(Malformed, match="try"):
        layout_hash(series)


def test_layouts_differ_where_only_the_cut_between_series_differs():
    assert layout_hash([("a", []), ("b", [])]) != layout_hash([("ab", [])])
    assert layout_hash([("a", [("b", "c")])]) != layout_hash([("a", [("bc", "")])])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "nothing"),
        (b"\xc0", "begins with c0"),
        (b"\x98", "not a frame"),
        (wire() + b"\x00", "not a frame"),
        (wire()[:-1], "not a frame"),
        (wire(version=2), "version 2"),
        (wire(version=1.5), "not a frame"),
        (wire(values=bytes(15)), "15 bytes of values"),
        (wire(values=bytes(8 * SERIES_LIMIT + 8)), "bytes of values"),
        (wire(quality=b"\0"), "1 quality bytes for 2 values"),
        (wire(quality=b""), "0 quality bytes for 2 values"),
        (wire(values="text" * 4), "not a frame"),
        (wire(source=""), "0 characters"),
        (wire(source="x" * 513), "513 characters"),
        (wire(source=b"bin"), "not a frame"),
        (wire(boot=-1), "not a frame"),
        (wire(sequence=-1), "not a frame"),
        (wire(layout=None), "not a frame"),
        (wire(at="now"), "not a frame"),
        (wire(at=2**64 - 1), "not a frame"),
        (wire(at=-1), "not a frame"),
    ],
)
def test_bytes_that_are_not_a_frame_are_malformed_with_a_reason(value, reason):
    with pytest.raises(Malformed, match=reason):
        decode(value)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([1, "s", layout_hash([("a", [])]) ^ 1, [["a", []]]], "is not the hash"),
        ([2, "s", 0, []], "version 2"),
        ([1, "", 0, []], "over the limits"),
        ([1, "s", 0, [["a"]]], "not a series table"),
        ([1, "s", 0, [["a", [["l"]]]]], "not a series table"),
        ([1, "s", 0, [["a", [["l", 1]]]]], "not a series table"),
        ([1, "s", 0, [["a\0", []]]], "byte 0"),
    ],
)
def test_bytes_that_are_not_a_table_are_malformed_with_a_reason(fields, reason):
    with pytest.raises(Malformed, match=reason):
        decode(msgspec.msgpack.encode(fields))


def test_a_stale_marker_is_not_an_ordinary_nan():
    bits = np.array([0x7FF0000000000002, 0x7FF8000000000001, 0x7FF8000000000000], dtype="<u8")
    frame = decode(encode_frame(Frame(source="s", boot=0, sequence=0, layout=0, at=0, values=bits.tobytes())))
    assert np.isnan(values_of(frame)).all()
    assert stale_of(frame).tolist() == [True, False, False]


def test_a_table_names_labels_in_the_order_of_their_bytes():
    layout = SeriesLayout.of([("a", [("z", "1"), ("B", "2"), ("é", "3")])])
    table = decode(FrameWriter(boot=1).messages("s", 0, layout, 0, VALUES[:1])[0].value)
    assert isinstance(table, SeriesTable)
    assert table.series == (("a", (("B", "2"), ("z", "1"), ("é", "3"))),)
