"""Scenarios speak of rules, acts and assets by the product's own names."""

from pathlib import Path

import yaml

from devices.orders import VERBS
from remediator.verbs import Verb
from simulator.scenarios import load_scenarios

CATALOGUE = Path(__file__).parents[3] / "rules" / "catalogue"
GROUPS = {"any", "power"}


def alerts() -> set[str]:
    """Every alert of the shipped rules."""
    return {
        rule["alert"]
        for path in CATALOGUE.glob("*.yaml")
        if not path.name.endswith(".hallkeeper.yaml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


def test_every_rule_that_a_scenario_names_is_in_the_catalogue() -> None:
    known = alerts()
    for scenario in load_scenarios():
        for expected in scenario.expect.alerts:
            assert set(expected.rule) <= known, (scenario.scenario, set(expected.rule) - known)


def test_every_act_that_a_scenario_names_is_one_of_the_product() -> None:
    known = {*VERBS, *map(str, Verb), *GROUPS}
    for scenario in load_scenarios():
        for entry in (*scenario.expect_action, *scenario.forbid, *scenario.people):
            assert set(entry.verbs) <= known, (scenario.scenario, set(entry.verbs) - known)
