"""Scenario files: what they may say, what is wrong with them by line and column, and that each bites when nobody acts."""

import os
from pathlib import Path

import pytest

from simulator.faults import KINDS, FaultError, Faults
from simulator.faults.kind import Target
from simulator.plant import Plant
from simulator.reach import Reach
from simulator.scenarios import SHIPPED, Scenario, ScenarioError, load_scenarios
from simulator.scenarios.bounds import QUANTITIES, Watch
from simulator.scenarios.course import Course, plant_of
from simulator.scenarios.page import scenarios_page
from simulator.workload import Process, Workload

SCENARIOS = load_scenarios()
LONGEST_IN_CI_SECONDS = 1_400.0
LONG = "SCENARIOS_LONG" in os.environ
"""With this in the environment scenarios of hours run too."""

WHOLE = """\
scenario: short
number: 4
purpose: A host hangs.
seconds: 60
faults:
  - {fault: hung-node, targets: [dgx-007], at: 1}
"""


def run(scenario: Scenario) -> tuple[Watch, Plant]:
    """The scenario with nobody there to act."""
    plant = plant_of(scenario)
    workload = Workload(plant)
    for uid, (name, (job, rank)) in enumerate(plant.layout.placement.items()):
        workload.start(plant.layout.node_index[name], str(uid), Process(job, rank))
    workload.sweep()
    plant.settle()
    faults = Faults(Reach(plant), house=lambda *_: lambda: None)
    begun = plant.now
    course, watch = Course(scenario, faults, begun), Watch(plant, scenario.bites, begun)
    while plant.now < begun + scenario.seconds and len(watch.broken) < len(scenario.bites):
        course.step()
        plant.step(1.0)
        workload.sweep()
        watch.look()
    return watch, plant


def test_all_eighteen_scenarios_of_the_catalogue_are_there_each_under_its_files_name() -> None:
    assert {scenario.number for scenario in SCENARIOS} == set(range(1, 19))
    assert len(list(SHIPPED.glob("*.yaml"))) == 18
    names = [scenario.scenario for scenario in SCENARIOS]
    assert len(set(names)) == len(names)


def test_the_first_five_can_be_run_live() -> None:
    assert {scenario.number for scenario in SCENARIOS if scenario.live} >= {1, 2, 3, 4, 5}


def test_every_forbidden_act_says_why() -> None:
    assert all(forbidden.because.strip() for scenario in SCENARIOS for forbidden in scenario.forbid)


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS if one.bites and (LONG or one.seconds <= LONGEST_IN_CI_SECONDS)],
    ids=lambda one: one.scenario,
)
def test_a_scenario_bites_when_nobody_acts(scenario: Scenario) -> None:
    watch, _ = run(scenario)
    missing = [bound for bound in scenario.bites if bound not in [broken.bound for broken in watch.broken]]
    assert not missing, f"nothing happens: {missing}"


def test_a_variant_has_its_parents_values_where_it_says_nothing() -> None:
    by_name = {scenario.scenario: scenario for scenario in SCENARIOS}
    whole, light = by_name["pump-failure"], by_name["pump-failure/light-plate"]
    assert light.faults == whole.faults and light.bounds == whole.bounds
    assert light.site.plate.die_joules_per_kelvin == 300.0 != whole.site.plate.die_joules_per_kelvin


def written(folder: Path, text: str, name: str = "short") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("dgx-007", "dgx-999"), "6:34: faults[0].targets[0]: 'dgx-999' is not known here"),
        (("hung-node", "hung-nodes"), "6:13: faults[0].fault: 'hung-nodes' is not known here, try 'hung-node'"),
        (("at: 1}", "att: 1}"), "unknown key 'att'"),
        (("at: 1}", "at: 1, until: 1}"), "faults[0].until: is not after `at`"),
        (("at: 1}", "settings: {gpu: 1}}"), "faults[0].settings.gpu: gpu means nothing here"),
        (("seconds: 60", "seconds: -1"), "4:10: seconds: must be more than 0"),
        (("scenario: short", "scenario: other"), "1:11: scenario: is not the name of its file, try 'short'"),
        (("faults:", "bounds:\n  - {quantity: gpu-warmth, below: 1}\nfaults:"), "'gpu-warmth' is not known here"),
        (("faults:", "bounds:\n  - {quantity: gpu-celsius}\nfaults:"), "bounds[0]: sets no limit"),
        (("faults:", "forbid:\n  - {verbs: [power]}\nfaults:"), "forbid[0].because"),
        (("faults:", "site: {nodes: 4, racks: 9}\nfaults:"), "9 racks for 4 nodes"),
        (("[dgx-007]", '["dgx-[09-07]"]'), "backwards"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_column(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    path = written(tmp_path, WHOLE.replace(*change))
    with pytest.raises(ScenarioError) as told:
        load_scenarios([path])
    assert said in str(told.value)
    assert all(str(problem).startswith(f"{path}:") for problem in told.value.problems)


def test_a_mistake_in_a_variant_is_told_at_its_own_place(tmp_path: Path) -> None:
    variant = "variants:\n  - variant: b\n    purpose: x\n    bounds: [{quantity: nothing, below: 1}]\n"
    with pytest.raises(ScenarioError, match=r"10:25: variants\[0\].bounds\[0\].quantity"):
        load_scenarios([written(tmp_path, WHOLE + variant)])
    twice = variant.replace("nothing", "gpu-celsius") * 1 + "  - {variant: b, purpose: y}\n"
    with pytest.raises(ScenarioError, match="'b' is there twice"):
        load_scenarios([written(tmp_path, WHOLE + twice)])


def test_a_folder_without_scenarios_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no scenario"):
        load_scenarios([tmp_path])


def test_faults_begin_and_heal_at_their_moments_and_one_after_the_other() -> None:
    fault = {"fault": "exporter-silent", "targets": ["dgx-001", "dgx-002"], "at": 2, "until": 9, "apart_seconds": 3}
    scenario = Scenario(scenario="x", number=1, purpose="x", seconds=10, faults=[fault])
    plant = plant_of(scenario)
    reach = Reach(plant)
    course, seen = Course(scenario, Faults(reach), plant.now), []
    for _ in range(11):
        course.step()
        seen.append(len(reach.silent_exporters))
        plant.step(1.0)
    assert seen == [0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 0]
    assert course.next_seconds is None


def test_a_fault_of_the_product_is_refused_where_no_product_runs() -> None:
    plant = plant_of(SCENARIOS[0])
    with pytest.raises(FaultError, match="does not run here"):
        Faults(Reach(plant)).begin({"fault": "bus-loss", "targets": ["bus"]})


ONE_OF: dict[Target, str] = {
    Target.NODE: "dgx-003",
    Target.PDU: "pdu-r02-a",
    Target.CDU: "cdu-2",
    Target.RACK: "r02",
    Target.SIDE: "sub-b",
    Target.GRID: "grid-2",
    Target.STRING: "gen-3",
    Target.BATTERY: "bess-1",
    Target.JOB: "training/train-a",
    Target.ANY: "cdu-2",
}


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.on is not Target.HOUSE])
def test_every_kind_of_fault_begins_and_heals(name: str) -> None:
    plant = plant_of(Scenario(scenario="x", number=1, purpose="x", seconds=10))
    workload = Workload(plant)
    workload.sweep()
    targets = ["dgx-001", "dgx-002"] if name == "crossed-outlets" else [ONE_OF[KINDS[name].on]]
    faults = Faults(Reach(plant))
    number = faults.begin({"fault": name, "targets": targets}).number
    plant.step(30.0)
    assert faults.heal(number) is not None and not faults.active
    plant.step(30.0)


def test_every_quantity_has_one_value_for_each_of_its_assets() -> None:
    plant = plant_of(Scenario(scenario="x", number=1, purpose="x", seconds=10))
    plant.step(1.0)
    for name, quantity in QUANTITIES.items():
        names = ("site",) if quantity.group == "site" else getattr(plant.layout, quantity.group)
        assert quantity.measure(plant).shape == (len(names),), name


def test_the_reference_page_is_what_the_code_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "scenarios.md"
    assert page.read_text() == scenarios_page(), "run `make docs`"
