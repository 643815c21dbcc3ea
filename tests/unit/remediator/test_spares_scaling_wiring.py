"""The nearest spare, the loaders that a job needs, and outlets that do not feed what the inventory says."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fleet.model import AssetId, Kind, Site
from remediator.playbook import Playbook
from remediator.proof import Finding, Verdict
from remediator.scaling import Loaders, wanted_replicas
from remediator.spares import Candidate, gang_spares, leaves_of, spares_for
from remediator.transitions import Phase
from remediator.wiring import QUARANTINE, Quarantine, Switched, Wiring, wiring_of
from tests.unit.remediator.fakes.sitefile import make_site
from tests.unit.remediator.fakes.world import OneWorld

A, B = AssetId("pdu-a#1"), AssetId("pdu-b#1")
NODE = AssetId("dgx-001")


def off(verdict: Verdict) -> Finding:
    return Finding(verdict)


def switched(**changes: object) -> Switched:
    proven = {A: off(Verdict.PROVEN), B: off(Verdict.PROVEN)}
    return Switched(**({"node": NODE, "off": proven, "wanted": (A, B), "alive": False} | changes))


@pytest.mark.parametrize(("changes", "verdict", "text"), [
    ({}, Wiring.RIGHT, "silent"),
    ({"alive": None}, Wiring.OPEN, "nobody has listened"),
    ({"alive": True}, Wiring.WRONG, "lives although"),
    ({"off": {A: off(Verdict.PROVEN)}}, Wiring.OPEN, "not every outlet"),
    ({"off": {A: off(Verdict.PROVEN), B: off(Verdict.OPEN)}}, Wiring.OPEN, "not every outlet"),
    ({"off": {A: off(Verdict.CONTRADICTED), B: off(Verdict.PROVEN)}}, Wiring.WRONG, "watts still flow"),
    ({"silenced": (AssetId("dgx-002"),)}, Wiring.WRONG, "dgx-002 fell silent"),
])  # fmt: skip
def test_what_switched_outlets_say_of_the_inventory(changes, verdict, text) -> None:
    found, why = wiring_of(switched(**changes))
    assert found is verdict
    assert text in why


def test_an_outlet_in_quarantine_stays_there_over_restarts_until_it_is_proven_anew(tmp_path: Path) -> None:
    Quarantine(tmp_path).add([A], "watts still flow", 5)
    Quarantine(tmp_path).add([A, B], "another reason", 9)
    doubts = Quarantine(tmp_path).outlets()
    assert (doubts[A].why, doubts[A].at_ms, doubts[B].at_ms) == ("watts still flow", 5, 9)
    Quarantine(tmp_path).clear([A])
    assert set(Quarantine(tmp_path).outlets()) == {B}
    (tmp_path / QUARANTINE).write_text("{")
    with pytest.raises(msgspec.DecodeError):
        Quarantine(tmp_path).outlets()


def loaders(**changes: object) -> Loaders:
    calm = {
        "replicas": 10,
        "least": 4,
        "most": 20,
        "queue_items": 40.0,
        "wanted_items": 32.0,
        "gpu_wait_ratio": 0.0,
        "since_scaled_seconds": 900.0,
    }
    return Loaders(**(calm | changes))


@pytest.mark.parametrize(("changes", "replicas"), [
    ({}, 10), ({"queue_items": 3.0, "gpu_wait_ratio": 0.3}, 15), ({"queue_items": 3.0, "gpu_wait_ratio": 0.3, "replicas": 19}, 20),
    ({"queue_items": 3.0, "gpu_wait_ratio": 0.0}, 10), ({"queue_items": 90.0}, 9), ({"queue_items": 90.0, "replicas": 4}, 4),
    ({"queue_items": None, "gpu_wait_ratio": 0.9}, 10), ({"queue_items": 0.0, "gpu_wait_ratio": None}, 10),
    ({"queue_items": 3.0, "gpu_wait_ratio": 0.3, "since_scaled_seconds": 10.0}, 10), ({"replicas": 25}, 20), ({"replicas": 1}, 4),
])  # fmt: skip
def test_loaders_follow_their_queue_within_bounds_and_time(changes, replicas) -> None:
    assert wanted_replicas(loaders(**changes)).replicas == replicas


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two racks of four; two rails, each with a leaf for the first six nodes and another for the last two."""
    made = make_site(tmp_path, racks=2)
    leaf, nodes = made.asset("leaf-1"), sorted(made.graph.nodes_in(made.of_kind(Kind.SITE)[0].id))
    assets = {key: asset for key, asset in made.assets.items() if key != leaf.id}
    for rail in "ab":
        for number, behind in ((1, nodes[:6]), (2, nodes[6:])):
            name = AssetId(f"leaf-{rail}{number}")
            assets[name] = replace(leaf, id=name, ports={str(port): node for port, node in enumerate(behind)})
    return replace(made, assets=assets)


def warm(*numbers: int, **changes: object) -> list[Candidate]:
    fine = {"ready": True, "idle": True, "gpus": 8}
    return [Candidate(node=AssetId(f"dgx-00{number}"), **(fine | changes)) for number in numbers]


def test_the_spare_on_the_same_leaf_of_every_rail_comes_first_and_another_rack_before_the_same(site: Site) -> None:
    assert leaves_of(NODE, site) == {"leaf-a1", "leaf-b1"}
    found = spares_for(NODE, warm(2, 5, 7, 8), site)
    assert [spare.node for spare in found] == ["dgx-005", "dgx-002", "dgx-007", "dgx-008"]
    assert found[0].text == "same leaf on every rail"
    assert found[-1].shared == 0


@pytest.mark.parametrize("unfit", [{"ready": False}, {"idle": False}, {"gpus": 7}, {"alerting": True}])
def test_what_is_not_whole_idle_and_well_is_no_spare(site: Site, unfit: dict[str, object]) -> None:
    assert spares_for(NODE, warm(2, **unfit), site) == ()
    assert spares_for(NODE, warm(1), site) == ()


def test_a_gang_gets_a_spare_for_each_of_its_lost_nodes_or_none_at_all(site: Site) -> None:
    lost = [NODE, AssetId("dgx-007")]
    found = gang_spares(lost, warm(2, 8), site)
    assert found is not None
    assert {lost: spare.node for lost, spare in found.items()} == {NODE: "dgx-002", "dgx-007": "dgx-008"}
    assert gang_spares(lost, warm(2), site) is None
    assert gang_spares(lost, warm(1, 7), site) is None


async def test_watts_that_flow_behind_an_outlet_that_says_off_end_the_act_and_the_mapping_is_doubted(
    tmp_path: Path,
) -> None:
    world, heard = OneWorld(tmp_path), []
    world.world = replace(world.world, distrust=lambda intent, why: heard.append((intent.device, why)))
    book = Playbook.model_validate({
        "playbook": "node-hung", "purpose": "Every outlet of a hung node goes off.", "lane": "corrective", "cause": "silence",
        "rules": ["a.yaml/g/A"],
        "ladder": [{"rung": "only", "steps": [{"name": "outlets", "act": "outlet_off", "each": "outlets", "within_seconds": 20, "tries": 1}]}],
    })  # fmt: skip
    async with world.running():
        world.plant.hang(NODE)
        await world.clock.advance(12)
        honest = world.plant.outlet_watts
        world.plant.outlet_watts = lambda outlet: max(honest(outlet), 900.0)
        course = await world.drive(world.course("node-hung", NODE, book=book), 110)
        assert course.state.phase is Phase.ESCALATED, course.state
        assert world.actuator.verbs == ["outlet_off"]  # the second one was left alone
        assert [device for device, _ in heard] == ["pdu-r01-a"]
