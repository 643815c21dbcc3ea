"""`hallkeeper shed`: what is asked of a console becomes a survey, and a wish becomes a plan that says all it left out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleet.errors import HallkeeperError
from fleet.model import AssetId, Site
from hallkeeper.cli import build
from hallkeeper.commands.shed import Wish, judge
from hallkeeper.shedding.amounts import in_words, watts
from hallkeeper.shedding.readings import read
from hallkeeper.shedding.sources import SourcesError, load_sources
from tests.unit.remediator.fakes.sitefile import make_site

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"), racks=2)


def element(value: float, **labels: str) -> Mapping[str, Any]:
    return {"metric": labels, "value": [NOW, str(value)]}


def console(site: Site, *, without: frozenset[str] = frozenset()) -> Callable[[str], Sequence[Mapping[str, Any]]]:
    """Eight nodes of 6 kW, half on each feed; a training over the first rack, a batch job on two nodes of the second."""
    nodes = [node for node in site.assets.values() if node.kind.value == "node"]
    jobs = {node.id: ("ml/train", "t2-training") for node in nodes[:4]}
    jobs |= {node.id: ("ml/batch", "t4-batch") for node in nodes[4:6]}

    def ask(expr: str) -> Sequence[Mapping[str, Any]]:
        if expr == "fleet_job_info":
            return [element(1, job_id=job, node=node, priority=place) for node, (job, place) in jobs.items()]
        assert "<= 30" in expr  # nothing older is evidence
        if "pdu_outlet_power_watts" in expr:
            return [
                element(3000.0, asset=str(outlet.labels["pdu"]), outlet=str(outlet.labels["outlet"]))
                for node in nodes
                if node.id not in without
                for outlet in site.graph.outlets_of(node.id)
            ]
        if "agent_gpu_power_watts" in expr:
            return [element(500.0, asset=node.id) for node in nodes]
        if "limit" in expr:
            return [element(700.0, asset=node.id) for node in nodes]
        return [element(30.0, job_id="ml/train"), element(30.0, job_id="ml/batch")]

    return ask


def wish(**more: Any) -> Wish:
    given = {
        "target_watts": 0.0,
        "place": "site",
        "notice_seconds": 0.0,
        "hold_seconds": None,
        "sources": (),
        "units": None,
    }
    return Wish(**{**given, **more})


def test_the_survey_holds_every_job_with_its_draw_and_every_place_with_its_load(site: Site) -> None:
    survey = read(site, console(site), lambda _: False).survey
    assert {work.job: (work.tier, work.gpus) for work in survey.works} == {
        "ml/train": ("T2", 32),
        "ml/batch": ("T4", 16),
    }
    assert len(survey.idle) == 2
    carried = {place.name: place for place in survey.places}
    assert carried["site"].watts == 48_000.0
    assert carried["pdu-r01-a phase 1"].watts == 6_000.0  # two nodes of the rack on phase 1, half of each on feed a
    assert carried["pdu-r01-a phase 1"].limit_watts == 72 * 230


def test_a_node_without_a_fresh_reading_is_left_as_it_is_and_named(site: Site) -> None:
    reading = read(site, console(site, without=frozenset({"dgx-005"})), lambda _: False)
    assert reading.blind == ("dgx-005",)
    batch = next(work for work in reading.survey.works if work.job == "ml/batch")
    assert [machine.node for machine in batch.machines] == ["dgx-006"]


def test_a_locked_node_keeps_its_cap(site: Site) -> None:
    reading = read(site, console(site), lambda node: node == AssetId("dgx-005"))
    answer = judge(reading, wish(target_watts=1e6), now=NOW)
    batch = next(step for step in answer.plan.steps if step.what == "ml/batch")
    assert batch.rung.kind.value == "cap"


def test_a_job_with_a_locked_rank_is_not_suspended_also_when_that_rank_was_not_read(site: Site) -> None:
    unread = console(site, without=frozenset({"dgx-005"}))
    answer = judge(read(site, unread, lambda node: node == AssetId("dgx-005")), wish(target_watts=1e6), now=NOW)
    batch = next(step for step in answer.plan.steps if step.what == "ml/batch")
    assert batch.rung.kind.value == "cap"


def test_where_nobody_says_what_runs_nothing_is_taken_for_idle(site: Site) -> None:
    known = console(site)
    reading = read(site, lambda expr: [] if expr == "fleet_job_info" else known(expr), lambda _: False)
    assert reading.survey.idle == ()
    assert judge(reading, wish(target_watts=1000.0), now=NOW).plan.steps == ()


def test_a_target_is_met_from_the_lowest_priority_with_its_price(site: Site) -> None:
    answer = judge(read(site, console(site), lambda _: False), wish(target_watts=2000.0), now=NOW).as_json()
    assert [(step["what"], step["act"], step["cap_watts"]) for step in answer["steps"]] == [("ml/batch", "cap", 300.0)]
    assert answer["relief_watts"]["site"] == pytest.approx(3200.0)
    assert answer["lost_gpu_seconds"] > 0
    assert answer["unmet_watts"] == {}


def test_what_cannot_be_given_is_said_in_watts(site: Site) -> None:
    answer = judge(read(site, console(site), lambda _: False), wish(target_watts=1e6), now=NOW)
    assert answer.plan.unmet["site"] == pytest.approx(1e6 - answer.plan.relief["site"])


def test_a_place_that_does_not_exist_is_an_error_with_names_that_do(site: Site) -> None:
    with pytest.raises(HallkeeperError, match="nothing known hangs on 'pdu-9'; try: one of busbar-a"):
        judge(read(site, console(site), lambda _: False), wish(target_watts=1.0, place="pdu-9"), now=NOW)


def test_sources_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources:\n  - {name: t1, kind: turbine, watts: 5MW, permit_hours_left: 3}\n")
    (source,) = load_sources(path)
    assert (source.watts, source.permit_hours_left) == (5e6, 3)
    path.write_text("sources:\n  - {name: t1, kind: turbine, watts: five, permits: 3}\n")
    with pytest.raises(SourcesError) as caught:
        load_sources(path)
    assert "sources.yaml:2:" in str(caught.value)
    assert "'five' is no power; try: 3MW" in str(caught.value)


@pytest.mark.parametrize(("text", "amount"), [("3MW", 3e6), ("250kW", 250e3), ("12", 12.0), ("1.5 MW", 1.5e6)])
def test_amounts_are_read_as_operators_write_them(text: str, amount: float) -> None:
    assert watts(text) == amount
    assert watts(in_words(amount)) == amount


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "3MW"], "try: --dry-run"),
        (["--dry-run"], "nothing is asked for; try: --target 3MW"),
        (["--dry-run", "--target", "3 horses"], "'3 horses' is no power"),
        (["--dry-run", "--target", "3MW", "--start", "tomorrow"], "'tomorrow' is no time"),
        (["--dry-run", "--target", "3MW", "--redundancy", "1"], "try: --sources FILE"),
    ],
)
def test_a_wish_that_cannot_be_understood_says_what_to_try(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(build("shed"), ["shed", *arguments])
    assert isinstance(result.exception, HallkeeperError)
    assert message in str(result.exception)
