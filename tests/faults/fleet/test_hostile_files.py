"""Files made to hurt: the loader stays bounded in time and memory, and the process lives."""

import os
import time
from pathlib import Path

import pytest

from fleet.document import MAX_BYTES
from fleet.errors import SecretError, SiteError
from fleet.loader import load_site
from fleet.secrets import read_secret

LAUGHS = "a: &a [1,2,3,4,5,6,7,8,9]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 500_000, "is nested too deeply"),
        ("{a: " * 500_000, "is nested too deeply"),
        ("- " * 500_000, "is nested too deeply"),
        ("? " * 100_000, "is nested too deeply"),
        (LAUGHS, "is nested or repeated without end"),
        ("a: &a\n  b: *a\n", "is nested or repeated without end"),
        ("a: &a {<<: *a}\n", "is nested or repeated without end"),
        ("a: *b\n", "the alias *b has no anchor above it"),
        ("\x00", "not valid YAML"),
        ("a: \x07", "not valid YAML"),
        ("#" + "x" * MAX_BYTES, "is larger than 16 MiB"),
        (
            "site: x\nhalls: [{name: h, rows: [{name: r, zone: 1, racks: [{name: k, nodes: [{names: 'a[1-9999]b[1-9999]', idle_watts: 1, max_watts: 2}]}]}]}]",
            "more than 20000 names",
        ),
        ("site: " + "1" * 5000 + "\nhalls: []", "must be 1 to 63 letters"),
    ],
    ids=[
        "brackets",
        "braces",
        "dashes",
        "questions",
        "laughs",
        "cycle",
        "merge cycle",
        "alias",
        "nul",
        "bell",
        "huge",
        "names",
        "digits",
    ],
)
def test_a_hostile_file_is_refused_within_seconds(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(SiteError) as caught:
        load_site(path)
    assert any(said in problem.message for problem in caught.value.problems), str(caught.value)[:500]
    assert time.process_time() - started < 10


def test_many_mistakes_are_all_reported(tmp_path: Path) -> None:
    """10,000 broken entries in less than 10 CPU-seconds: places are found without walking the file for each."""
    entries = "".join(f"  - {{name: sub-{i}, rated_watts: x, fed_by: [nowhere-{i}]}}\n" for i in range(2_000))
    path = tmp_path / "site.yaml"
    path.write_text(f"site: x\nhalls: [{{name: h}}]\npower:\n  substations:\n{entries}")
    started = time.process_time()
    with pytest.raises(SiteError) as caught:
        load_site(path)
    assert len(caught.value.problems) == 4_000
    assert time.process_time() - started < 10


def test_a_fifo_does_not_hang_the_reader_of_secrets(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s.yaml", 0o600)
    with pytest.raises(SecretError, match="is not a file"):
        read_secret("file:s.yaml", base=tmp_path)


def test_a_fifo_does_not_hang_the_loader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "site.yaml", 0o600)
    with pytest.raises(SiteError, match="is not a file"):
        load_site(tmp_path / "site.yaml")


def test_secrets_with_endless_aliases_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(LAUGHS)
    path.chmod(0o600)
    with pytest.raises(SecretError):
        read_secret("file:s.yaml", base=tmp_path)


def test_secrets_nested_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("a: " + "[" * 100_000)
    path.chmod(0o600)
    with pytest.raises(SecretError):
        read_secret("file:s.yaml", base=tmp_path)


def test_a_path_that_is_no_path_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(SiteError):
        load_site("nul\x00byte")
    with pytest.raises(SiteError):
        load_site(tmp_path / ("x" * 5000))
