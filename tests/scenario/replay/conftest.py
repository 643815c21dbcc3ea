"""A recording of a small site in which a node hangs, a GPU falls off and a feed is lost; made once."""

from pathlib import Path

import pytest

from hallkeeper.bench.site_recording import SiteRecording, story
from simulator.layout import Layout

MINUTES = 2.0
SMALL = Layout(node_count=32, rack_count=8)
"""Large enough that the budget of a failure domain admits one node."""


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recording")
    SiteRecording(folder, SMALL, seed=1).run(MINUTES, story(SMALL, MINUTES))
    return folder
