"""Laws of host ranges, quality bytes and templates."""

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from fleet.quality import QUALITY_MASK, REASON_SHIFT, Quality, Reason, pack, quality_of, reason_of
from fleet.ranges import BadRange, expand, fill, fold

NAMES = st.from_regex(re.compile(r"[a-z]{1,3}(-?[0-9]{1,4}){0,3}[a-z]{0,2}", re.ASCII), fullmatch=True)


@given(st.sets(NAMES, max_size=40))
def test_folding_and_expanding_gives_every_name_back(names: set[str]) -> None:
    folded = fold(names)
    assert (set(expand(folded)) if folded else set()) == names


@given(st.sets(NAMES, min_size=1, max_size=40))
def test_folding_twice_changes_nothing(names: set[str]) -> None:
    assert fold(expand(fold(names))) == fold(names)


@given(st.integers(0, 10**6), st.integers(0, 500), st.integers(1, 9))
def test_a_span_has_as_many_names_as_its_ends_are_apart(first: int, more: int, width: int) -> None:
    names = expand(f"n[{first:0{width}d}-{first + more:0{width}d}]") if width >= len(str(first + more)) else ()
    if names:
        assert len(names) == more + 1
        assert len({len(name) for name in names}) == 1 or width == 1 or not f"{first:0{width}d}".startswith("0")
        assert [int(name[1:]) for name in names] == list(range(first, first + more + 1))


def said_by(ask: Callable[[], object]) -> BadRange | None:
    """The error of a question, or None; any other error comes through."""
    try:
        ask()
    except BadRange as fault:
        return fault
    return None


@given(st.text(max_size=60))
def test_any_text_is_a_range_or_a_clear_error(text: str) -> None:
    fault = said_by(lambda: expand(text))
    if fault is None:
        names = expand(text)
        assert len(set(names)) == len(names) <= 20_000
    else:
        assert fault.message
        assert fault.suggestion


@given(st.text(max_size=60), NAMES, st.integers(1, 1000))
def test_any_template_is_filled_or_a_clear_error(template: str, name: str, index: int) -> None:
    fault = said_by(lambda: fill(template, name=name, index=index))
    if fault is None:
        assert "{" in template or fill(template, name=name, index=index) == template
    else:
        assert fault.message


@given(st.sampled_from(Quality), st.sampled_from(Reason))
def test_a_packed_byte_says_its_quality_and_its_reason(quality: Quality, reason: Reason) -> None:
    byte = pack(quality, reason)
    assert 0 <= byte <= 255
    assert (quality_of(byte), reason_of(byte)) == (quality, reason)
    assert (byte & QUALITY_MASK, byte >> REASON_SHIFT) == (quality, reason)


@given(st.integers(0, 255))
def test_every_byte_has_a_meaning(byte: int) -> None:
    assert quality_of(byte) in Quality
    assert reason_of(byte) in Reason
    assert (byte == 0) == (quality_of(byte) is Quality.GOOD and reason_of(byte) is Reason.NONE and byte < 4)
