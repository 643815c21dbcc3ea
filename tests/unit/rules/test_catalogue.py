"""The shipped rules do what their unit tests say, on our engine and on real promtool alike, and each has its page."""

import re
import subprocess
from pathlib import Path

import pytest

from fleet.metrics import METRICS
from rules.catalogue_page import ENTRIES, alerts_of, rules_page
from rules.check import unknown_metrics
from rules.files.load import load_rules
from rules.files.model import AlertRule

ROOT = Path(__file__).parents[3]
CATALOGUE = ROOT / "rules" / "catalogue"
TESTS = sorted((Path(__file__).parent / "catalogue").glob("*_test.yaml"))
FILES = sorted(path for path in CATALOGUE.glob("*.yaml") if not path.stem.endswith(".hallkeeper"))
RULES = [rule for group in load_rules([CATALOGUE]).groups for rule in group.rules if isinstance(rule, AlertRule)]
SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "What Hallkeeper does by itself")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_unit_tests_pass_on_our_engine(path: Path, promtool_test) -> None:
    assert promtool_test(path) == []


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_the_unit_tests_pass_on_real_promtool(path: Path) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", path.name], cwd=path.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.peer("promtool")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_promtool_accepts_every_rule_file(path: Path) -> None:
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_reads_metrics_of_the_register() -> None:
    assert unknown_metrics(load_rules([CATALOGUE])) == []
    assert "device_events_total" in METRICS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_says_what_it_must(rule: AlertRule) -> None:
    assert rule.labels["severity"].source in {"critical", "warning", "info"}
    assert set(rule.annotations) == {"summary", "description", "runbook_url"}
    summary = rule.annotations["summary"]
    assert summary.constant
    assert summary.source.endswith(".")
    assert not rule.annotations["description"].constant
    assert rule.annotations["runbook_url"].source == f"docs/runbooks/{rule.name}.md"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_has_its_runbook_with_all_sections(rule: AlertRule) -> None:
    page = (ROOT / "docs" / "runbooks" / f"{rule.name}.md").read_text()
    assert page.startswith(f"# {rule.name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == list(SECTIONS)
    assert all(len(section.split()) >= 5 for section in re.split(r"^## .*$", page, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_is_shown_to_fire_and_to_stay_silent(rule: AlertRule) -> None:
    text = "".join(path.read_text() for path in TESTS)
    assert re.search(rf"alertname: {rule.name}\n\s+exp_alerts:", text), "no test shows it firing"
    assert re.search(rf"alertname: {rule.name}\}}", text), "no test shows it silent"


def test_what_trips_the_protective_lane_is_marked() -> None:
    protective = {group.uid for group in load_rules([CATALOGUE]).groups if group.protective}
    assert protective == {"power.yaml/pdu", "cooling.yaml/loop"}


def test_every_entry_of_the_detection_catalogue_has_an_alert() -> None:
    groups = load_rules([CATALOGUE]).groups
    assert [entry for entry in ENTRIES if not list(alerts_of(groups, entry))] == []
    assert len(ENTRIES) == 127


def test_the_committed_page_is_the_rules() -> None:
    assert (ROOT / "docs" / "reference" / "rules.md").read_text() == rules_page(), "write it anew: make docs"
