"""Laws of proof: what was measured before the send proves nothing, and no two samples both prove off and on."""

from hypothesis import given
from hypothesis import strategies as st

from remediator.proof import Meter, Reading, Verdict, off_proven, on_proven

SENT = 100_000
readings = st.lists(
    st.builds(Reading, at_ms=st.integers(0, 200_000), value=st.floats(0, 6_000), quality=st.sampled_from([0, 1, 2])),
    max_size=8,
).map(lambda found: sorted(found, key=lambda reading: reading.at_ms))
meters = st.lists(st.builds(Meter, metric=st.just("m"), labels=st.just({}), readings=readings), max_size=3)


@given(meters)
def test_nothing_is_proven_by_what_came_before_the_send(outlets: list[Meter]) -> None:
    early = [
        Meter(metric="m", labels={}, readings=[r for r in outlet.readings if r.at_ms <= SENT]) for outlet in outlets
    ]
    assert off_proven(early, SENT, 2_000).verdict is Verdict.OPEN
    assert on_proven(early, SENT, 2_000).verdict is Verdict.OPEN


@given(meters)
def test_no_machine_is_proven_on_and_off_at_once(outlets: list[Meter]) -> None:
    both = {off_proven(outlets, SENT, 2_000).verdict, on_proven(outlets, SENT, 2_000).verdict}
    assert both != {Verdict.PROVEN}


@given(meters, st.integers(0, 100_000))
def test_a_later_send_proves_less(outlets: list[Meter], later: int) -> None:
    if off_proven(outlets, SENT, 2_000).verdict is Verdict.OPEN:
        assert off_proven(outlets, SENT + later, 2_000).verdict is Verdict.OPEN
