"""The rooms stay apart: every rule of who may import whom is enforced, and each rule can fail."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = PROJECT["tool"]["importlinter"]["root_packages"]

VIOLATIONS = {
    "fleet imports nothing of ours": ("fleet/clock.py", "import bus"),
    "bus, devices, agent and simulator import fleet only: the simulator shares no decoder with the product": (
        "bus/topics.py",
        "import remediator",
    ),
    "bus, devices, agent and simulator do not know each other": ("simulator/__init__.py", "import devices.wire"),
    "collectors, rules, remediator, oncall and historian meet on the bus (the remediator may ask rules through its public interface)": (
        "oncall/guard.py",
        "import rules.labels",
    ),
    "judgement and delivery do not reach into the console, the agent, the simulator or the command line": (
        "oncall/guard.py",
        "import console",
    ),
    "rules, oncall and historian speak to no device": ("rules/labels.py", "import devices.orders"),
    "dashboards import nothing of ours": ("dashboards/panels.py", "import fleet.metrics"),
    "the console does not reach into the agent, the simulator or the command line": (
        "console/state.py",
        "import simulator",
    ),
    "third-party protocol clients live in devices.wire (servers in simulator and agent)": (
        "collectors/poller.py",
        "import pymodbus",
    ),
    "aiokafka lives in bus.kafka": ("oncall/service.py", "import aiokafka"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_a_violation_that_is_tried_here():
    assert {contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]} == set(VIOLATIONS)


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_forbidden_import_is_caught_by_its_contract(copy, contract):
    path, line = VIOLATIONS[contract]
    target = copy / path
    target.write_text(target.read_text() + f"\n{line}\n")
    result = lint(copy)
    assert result.returncode != 0, result.stdout
    broken = re.findall(
        r"^(.*) BROKEN", re.sub(r"\s+", " ", result.stdout.replace("\n", "\0")).replace("\0", "\n"), re.MULTILINE
    )
    assert any(contract[:40] in each for each in broken), result.stdout[-2000:]


@pytest.mark.parametrize("room", ROOMS)
def test_each_rooms_name_is_ours_and_its_charter_says_what_it_must_never_do(room):
    spec = importlib.util.find_spec(room)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve().is_relative_to(ROOT)
    charter = (ROOT / room / "__init__.py").read_text()
    assert charter.startswith('"""')
    assert re.search(r"\b(never|nothing|no)\b", charter, re.IGNORECASE), f"{room}: the charter says no prohibition"


def test_the_tests_are_not_in_the_wheel():
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]
    assert "tests*" in found["exclude"]
    assert not any(pattern.startswith("tests") for pattern in found["include"])
    assert {pattern.rstrip("*") for pattern in found["include"]} == set(ROOMS)
