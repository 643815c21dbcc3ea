"""The numbers that a site may tune: each is explained, and a slip in the settings is said at its place."""

from pathlib import Path

import pytest

from fleet.errors import SettingsError
from fleet.register.metric import unit_of
from fleet.settings import load_settings
from fleet.thresholds import AREAS, THRESHOLDS, site_thresholds
from fleet.thresholds.page import thresholds_page

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize("name", THRESHOLDS)
def test_every_threshold_is_explained_and_its_default_can_be_meant(name: str) -> None:
    threshold = THRESHOLDS[name]
    assert threshold.meaning
    assert threshold.source
    assert "|" not in threshold.meaning + threshold.source
    assert threshold.unit == unit_of(name), "a name ends in its unit"
    assert threshold.low <= threshold.default <= threshold.high


def test_no_name_is_there_twice() -> None:
    assert sum(len(area) for area in AREAS.values()) == len(THRESHOLDS)


def test_the_committed_page_is_the_tables() -> None:
    assert (REFERENCE / "thresholds.md").read_text() == thresholds_page(), "write it anew: make docs"


def test_settings_override_by_name(tmp_path: Path) -> None:
    path = tmp_path / "hallkeeper.yaml"
    path.write_text("thresholds: {gpu_hot_celsius: 85}")
    values = site_thresholds(load_settings(path).thresholds)
    assert values == {name: one.default for name, one in THRESHOLDS.items()} | {"gpu_hot_celsius": 85.0}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  gpu_hot_celsios: 85", "2:3: thresholds.gpu_hot_celsios: unknown threshold 'gpu_hot_celsios', try 'gpu_hot_celsius'"),
        ("  zzz: 85", "2:3: thresholds.zzz: unknown threshold 'zzz', try a name of docs/reference/thresholds.md"),
        ("  gpu_hot_celsius: 850", "2:20: thresholds.gpu_hot_celsius: 850 is no degrees Celsius that can be meant, try 40 to 110"),
        ("  gpu_hot_celsius: hot", "2:20: thresholds.gpu_hot_celsius: must be a number, is text"),
        ("  gpu_hot_celsius: .nan", "2:20: thresholds.gpu_hot_celsius: must be a finite number"),
    ],
)  # fmt: skip
def test_a_slip_is_said_at_its_place(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "hallkeeper.yaml"
    path.write_text(f"thresholds:\n{line}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    found = [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]
    assert len(found) <= 2
    assert any(line.startswith(said) for line in found), found
