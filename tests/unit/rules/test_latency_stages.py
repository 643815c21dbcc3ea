"""The latency bench: where the milliseconds from a frame to its alert's event went."""

from bus.events import AlertEvent, AlertState, encode_event
from hallkeeper.bench.latency_rules import shown, stages_of
from hallkeeper.bench.noting_bus import Noted


def event(state: AlertState, judged_ms: int, node: str = "n1") -> bytes:
    return encode_event(
        AlertEvent(
            alert_id="a", rule="a/b/C", alertname="C", state=state, severity="warning", labels={"node": node}, value=1.0,
            annotations={}, active_since_ms=1, evaluated_at_ms=judged_ms, fingerprint="0" * 16, group_interval_seconds=1.0,
        )
    )  # fmt: skip


def test_stages_add_up_to_the_whole_and_belong_to_the_frame_that_was_read_last() -> None:
    noted = Noted()
    noted.frames["n1"] = [(1_000, 1_004), (6_000, 6_003), (6_020, 6_050)]
    noted.alerts = [
        (event(AlertState.PENDING, 6_030), 6_041, 6_047),
        (event(AlertState.FIRING, 6_030), 6_041, 6_047),
        (event(AlertState.RESOLVED, 6_030, "n2"), 6_041, 6_047),
        (event(AlertState.PENDING, 1_010), 1_020, 1_021),
    ]
    (found,) = stages_of(noted, 6_000)
    assert tuple(found) == (47, 3, 27, 11, 6)
    assert found.frame_to_alert == sum(found[1:])
    told = shown([found])
    assert (told["events"], told["frame_to_alert_p99_ms"], told["read_to_pass_p50_ms"]) == (1, 47, 27)


def test_without_events_there_is_no_figure_rather_than_a_good_one() -> None:
    told = shown([])
    assert (told["events"], told["frame_to_alert_p99_ms"]) == (0, None)
