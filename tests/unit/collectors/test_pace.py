"""Timetables: signals on grids of their own, spread by name, slower after failures, faster in incidents."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.pace import BACKOFF_SECONDS, Pace
from collectors.wheel import GROUP_MS, Wheel


def polled(pace: Pace, until_ms: int) -> list[tuple[int, frozenset[str]]]:
    """What an ideal scheduler polls, every poll answered at once."""
    polls = []
    while pace.next_ms <= until_ms:
        now = pace.next_ms
        due = pace.due(now)
        pace.started(due, now)
        polls.append((now, due))
        pace.answered()
        pace.finished(now)
    return polls


def test_each_signal_keeps_its_interval_to_the_millisecond() -> None:
    polls = polled(Pace("pdu-1/snmp", {"inlet": 1.0, "outlet": 10.0, "energy": 60.0}, 5_000), 605_000)
    for signal, interval in (("inlet", 1_000), ("outlet", 10_000), ("energy", 60_000)):
        times = [at for at, due in polls if signal in due][1:]
        assert {later - earlier for earlier, later in itertools.pairwise(times)} == {interval}


def test_slow_signals_ride_with_fast_ones_so_that_a_device_is_asked_once() -> None:
    polls = polled(Pace("pdu-1/snmp", {"inlet": 1.0, "outlet": 10.0}, 0), 100_000)
    assert len({at for at, _ in polls}) == len(polls)
    assert all("inlet" in due for _, due in polls)


def test_targets_are_spread_over_the_interval_by_their_names() -> None:
    starts = [Pace(f"dgx-{number:03d}/dcgm", {"gpu": 1.0}, 0).next_ms for number in range(1000)]
    tenths = [sum(at // 100 == tenth for at in starts) for tenth in range(10)]
    assert min(tenths) > 60
    assert max(tenths) < 140


@given(st.lists(st.booleans(), max_size=80), st.sampled_from([0.5, 1.0, 10.0, 60.0, 300.0]))
def test_back_off_never_asks_faster_than_the_interval_nor_slower_than_a_minute_or_the_interval(
    answers: list[bool], seconds: float
) -> None:
    pace = Pace("a/b", {"x": seconds}, 0)
    now = pace.next_ms
    for answered in answers:
        pace.started(pace.due(now), now)
        pace.answered() if answered else pace.failed()
        pace.finished(now)
        wait = pace.next_ms - now
        assert 0 < wait <= max(BACKOFF_SECONDS, 2 * seconds) * 1000 + seconds * 1000
        now = pace.next_ms


def test_failures_halve_the_rate_and_answers_give_it_back_in_quarters() -> None:
    pace = Pace("a/b", {"x": 1.0}, 0)
    waits = []
    now = pace.next_ms
    for outcome in [False] * 8 + [True] * 5:
        pace.started(pace.due(now), now)
        pace.answered() if outcome else pace.failed()
        pace.finished(now)
        waits.append(round((pace.next_ms - now) / 1000))
        now = pace.next_ms
    assert waits[:10] == [2, 4, 8, 16, 32, 60, 60, 60, 4, 2]
    assert max(waits[10:]) == 1


def test_an_incident_hurries_power_and_state_but_not_energy_and_ends_again() -> None:
    pace = Pace("pdu-1/snmp", {"outlet": 10.0, "energy": 60.0}, 0)
    polled(pace, 60_000)
    pace.hurry(2.0, 60_000)
    hurried = polled(pace, 80_000)
    assert len([1 for _, due in hurried if "outlet" in due]) >= 9
    assert len([1 for _, due in hurried if "energy" in due]) <= 1
    pace.hurry(None, 80_000)
    assert len(polled(pace, 140_000)) <= 8


def test_a_signal_that_is_faster_than_the_hurry_stays_as_fast() -> None:
    pace = Pace("pdu-1/snmp", {"inlet": 1.0}, 0)
    pace.hurry(2.0, 0)
    assert len(polled(pace, 20_000)) >= 19


@settings(deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=100_000), max_size=60), st.integers(min_value=20, max_value=5_000))
def test_the_wheel_gives_everything_back_once_not_before_its_time_and_within_a_group_of_it(
    times: list[int], step: int
) -> None:
    wheel: Wheel[tuple[int, int]] = Wheel(0)
    for number, at in enumerate(times):
        wheel.put((number, at), at)
    seen: list[tuple[int, int]] = []
    now = 0
    while now < 101_000:
        now += step
        for number, at in wheel.take(now):
            assert at <= now
            assert now - at <= max(step, GROUP_MS) + GROUP_MS
            seen.append((number, at))
    assert sorted(seen) == sorted(enumerate(times))
