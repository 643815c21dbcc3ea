"""Playbooks at the command line: mistakes with their places, explanations, and simulations that send nothing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleet.errors import HallkeeperError
from hallkeeper.cli import build
from tests.unit.remediator.fakes.sitefile import make_site

RUN, APP = CliRunner(), build("playbook")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    make_site(folder, racks=16)
    return folder / "site.yaml"


def said(*words: str, code: int = 0) -> str:
    result = RUN.invoke(APP, ["playbook", *words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_the_shipped_playbooks_answer_every_rule() -> None:
    assert "0 by nobody" in said("check")
    told = json.loads(said("check", "--json"))
    assert told["usable"]
    assert told["uncovered"] == []


def test_a_mistake_is_told_with_its_place_and_what_was_probably_meant(tmp_path: Path) -> None:
    book = "playbook: mine\npurpose: A node is cordoned for ever.\nlane: corrective\ncause: silence\nrules: [node.yaml/node/NodeHunk]\nladder:\n  - rung: only\n    steps:\n      - {name: cordon, act: cordn}\n"
    (tmp_path / "mine.yaml").write_text(book)
    (problem,) = json.loads(said("check", str(tmp_path / "mine.yaml"), "--json", code=1))["problems"]
    assert (problem["line"], "'cordon'" in problem["try"]) == (9, True)
    (tmp_path / "mine.yaml").write_text(book.replace("cordn", "cordon"))
    (problem,) = json.loads(said("check", str(tmp_path / "mine.yaml"), "--json", code=1))["problems"]
    assert (problem["line"], problem["try"]) == (5, "node.yaml/node/NodeHung")


def test_an_explanation_shows_gates_budgets_and_why_the_mode_is_what_it_is(site: Path) -> None:
    told = json.loads(said("explain", "P-RESET", "--target", "dgx-001", "--site", str(site), "--json"))
    assert [rung["rung"] for rung in told["ladder"]] == [
        "gpu-reset",
        "reboot",
        "power-cycle",
        "ac-removal",
        "hand-over",
    ]
    assert told["mode"] == {"mode": "observe", "why": "its file says so"}
    cut = next(step for rung in told["ladder"] for step in rung["steps"] if step.get("act") == "power_off")
    assert cut["gates"][:4] == ["lockout", "stop", "protected", "freshness"]
    assert {"domain": "rack r01", "allowed": 1, "members": 4} in told["budgets"]


def test_a_simulation_climbs_as_far_as_it_must(site: Path) -> None:
    told = json.loads(said("simulate", "node-dead", "--target", "dgx-001", "--site", str(site), "--json"))
    verbs = [sent["verb"] for sent in told["sent"]]
    assert verbs == ["cordon", "power_off", "taint_out_of_service", "power_on", "untaint_out_of_service", "uncordon"]
    assert (told["phase"], told["rungs"]) == ("succeeded", ["power-cycle"])
    failed = json.loads(
        said("simulate", "p-cycle", "--target", "dgx-001", "--site", str(site), "--fails", "power-off", "--json")
    )
    assert failed["rungs"] == ["power-cycle", "ac-removal"]
    assert [sent["verb"] for sent in failed["sent"] if sent["verb"].startswith("outlet")] == ["outlet_off"] * 2 + [
        "outlet_on"
    ] * 2


def test_what_a_playbook_does_not_treat_is_refused_with_what_to_try(site: Path) -> None:
    with pytest.raises(HallkeeperError, match="treats node"):
        said("simulate", "p-reset", "--target", "r01", "--site", str(site))
