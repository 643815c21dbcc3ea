"""The layout parser and the strict parser say the same of every page, or the page is left to the strict one."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.wire import layout as layouts
from devices.wire.layout import Layout, Values, learn
from devices.wire.page import page_of
from fleet.errors import Malformed
from hallkeeper.bench.load_scrape import Page, draw_numbers


@pytest.fixture(autouse=True, scope="module", params=["compiled", "python"])
def reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every law holds for both readers."""
    if request.param == "compiled" and layouts.in_one_pass is None:
        assert shutil.which("cc") is None, "there is a C compiler, and the compiled reader was not built"
        pytest.skip("the compiled reader needs a C compiler")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.setattr(layouts, "in_one_pass", None)
        yield


FORMS = (
    b"0",
    b"-0",
    b"-0.0",
    b"1e5",
    b"1E+5",
    b"-1.5e-7",
    b"NaN",
    b"nan",
    b"+Inf",
    b"-Inf",
    b"inf",
    b"Infinity",
    b"01",
    b"5.",
    b".5",
    b"+7",
    b"0x1F",
    b"1_000",
    b"1e999",
    b"9223372036854775791",
    b"9223372036854775792",
    b"9223372036854775794",
    b"9223372036854775795",
    b"9223372036854775796",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"9" * 400,
    b"5 1395066363000",
    b'5 # {trace_id="a"} 1 1.5',
    b"",
    b" ",
    b"  3",
    b"3 ",
    b"3\r",
    b"\r3",
    b"null",
    b"true",
    b'"3"',
    b"[3]",
    b"3,4",
    b"3]",
    b"[3",
    b"{}",
    b"-",
    b"+",
    b"e5",
    b"3 x",
    b"3 4 5",
    "३".encode(),
    b"\xff",
)
"""Ways to write a value, right and wrong."""

BASE = Page(7, draw_numbers(3)).next()
DCGM = b"\n".join(line for line in BASE.split(b"\n")[:60]) + b"\n"


def mutants(page: bytes, count: int, seed: int):
    """The page with values in other forms, flipped bits, lines swapped, lost, doubled and added, and cut off."""
    draw = random.Random(seed)
    for number in range(count):
        lines = page.split(b"\n")
        kind = number % 9
        at = draw.randrange(len(lines) - 1)
        if kind in {0, 1}:
            sample = draw.choice([one for one, line in enumerate(lines) if line and not line.startswith(b"#")])
            head, _, _ = lines[sample].rpartition(b" ")
            lines[sample] = head + b" " + draw.choice(FORMS)
        elif kind == 2:
            line = bytearray(lines[at] or b"x")
            line[draw.randrange(len(line))] ^= 1 << draw.randrange(8)
            lines[at] = bytes(line)
        elif kind == 3:
            other = draw.randrange(len(lines) - 1)
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == 4:
            del lines[at]
        elif kind == 5:
            lines.insert(at, lines[at])
        elif kind == 6:
            lines.insert(draw.choice([at, len(lines) - 1]), b"another 2")
        elif kind == 7:
            cut = b"\n".join(lines)
            yield cut[: draw.randrange(len(cut))]
            continue
        else:
            lines[at] = draw.choice(
                [b"", b"5", b"#", b"# HELP x y", lines[at] + b" ", b" " + lines[at], lines[at] + b"\r"]
            )
        yield b"\n".join(lines)


def strictly(page: bytes) -> tuple[tuple, Values] | str:
    try:
        layout, values = learn(page_of(page))
    except Malformed as error:
        return str(error)
    return layout.series, values


def same(found: Values, expected: Values) -> bool:
    return (
        found.numbers.tobytes() == expected.numbers.tobytes()
        and (found.quality is None) == (expected.quality is None)
        and (found.quality is None or np.array_equal(found.quality, expected.quality))
        and found.stamps_ms == expected.stamps_ms
    )


def check(known: Layout, page: bytes) -> bool:
    """Both agree on the page; true when the layout parser read it."""
    expected = strictly(page)
    found = known.read(page_of(page))
    if found is not None:
        assert not isinstance(expected, str), f"the layout parser read what is malformed: {expected}"
        assert known.series == expected[0]
        assert same(found, expected[1])
    again = strictly(page) if isinstance(expected, str) else learn(page_of(page), known.known)
    if not isinstance(expected, str):
        layout, values = again
        assert layout.series == expected[0]
        assert same(values, expected[1])
    return found is not None


@pytest.mark.parametrize("seed", range(4))
def test_both_parsers_agree_on_mutated_pages(seed: int) -> None:
    known, _ = learn(page_of(DCGM))
    read = sum(check(known, page) for page in mutants(DCGM, 250, seed))
    assert 25 < read < 225, "some mutants keep the layout, some do not"


def test_both_parsers_agree_on_mutants_of_recorded_pages(recordings: Path) -> None:
    for name, count in (("dcgm_a100_nvidia_docs.prom", 400), ("node_exporter_e2e-output.txt", 8)):
        page = (recordings / "exporters" / name).read_bytes()
        known, _ = learn(page_of(page))
        for mutant in mutants(page, count, seed=9):
            check(known, mutant)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_malformed_and_nothing_else(noise: bytes) -> None:
    check(learn(page_of(DCGM))[0], noise)


@given(st.lists(st.floats() | st.integers(min_value=-(2**70), max_value=2**70), min_size=1, max_size=20))
def test_every_number_comes_through_exactly(numbers: list[float]) -> None:
    head = [f'metric_{at}{{gpu="0"}} '.encode() for at in range(len(numbers))]
    known, _ = learn(page_of(b"".join(part + b"1\n" for part in head)))
    page = b"".join(part + repr(number).encode() + b"\n" for part, number in zip(head, numbers, strict=True))
    found = known.read(page_of(page))
    assert found is not None
    sentinels = {float(value) for value in range(2**63 - 16, 2**63 - 12)}
    for value, number in zip(found.numbers.tolist(), numbers, strict=True):
        assert value == float(number) or value != value or number in sentinels


def test_a_page_cut_anywhere_is_left_to_the_strict_parser() -> None:
    page = DCGM[:4000].rpartition(b"\n")[0] + b"\n"
    known, _ = learn(page_of(page))
    for length in range(len(page)):
        check(known, page[:length])


@pytest.mark.parametrize("seed", range(4))
def test_decimals_of_any_length_are_the_nearest_double(seed: int) -> None:
    draw = random.Random(seed)
    texts = [decimal(draw) for _ in range(5000)]
    known, _ = learn(page_of(b"".join(b"m%d 1\n" % at for at in range(len(texts)))))
    found = known.read(page_of("".join(f"m{at} {text}\n" for at, text in enumerate(texts)).encode()))
    assert found is not None
    assert found.quality is None
    assert found.numbers.tolist() == [float(text) for text in texts]


def decimal(draw: random.Random) -> str:
    """Up to 25 digits, up to 22 of them behind the point."""
    digits, fraction = str(draw.randrange(10 ** draw.randrange(1, 26))), draw.randrange(23)
    if not fraction:
        return digits
    digits = digits.rjust(fraction + 1, "0")
    return f"{draw.choice(('', '-'))}{digits[:-fraction]}.{digits[-fraction:]}"


def test_the_compiled_reader_refuses_arrays_that_do_not_fit() -> None:
    if layouts.in_one_pass is not None:
        for numbers, blank in ((np.empty(2), np.zeros(1, bool)), (np.empty(4, np.float32), np.zeros(1, bool))):
            with pytest.raises(ValueError, match="float64"):
                layouts.in_one_pass(memoryview(b"m 1\n"), (b"m ",), numbers, blank)
        assert layouts.in_one_pass(memoryview(b"m 1\n"), (b"m ",), np.empty(0), np.zeros(0, bool)) == 0
        assert layouts.in_one_pass(memoryview(b"m 1\n"), (b"m ",), np.empty(2), np.zeros(2, bool)) == 0
        assert layouts.in_one_pass(memoryview(b""), (b"m ",), np.empty(1), np.zeros(1, bool)) == 0
        assert layouts.in_one_pass(memoryview(b"m "), (b"m ",), np.empty(1), np.zeros(1, bool)) == 0
        assert layouts.in_one_pass(memoryview(b"m -"), (b"m ",), np.empty(1), np.zeros(1, bool)) == 0
        assert layouts.in_one_pass(memoryview(b"#"), (None,), np.empty(0), np.zeros(0, bool)) == 0
