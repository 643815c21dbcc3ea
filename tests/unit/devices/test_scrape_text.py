"""Text pages as Prometheus reads them, and errors that name the line."""

import math

import pytest

from devices.wire.layout import learn
from devices.wire.page import page_of
from devices.wire.scrape_text import parse_line
from fleet.errors import Malformed
from fleet.quality import Quality, Reason, quality_of, reason_of


def one(line: str):
    sample = parse_line(line.encode(), 1)
    assert sample is not None
    return sample


def test_a_sample_has_its_name_sorted_labels_and_value() -> None:
    sample = one('DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-1"} 61')
    assert sample.series == ("DCGM_FI_DEV_GPU_TEMP", (("UUID", "GPU-1"), ("gpu", "0")))
    assert sample.value == 61


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ('m{a="x y",b="}"} 1', (("a", "x y"), ("b", "}"))),
        (r'm{a="q\"q\\n\n"} 1', (("a", 'q"q\\n\n'),)),
        ('m{ a = "1" , } 1', (("a", "1"),)),
        ("m{} 1", ()),
        ("m 1", ()),
        ('m{a="ü"} 1', (("a", "ü"),)),
        (r'm{a="C:\DIR"} 1', (("a", r"C:\DIR"),)),
    ],
)
def test_labels_with_blanks_braces_escapes_and_commas_are_read(line: str, labels: tuple) -> None:
    assert one(line).labels == labels


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e3", 1000.0), ("+Inf", math.inf), ("-inf", -math.inf), ("5.", 5.0), (".5", 0.5), ("-0", -0.0), ("007", 7.0)],
)
def test_values_are_those_that_prometheus_takes(text: str, value: float) -> None:
    found = one(f"m {text}").value
    assert found == value
    assert math.copysign(1, found) == math.copysign(1, value)


@pytest.mark.parametrize("text", ["0x1F", "1_000", "1e999", "", "one", "--1", "1,5"])
def test_values_that_prometheus_refuses_are_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="line 3"):
        parse_line(f"m {text}".encode(), 3)


def test_timestamps_are_kept_and_exemplars_passed_over() -> None:
    assert one("m 5 1395066363000").stamp_ms == 1395066363000
    assert one("m 5 -1").stamp_ms == -1
    assert one('m_bucket{le="1"} 5 # {trace_id="a"} 0.5 1395066363.0').value == 5


@pytest.mark.parametrize(
    ("page", "line", "what"),
    [
        (b'ok 1\nm{a="1"\n', 2, "not closed"),
        (b'ok 1\n\n# HELP x y\nm{a="1",a="2"} 1\n', 4, "label a is there twice"),
        (b'ok 1\n{a="1"} 1\n', 2, "no metric name"),
        (b"ok 1\nm{a=1} 1\n", 2, "is no label"),
        (b"ok 1\nm\n", 2, "between the metric name"),
        (b'ok 1\nm{a="\xff"} 1\n', 2, "decode"),
        (b"ok 1\nm 1", 2, "without a line feed"),
        (b"ok 1\n<html>\n", 2, "no metric name"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_what_is_wrong(page: bytes, line: int, what: str) -> None:
    with pytest.raises(Malformed, match=f"line {line}: .*{what}"):
        learn(page_of(page))


def test_the_first_of_a_repeated_series_counts() -> None:
    layout, values = learn(page_of(b'm{a="1"} 1\nm{a="1"} 2\nn 3\n'))
    assert layout.series == (("m", (("a", "1"),)), ("n", ()))
    assert values.numbers.tolist() == [1, 3]
    again = layout.read(page_of(b'm{a="1"} 4\nm{a="1"} 5\nn 6\n'))
    assert again is not None
    assert again.numbers.tolist() == [4, 6]


@pytest.mark.parametrize("sentinel", range(9223372036854775792, 9223372036854775796))
def test_dcgms_blank_values_are_absent_and_their_neighbours_are_not(sentinel: int) -> None:
    layout, _ = learn(page_of(b"m 1\nn 1\no 1\n"))
    for values in (
        layout.read(page_of(b"m %d\nn 2\no 9223372036854775807\n" % sentinel)),
        learn(page_of(b"m %d\nn 2\no 3\n" % sentinel))[1],
    ):
        assert values is not None
        assert values.quality is not None
        assert [quality_of(mark) for mark in values.quality.tolist()] == [Quality.BAD, Quality.GOOD, Quality.GOOD]
        assert reason_of(int(values.quality[0])) is Reason.SENTINEL
        assert values.numbers.view("<u8")[0] == 0x7FF0000000000002
        assert values.numbers[1] == 2
