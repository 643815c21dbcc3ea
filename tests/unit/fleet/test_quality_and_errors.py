"""The quality byte's table, and errors named by what the caller does next."""

import numpy as np
import pytest

from fleet.errors import (
    Ambiguous,
    ConfigurationError,
    HallkeeperError,
    Malformed,
    Problem,
    Refused,
    SiteError,
    UnknownAsset,
    Unreachable,
    in_order,
)
from fleet.quality import MEANING, QUALITY_MASK, REASON_SHIFT, Quality, Reason, pack, quality_of, reason_of


def test_numbers_on_the_wire_never_change() -> None:
    assert {quality.name: int(quality) for quality in Quality} == {"GOOD": 0, "UNCERTAIN": 1, "BAD": 2}
    assert {reason.name: int(reason) for reason in Reason} == {
        "NONE": 0, "RANGE": 1, "RATE": 2, "SENTINEL": 3, "AGE": 4, "STUCK": 5, "BALANCE": 6, "DISAGREES": 7,
        "NO_INTEGRITY": 8, "CLOCK": 9, "COUNTER_RESET": 10, "UNKNOWN": 63,
    }  # fmt: skip
    assert pack(Quality.BAD, Reason.SENTINEL) == 0b000011_10
    assert pack(Quality.GOOD) == 0


def test_every_reason_has_a_meaning_and_fits_six_bits() -> None:
    assert set(MEANING) == set(Reason)
    assert all(0 <= reason < 64 for reason in Reason)


def test_a_code_of_a_newer_version_is_unknown_and_the_fourth_quality_is_bad() -> None:
    assert reason_of(40 << 2) is Reason.UNKNOWN
    assert quality_of(3) is Quality.BAD


def test_masks_work_on_arrays() -> None:
    packed = np.array([pack(Quality.UNCERTAIN, Reason.RATE), 0], dtype=np.uint8)
    assert (packed & QUALITY_MASK).tolist() == [1, 0]
    assert (packed >> REASON_SHIFT).tolist() == [2, 0]


@pytest.mark.parametrize("error", [Unreachable, Refused, Ambiguous, Malformed, ConfigurationError, UnknownAsset])
def test_every_error_of_ours_is_caught_as_one(error: type[Exception]) -> None:
    assert issubclass(error, HallkeeperError)


def problem(line: int, column: int = 1) -> Problem:
    return Problem(file="f", line=line, column=column, path="a.b", message="is wrong", suggestion="this")


def test_a_problem_reads_as_file_line_column_path_what_and_what_to_try() -> None:
    assert str(problem(3, 7)) == "f:3:7: a.b: is wrong, try this"
    assert str(Problem(file="f", line=0, column=0, path="", message="is absent", suggestion="")) == "f:0:0: is absent"


def test_a_configuration_error_lists_its_problems_a_line_each() -> None:
    error = SiteError([problem(2), problem(1)])
    assert str(error).count("\n") == 1
    assert error.problems == (problem(2), problem(1))


def test_problems_come_in_the_order_of_the_file_each_once() -> None:
    assert in_order([problem(2), problem(1, 5), problem(1, 2), problem(2)]) == (
        problem(1, 2),
        problem(1, 5),
        problem(2),
    )


def test_an_unknown_asset_is_also_a_key_error_that_reads_well() -> None:
    with pytest.raises(KeyError) as caught:
        raise UnknownAsset("no asset 'x' in the inventory")
    assert str(caught.value) == "no asset 'x' in the inventory"
