"""What counts as proof: two consecutive good samples, measured after the send, by the meter."""

import pytest

from fleet.quality import Quality, Reason, pack
from remediator.proof import Meter, Reading, Verdict, below_proven, off_proven, on_proven, outlet_off_proven, seen

SENT = 10_000
BAD = pack(Quality.BAD, Reason.STUCK)


def meter(
    *values: float, start: int = SENT + 1_000, step: int = 2_000, refresh: int = 0, qualities: tuple[int, ...] = ()
) -> Meter:
    marks = qualities or (0,) * len(values)
    return Meter(
        metric="pdu_outlet_power_watts",
        labels={"outlet": "1"},
        readings=[
            Reading(start + n * step, value, mark) for n, (value, mark) in enumerate(zip(values, marks, strict=True))
        ],
        refresh_ms=refresh,
    )


def test_off_is_standby_on_every_outlet_twice() -> None:
    found = off_proven([meter(10, 10), meter(9, 9)], SENT, 2000)
    assert found.verdict is Verdict.PROVEN
    assert len(found.lines) == 4
    assert all(line.passed for line in found.lines)


@pytest.mark.parametrize(
    ("why", "outlets", "verdict"),
    [
        ("one outlet still carries", [meter(10, 10), meter(900, 900)], Verdict.CONTRADICTED),
        ("one of two samples", [meter(10, 900)], Verdict.CONTRADICTED),
        ("one sample alone", [meter(10)], Verdict.OPEN),
        ("one outlet is not measured", [meter(10, 10), meter()], Verdict.OPEN),
        ("no outlet at all proves nothing", [], Verdict.OPEN),
        ("measured before the send", [meter(10, 10, start=SENT - 5_000, step=2_000)], Verdict.OPEN),
        ("as old inside the device as the send", [meter(10, 10, refresh=4_000)], Verdict.OPEN),
        ("a bad sample between breaks the row", [meter(10, 10, 10, qualities=(0, BAD, 0))], Verdict.OPEN),
        ("the last two count", [meter(900, 10, 10)], Verdict.PROVEN),
    ],
)  # fmt: skip
def test_off_in_every_variant(why: str, outlets: list[Meter], verdict: Verdict) -> None:
    assert off_proven(outlets, SENT, 2000).verdict is verdict


def test_on_is_a_sum_that_no_standby_reaches() -> None:
    assert on_proven([meter(800, 800), meter(800, 800)], SENT, 2000).verdict is Verdict.PROVEN
    assert on_proven([meter(1600, 1600), meter(0, 0)], SENT, 2000).verdict is Verdict.PROVEN
    assert on_proven([meter(20, 20), meter(0, 0)], SENT, 2000).verdict is Verdict.CONTRADICTED
    assert on_proven([meter(800, 800), meter(800)], SENT, 2000).verdict is Verdict.OPEN


def test_a_shed_is_proven_at_95_percent_of_the_limit() -> None:
    assert below_proven(meter(30.4, 30.4), SENT, 32).verdict is Verdict.PROVEN
    assert below_proven(meter(30.4, 30.5), SENT, 32).verdict is Verdict.CONTRADICTED


def test_an_outlet_is_off_when_it_carries_nothing() -> None:
    assert outlet_off_proven(meter(0, 0), SENT, 5).verdict is Verdict.PROVEN


def test_what_was_not_read_is_open() -> None:
    assert seen("x", None).verdict is Verdict.OPEN
    assert seen("x", state=True).verdict is Verdict.PROVEN
    assert seen("x", state=False).verdict is Verdict.CONTRADICTED
