"""Looks at all instruments in array calls see what looks at one after the other see."""

from pathlib import Path
from typing import Any

import pytest

from fleet.loader import load_site
from fleet.model import Kind
from fleet.settings import Intervals
from hallkeeper.bench.site_recording import SiteRecording, story
from hallkeeper.replay.around import QuickAround
from hallkeeper.replay.feed import Feed
from hallkeeper.replay.window import SharedWindow
from historian.recording.reader import Recording
from remediator.around import Around
from remediator.signals import signals_of
from rules.window.needs import Needs
from rules.window.window import Window
from simulator.layout import Layout

SMALL = Layout(node_count=16, rack_count=4)
DEPTHS = {"up": 60.0, "agent_heartbeat_timestamp_seconds": 60.0, "pdu_outlet_power_watts": 60.0}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    folder = tmp_path_factory.mktemp("recording")
    SiteRecording(folder, SMALL, seed=3).run(1.5, story(SMALL, 1.5))
    return Recording(folder)


def test_array_calls_learn_and_see_what_one_by_one_does(recording: Recording) -> None:
    assert isinstance(recording.site, Path)
    site = load_site(recording.site, check_secrets=False)
    window = Window(Needs({}))
    shared = SharedWindow(window, DEPTHS)
    feed, signal = Feed(window), signals_of(site, Intervals())
    plain, quick = Around(site, shared, signal), QuickAround(site, shared, signal)
    outlets = [outlet.id for outlet in site.of_kind(Kind.OUTLET)]
    learnt, silent = 0, 0
    for segment in recording.segments():
        for told in recording.told(segment):
            feed.learn(told)
        feed.take(recording.frames(segment))
        for at_ms in range(segment.from_ms // 1000 * 1000 + 1000, segment.until_ms, 1000):
            feed.until(at_ms)
            _forgotten(at_ms, outlets, plain, quick)
            plain.look(at_ms)
            quick.look(at_ms)
            means = [plain.usual(outlet) for outlet in outlets]
            assert means == [quick.usual(outlet) for outlet in outlets]
            assert _seen(plain) == _seen(quick)
            assert plain.vanished == quick.vanished
            learnt = max(learnt, sum(mean is not None for mean in means))
            silent = max(silent, sum(not one.answers for kind in _seen(plain).values() for one in kind.values()))
    assert learnt > len(outlets) / 2
    assert silent > 0


def _forgotten(at_ms: int, outlets: list[Any], *surroundings: Around) -> None:
    if at_ms // 1000 % 40 == 0:
        for around in surroundings:
            around.usual.forget(outlets[:5])


def _seen(around: Around) -> dict[str, Any]:
    return around._sightings
