"""The house is tidy: small files, no unfinished business without an entry in the backlog, no path of any machine."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
OURS = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
]
PYTHON = [
    path for path in OURS if path.suffix == ".py" and path.exists() and "tests" not in path.relative_to(ROOT).parts
]
TEXT = [
    path
    for path in OURS
    if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".sh", ".json", ""}
    and path.is_file()
    and path.name != "LICENSE"
]
LONGEST_FILE = 500


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_no_file_is_longer_than_five_hundred_lines():
    long = {name(path): lines for path in PYTHON if (lines := len(path.read_text().splitlines())) > LONGEST_FILE}
    assert long == {}


def test_most_files_are_shorter_than_three_hundred_lines():
    lengths = sorted(len(path.read_text().splitlines()) for path in PYTHON)
    assert lengths[int(len(lengths) * 0.9)] <= 300


def test_what_is_unfinished_stands_in_the_backlog():
    backlog = (ROOT / "docs" / "backlog.md").read_text()
    for path in PYTHON:
        for found in re.finditer(r"#.*\b(TODO|FIXME|XXX)\b:? ?(.*)", path.read_text()):
            assert found.group(2).strip() in backlog, f"{name(path)}: {found.group(0)}"


def test_no_machine_is_named_anywhere():
    """Paths of one machine and hosts of registries do not belong into the product."""
    banned = re.compile(
        r"/work/|/root/|\.pyenv|pypi\.org|registry\.npmjs|repo1\.maven|deb\.debian|proxy\.golang|files\.pythonhosted"
    )
    hits = [
        f"{name(path)}: {found.group(0)}"
        for path in TEXT
        if path != Path(__file__) and (found := banned.search(path.read_text(errors="replace")))
    ]
    assert hits == []


@pytest.mark.parametrize("alert", sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")))
def test_each_runbook_has_the_five_sections(alert):
    text = (ROOT / "docs" / "runbooks" / f"{alert}.md").read_text()
    for section in ("Meaning", "Impact", "Diagnosis", "Mitigation", "What Hallkeeper does by itself"):
        assert re.search(rf"^##+ {section}\s*$", text, re.MULTILINE), f"{alert}: no section {section}"


def test_retries_never_surround_an_actuation():
    """The library that repeats reads is not imported where commands are sent."""
    writers = [
        path
        for path in PYTHON
        if "actuator" in path.parts or path.name in {"snmp_set.py", "orders.py"} or path.name.startswith("rmcp")
    ]
    assert writers
    for path in writers:
        assert "stamina" not in path.read_text(), name(path)
