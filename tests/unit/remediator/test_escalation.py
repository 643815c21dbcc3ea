"""Ladders: reversible rungs first, then the cheapest; codes choose where to begin; a yes is for one plan alone."""

import msgspec
import pytest

from bus.events import AlertState
from fleet.faults import load_faults
from fleet.model import AssetId, Kind, Site
from fleet.settings import Settings
from remediator.causes import Symptom
from remediator.escalation import next_rung, price_of, tally
from remediator.facts import Budget, Domain, JobImpact
from remediator.fault_answers import Answers
from remediator.plans import asked_plan
from remediator.playbook_coverage import coverage_of, coverage_problems
from remediator.playbook_loader import load_shelf
from remediator.records import Remediation
from remediator.rule_texts import rule_texts
from remediator.transitions import Phase
from remediator.verbs import Cause, Mode
from tests.unit.remediator.fakes.sitefile import make_site

SHELF = load_shelf()
BOOKS = {book.playbook: book for book in SHELF.playbooks}
RESET = BOOKS["p-reset"]
NODE = AssetId("dgx-001")
RULES = {uid.rsplit("/", 1)[1]: uid for uid in rule_texts(Settings())}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), racks=2)


def prices(measured: dict[tuple[str, str], tuple[int, int]] | None = None):
    return {rung.rung: price_of(rung, 8, "dgx-h100", measured or {}) for rung in RESET.ladder}


def test_every_rule_of_the_catalogue_is_answered_by_a_playbook_or_by_people_alone() -> None:
    known = rule_texts(Settings())
    assert coverage_problems(SHELF, known, everything=True) == []
    assert coverage_of(SHELF, known).by_playbook[RULES["NodeDead"]] == "node-dead"


def test_a_rule_that_nobody_answers_is_a_mistake_and_so_is_an_answer_to_no_rule() -> None:
    problems = coverage_problems(SHELF, [*rule_texts(Settings()), "new.yaml/g/Brandnew"], everything=True)
    assert [problem.path for problem in problems] == ["new.yaml/g/Brandnew"]
    left = sorted(set(rule_texts(Settings())) - {RULES["GpuHot"]})
    (problem,) = coverage_problems(SHELF, left, everything=True)
    assert "GpuHot" in problem.message
    assert problem.line > 1


def test_rungs_are_tried_by_price_and_people_come_last() -> None:
    tried: list[str] = []
    while (place := next_rung(RESET, tried, prices())) is not None:
        tried.append(RESET.ladder[place].rung)
    assert tried == ["gpu-reset", "reboot", "power-cycle", "ac-removal", "hand-over"]


def test_a_rung_that_never_helped_on_this_hardware_loses_its_place() -> None:
    measured = {("dgx-h100", "gpu-reset"): (40, 0), ("dgx-h100", "reboot"): (40, 39)}
    place = next_rung(RESET, [], prices(measured))
    assert place is not None
    assert RESET.ladder[place].rung == "reboot"
    other = {("mi300x", rung): uses for (_, rung), uses in measured.items()}
    assert next_rung(RESET, [], prices(other)) == 0


def test_ac_is_removed_only_after_a_power_cycle_whatever_it_costs() -> None:
    cheap = prices({("dgx-h100", "ac-removal"): (1000, 1000)})
    place = next_rung(RESET, [], cheap)
    assert place is not None
    assert RESET.ladder[place].rung != "ac-removal"


def test_the_rung_that_the_code_names_leaves_out_the_weaker_ones() -> None:
    place = next_rung(RESET, [], prices(), start="reboot")
    assert place is not None
    assert RESET.ladder[place].rung == "reboot"


def ended(phase: Phase, *rungs: str) -> Remediation:
    ladder = [{"rung": rung, "place": n, "at_ms": 0, "gpu_seconds": 0.0, "text": ""} for n, rung in enumerate(rungs)]
    return Remediation(
        remediation_id="r", incident_id="i", playbook="p-reset", mode=Mode.ENFORCE, cause=Cause.REPORTED_FAULT, target=NODE,
        phase=phase, memory={"ladder": ladder}, created_at_ms=0, updated_at_ms=0,
    )  # fmt: skip


def test_success_is_measured_by_hardware_and_rung_and_what_was_cancelled_says_nothing() -> None:
    past = [
        ended(Phase.SUCCEEDED, "gpu-reset", "reboot"),
        ended(Phase.ESCALATED, "gpu-reset"),
        ended(Phase.CANCELLED, "reboot"),
    ]
    assert tally(past, lambda _: "dgx-h100") == {("dgx-h100", "gpu-reset"): (2, 0), ("dgx-h100", "reboot"): (1, 1)}


def alert(name: str, **labels: str) -> Symptom:
    return Symptom(
        alert_id=name + labels.get("gpu", ""), rule=RULES[name], alertname=name, asset=NODE, named=True, state=AlertState.FIRING,
        severity="critical", labels=labels, annotations={}, since_ms=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "others", "playbook", "action"),
    [
        (alert("GpuResetNeeded", code="46"), [], "p-reset", "reset_gpu"),
        (alert("GpuResetNeeded", code="46", gpu="1"), [alert("GpuRebootNamed", gpu="1")], "p-reboot", "reboot_node"),
        (alert("GpuResetNeeded", code="46", gpu="1"), [alert("GpuRebootNamed", gpu="2")], "p-reset", "reset_gpu"),
        (alert("GpuResetNeeded", code="46"), [alert("GpuDrainNamed")], "p-swap", "drain_peers"),
        (alert("GpuFellOffBus"), [], "gpu-fell-off-bus", "reboot_node"),
        (alert("GpuFellOffBus"), [alert("GpuResetNamed")], "p-reset", "reset_gpu"),
        (alert("GpuFaultReported", code="54"), [], "p-rma", "check_mechanics"),
        (alert("GpuFaultReported", code="151"), [], "p-cycle", "restart_machine"),
        (alert("GpuFaultReported", code="160"), [], "p-reboot", "reboot_node"),
        (alert("GpuFaultReported", code="56"), [], None, "report"),
        (alert("ApplicationGpuError", code="13"), [], "p-app", "restart_application"),
        (alert("NvswitchFatal", code="10003"), [], "p-reset", "reset_fabric"),
        (alert("NvswitchFault", code="20009"), [], "p-rma", "check_mechanics"),
        (alert("NvswitchFatal", code="20006"), [], "p-diag", "run_diagnosis"),
        (alert("NvswitchFault", code="12004"), [], None, "report"),
        (alert("NodeHeartbeatLost"), [], None, None),
    ],
)  # fmt: skip
def test_the_tables_of_faults_choose_the_playbook_and_the_driver_overrides_them(
    site: Site, fault: Symptom, others: list[Symptom], playbook: str | None, action: str | None
) -> None:
    answers = Answers(SHELF.playbooks, load_faults(), site)
    book = answers.of(fault, [fault, *others])
    assert (book.playbook if book else None, answers.action(fault, [fault, *others])) == (playbook, action)


def test_an_alert_about_what_a_playbook_does_not_treat_is_a_persons(site: Site) -> None:
    answers = Answers(SHELF.playbooks, load_faults(), site)
    assert answers.of(msgspec.structs.replace(alert("NodeDead"), asset=AssetId("r01"))) is None
    assert answers.of(msgspec.structs.replace(alert("NodeDead"), named=False)) is None


def test_a_yes_is_for_this_act_this_evidence_and_these_limits_alone() -> None:
    state = msgspec.structs.replace(ended(Phase.AWAITING_APPROVAL, "gpu-reset"), plan="ladder and target")
    row = Budget(domain=Domain(kind=Kind.ROW, id=AssetId("row-01")), allowed=4, in_use=0)
    jobs = [JobImpact(job="train/llm", gpus=64)]
    asked = asked_plan(state, jobs, [row])
    assert asked == asked_plan(state, jobs, [Budget(domain=row.domain, allowed=4, in_use=3)])
    changed = [
        asked_plan(msgspec.structs.replace(state, rung=1), jobs, [row]),
        asked_plan(msgspec.structs.replace(state, plan="another ladder"), jobs, [row]),
        asked_plan(msgspec.structs.replace(state, memory={**state.memory, "jobs": {"train/other": 1}}), jobs, [row]),
        asked_plan(state, [JobImpact(job="train/llm", gpus=128)], [row]),
        asked_plan(state, jobs, [Budget(domain=row.domain, allowed=2, in_use=0)]),
    ]
    assert len({asked, *changed}) == 6
