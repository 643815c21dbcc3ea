"""The bytes of a frame are a contract: what was written once is written the same and read the same for ever."""

import json
from pathlib import Path

import numpy as np
import pytest

from bus.frames import (
    Frame,
    FrameWriter,
    SeriesLayout,
    SeriesTable,
    decode,
    encode_frame,
    encode_table,
    layout_hash,
    quality_of,
    stale_of,
    values_of,
)

GOLDEN = Path(__file__).parent.parent / "frames"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.json"))


@pytest.fixture(params=NAMES)
def golden(request):
    described = json.loads((GOLDEN / f"{request.param}.json").read_text())
    described["layout"] = int(described["layout"], 16)
    described["bits"] = np.array([int(bits, 16) for bits in described["value_bits"]], dtype="<u8")
    described["marks"] = None if described["quality"] is None else bytes(described["quality"])
    frame, table = ((GOLDEN / f"{request.param}.{kind}.bin").read_bytes() for kind in ("frame", "table"))
    return described, frame, table


def frame_of(described) -> Frame:
    return Frame(
        source=described["source"],
        boot=described["boot"],
        sequence=described["sequence"],
        layout=described["layout"],
        at=described["at"],
        values=described["bits"].tobytes(),
        quality=described["marks"],
    )


def test_there_are_golden_frames_of_every_kind():
    assert len(NAMES) >= 5


def test_the_layout_is_the_hash_of_its_series_in_whatever_order_their_labels_come(golden):
    described, _, _ = golden
    assert layout_hash([(name, list(reversed(labels))) for name, labels in described["series"]]) == described["layout"]


def test_a_frame_is_written_to_the_same_bytes(golden):
    described, frame, _ = golden
    assert encode_frame(frame_of(described)) == frame


def test_a_table_is_written_to_the_same_bytes(golden):
    described, _, table = golden
    layout = SeriesLayout.of(described["series"])
    assert encode_table(SeriesTable(source=described["source"], layout=layout.layout, series=layout.series)) == table


def test_the_bytes_are_read_back_bit_by_bit(golden):
    described, frame, table = golden
    read = decode(frame)
    assert isinstance(read, Frame)
    assert read == frame_of(described)
    assert values_of(read).view("<u8").tolist() == described["bits"].tolist()
    assert stale_of(read).tolist() == [bits == 0x7FF0000000000002 for bits in described["bits"].tolist()]
    marks = quality_of(read)
    assert (None if marks is None else marks.tolist()) == described["quality"]
    told = decode(table)
    assert isinstance(told, SeriesTable)
    assert told.layout == described["layout"]
    assert [name for name, _ in told.series] == [name for name, _ in described["series"]]


def test_the_writer_writes_the_same_bytes(golden):
    described, frame, table = golden
    writer = FrameWriter(boot=described["boot"])
    writer._sequences[described["source"]] = described["sequence"]
    messages = writer.messages(
        described["source"],
        3,
        SeriesLayout.of(described["series"]),
        described["at"],
        described["bits"].view("<f8"),
        None if described["marks"] is None else np.frombuffer(described["marks"], dtype=np.uint8),
    )
    assert [message.value for message in messages] == [table, frame]
    assert {(message.topic, message.key, message.partition) for message in messages} == {
        ("telemetry.frames", described["source"], 3)
    }
