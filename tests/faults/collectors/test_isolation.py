"""A dead device costs its neighbours nothing; it is told once, asked less and less, and welcomed back."""

import itertools

import pytest
from structlog.testing import capture_logs

from collectors.poller import Poll
from fleet.clock import VirtualClock
from fleet.errors import Malformed, Refused, Unreachable
from tests.peers.collecting import ScriptedPoller, collecting, reading
from tests.peers.targets import exporter_endpoint, node, site_of

GPU = {"gpu": 1.0}


class Silence:
    """A device that may be dead."""

    def __init__(self, clock: VirtualClock) -> None:
        self.error: Exception | None = None
        self._clock = clock

    def __call__(self, due: frozenset[str]) -> Poll:
        if self.error is not None:
            raise self.error
        return Poll(readings=(reading(self._clock, {"DCGM_FI_DEV_POWER_USAGE": 300.0}, gpu="0"),))


def hall(clock: VirtualClock, count: int):
    names = [f"dgx-{number:03d}" for number in range(count)]
    site = site_of(*(node(exporter_endpoint("http://127.0.0.1:1/metrics", asset=name)) for name in names))
    devices = {name: Silence(clock) for name in names}
    pollers = {name: ScriptedPoller(clock, device, GPU) for name, device in devices.items()}
    return site, devices, pollers


async def test_one_dead_device_among_sixteen_costs_its_neighbours_no_poll() -> None:
    clock = VirtualClock()
    site, _devices, pollers = hall(clock, 16)
    dead = pollers["dgx-003"]
    dead.takes_seconds = 3600.0
    async with collecting(site, clock, pollers):
        await clock.advance(60)
        polls = {name: len(poller.times()) for name, poller in pollers.items()}
    assert polls.pop("dgx-003") < 12
    assert set(polls.values()) <= {59, 60}


async def test_a_whole_dead_family_leaves_the_turns_of_the_living_alone() -> None:
    clock = VirtualClock()
    site, _devices, pollers = hall(clock, 200)
    for name in list(pollers)[:150]:
        pollers[name].takes_seconds = 3600.0
    async with collecting(site, clock, pollers):
        await clock.advance(20)
        before = {name: len(poller.times()) for name, poller in pollers.items()}
        await clock.advance(30)
    living = [len(pollers[name].times()) - before[name] for name in list(pollers)[150:]]
    assert min(living) >= 29


async def test_a_silent_device_is_asked_less_and_less_but_once_a_minute_and_is_back_at_once() -> None:
    clock = VirtualClock()
    site, devices, pollers = hall(clock, 1)
    device, poller = devices["dgx-000"], pollers["dgx-000"]
    async with collecting(site, clock, pollers):
        await clock.advance(5)
        device.error = Unreachable("no answer")
        await clock.advance(600)
        tries = poller.times()
        gaps = [round(later - earlier, 1) for earlier, later in itertools.pairwise(tries)]
        assert gaps[-1] == pytest.approx(60, abs=0.3)
        assert gaps == sorted(gaps), "each wait is at least as long as the one before"
        device.error = None
        await clock.advance(60 + 12)
        assert len(poller.times(since=poller.times()[-1] - 3.5)) >= 4, "at its full rate again after a few answers"


async def test_up_is_zero_at_once_and_every_series_ends_with_one_stale_marker() -> None:
    clock = VirtualClock()
    site, devices, pollers = hall(clock, 1)
    source = "dgx-000/dcgm"
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(3.5)
        devices["dgx-000"].error = Unreachable("no answer")
        await clock.advance(300)
        power = bus.history(source, "DCGM_FI_DEV_POWER_USAGE")
        up = bus.history(source, "up")
        assert power.count("stale") == 1
        assert power[-1] == "stale"
        assert set(power[:-1]) == {300.0}
        first_zero = up.index(0.0)
        assert set(up[:first_zero]) == {1.0}
        assert set(up[first_zero:]) == {0.0}
        devices["dgx-000"].error = None
        await clock.advance(70)
        assert bus.history(source, "DCGM_FI_DEV_POWER_USAGE")[-1] == 300.0
        assert bus.history(source, "up")[-1] == 1.0


async def test_one_lost_poll_ends_no_series() -> None:
    clock = VirtualClock()
    site, devices, pollers = hall(clock, 1)
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(3.5)
        devices["dgx-000"].error = Unreachable("lost")
        await clock.advance(1)
        devices["dgx-000"].error = None
        await clock.advance(10)
    assert "stale" not in bus.history("dgx-000/dcgm", "DCGM_FI_DEV_POWER_USAGE")
    assert bus.history("dgx-000/dcgm", "up").count(0.0) == 1


async def test_a_device_that_goes_is_logged_once_and_its_return_once() -> None:
    clock = VirtualClock()
    site, devices, pollers = hall(clock, 2)
    with capture_logs() as logs:
        async with collecting(site, clock, pollers):
            await clock.advance(3)
            devices["dgx-000"].error = Unreachable("no answer over the network")
            await clock.advance(600)
            devices["dgx-000"].error = None
            await clock.advance(120)
    told = [(entry["event"], entry["source"]) for entry in logs if entry.get("source")]
    assert told == [("a target is gone", "dgx-000/dcgm"), ("a target returned", "dgx-000/dcgm")]
    assert [entry["reason"] for entry in logs if "reason" in entry] == ["no answer over the network"]


@pytest.mark.parametrize("error", [Malformed("line 3: what"), Refused("no"), ZeroDivisionError("a fault of ours")])
async def test_an_unusable_answer_is_quarantined_counted_and_reaches_nobody_else(error: Exception) -> None:
    clock = VirtualClock()
    site, devices, pollers = hall(clock, 3)
    devices["dgx-001"].error = error
    with capture_logs():
        async with collecting(site, clock, pollers) as (_, bus, registry):
            await clock.advance(10)
            outcome = {"Malformed": "malformed", "Refused": "refused"}.get(type(error).__name__, "failed")
            counted = registry.get_sample_value("hallkeeper_polls_total", {"job": "dcgm", "outcome": outcome})
    assert counted == len(pollers["dgx-001"].times())
    assert bus.history("dgx-001/dcgm", "DCGM_FI_DEV_POWER_USAGE") == []
    assert len(bus.history("dgx-000/dcgm", "DCGM_FI_DEV_POWER_USAGE")) >= 9
    assert set(bus.history("dgx-001/dcgm", "up")) == {0.0}


async def test_a_target_that_cannot_be_asked_is_named_and_the_others_are_polled() -> None:
    clock = VirtualClock()
    site, _, pollers = hall(clock, 2)
    pollers = dict(pollers) | {"dgx-000": Refused("no credentials, try `credentials:`")}
    with capture_logs() as logs:
        async with collecting(site, clock, pollers) as (_, bus, registry):
            await clock.advance(5)
            refused = registry.get_sample_value("hallkeeper_targets", {"job": "dcgm", "state": "refused"})
    assert refused == 1
    assert [entry["reason"] for entry in logs if entry["log_level"] == "error"] == [
        "no credentials, try `credentials:`"
    ]
    assert bus.history("dgx-001/dcgm", "up")


async def test_a_poll_beyond_its_deadline_is_ended_and_the_target_is_asked_again() -> None:
    clock = VirtualClock()
    site, _, pollers = hall(clock, 1)
    poller = pollers["dgx-000"]
    poller.takes_seconds = 3600.0
    async with collecting(site, clock, pollers) as (_, bus, _registry):
        await clock.advance(8)
        assert bus.history("dgx-000/dcgm", "up") == [0.0]
        poller.takes_seconds = 0.0
        await clock.advance(4)
        assert bus.history("dgx-000/dcgm", "up")[-1] == 1.0
