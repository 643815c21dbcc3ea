"""A standby rebuilds its ledger from the bus: what is in doubt, what was tried, what is held."""

from pathlib import Path

import msgspec

from bus.port import Message
from bus.signing import SigningKey, sign
from bus.topics import REMEDIATIONS
from fleet.model import AssetId
from remediator.course import Course
from remediator.ledger import Ledger
from remediator.outbox import Outbox
from remediator.records import Intent
from remediator.succession import Succession
from remediator.transitions import Move, Phase
from remediator.verbs import Lane, Verb
from tests.unit.remediator.fakes.bus import FakeBus
from tests.unit.remediator.fakes.service_world import HUNG, Serving
from tests.unit.remediator.fakes.world import PLAYBOOKS, OneWorld

NODE = "dgx-001"
KEY = SigningKey.from_seed(b"s" * 32)


async def test_a_standby_knows_every_intent_budget_and_lease_of_the_leader(tmp_path: Path) -> None:
    world = OneWorld(tmp_path)
    bus = FakeBus(world.clock)
    trusted = {KEY.key_id: KEY.trusted("service")}
    async with world.running():
        world.plant.hang(NODE)
        await world.clock.advance(12)
        course = await world.drive(world.course("node-hung", NODE), 20)
        assert not course.state.ended
        await Outbox(world.ledger, bus, KEY, world.clock).flush()
        standby = Ledger.open(tmp_path / "standby.sqlite")
        succession = Succession(site=world.site, ledger=standby, trusted=trusted, lane=Lane.CORRECTIVE)
        assert "known to the bus alone" in (await succession.gap(bus) or "")
        await succession.adopt(bus)
        assert await succession.gap(bus) is None
        assert standby.remediations() == world.ledger.remediations()
        told = [(i.intent_id, i.outcome) for i in standby.intents_since(0)]
        assert told == [(i.intent_id, i.outcome) for i in world.ledger.intents_since(0)]
        assert standby.reservations() == world.ledger.reservations()
        world.ledger.close()
        world.use_ledger(standby)
        world.epoch = 2
        again = await world.drive(world.course("node-hung", NODE), 150)
        assert again.state.phase is Phase.SUCCEEDED
        assert max(world.actuator.executions().values()) == 1
        assert world.actuator.verbs.count("power_off") == 1


async def test_a_record_that_no_service_signed_is_not_adopted(tmp_path: Path) -> None:
    site = Serving(tmp_path)
    async with site.running():
        site.plant.hang(NODE)
        await site.clock.advance(12)
        site.alert(HUNG, asset=NODE)
        await site.clock.advance(60)
    forger = FakeBus(site.clock)
    for record in site.bus.log[REMEDIATIONS]:
        forger.put(Message(REMEDIATIONS, record.key, record.value, sign(record.value, site.stranger)))
    ledger = Ledger.open(tmp_path / "standby.sqlite")
    trusted = {site.service_key.key_id: site.service_key.trusted("service")}
    succession = Succession(site=site.site, ledger=ledger, trusted=trusted, lane=Lane.CORRECTIVE)
    await succession.adopt(forger)
    assert ledger.remediations() == []
    await succession.adopt(site.bus)
    assert len(ledger.remediations()) == 1
    ledger.close()


async def test_an_intent_that_a_paused_leader_never_published_gives_way_to_the_newer_leaders(tmp_path: Path) -> None:
    world = OneWorld(tmp_path)
    async with world.running():
        ours = world.course("node-hung", NODE)
        stale = msgspec.structs.replace(ours.state, epoch=1)
        cut = Intent(
            intent_id="stale", remediation_id=stale.remediation_id, step="cordon", verb=Verb.CORDON, device=AssetId("k8s-1"),
            target=AssetId(NODE), lock=f"k8s-1/{NODE}", arguments={"node": NODE}, class_=1, lane=Lane.CORRECTIVE, epoch=1,
            created_at_ms=1, not_after_boottime_ns=0, effect_until_ms=1,
        )  # fmt: skip
        stale = stale.moved(Move.ADMIT, 1, intents=(cut,), intent_id="stale")
        assert world.ledger.admit(stale, [cut], ()) is None
        theirs = msgspec.structs.replace(cut, intent_id="theirs", remediation_id="other", epoch=2)
        other = msgspec.structs.replace(stale, remediation_id="other", intents=(theirs,), intent_id="theirs", epoch=2)
        world.ledger.adopt(other, ["rack r01"])
        assert [intent.intent_id for intent in world.ledger.open_intents()] == ["theirs"]
        course = Course(world.ledger.remediation(stale.remediation_id), PLAYBOOKS["node-hung"], world.world)
        await world.drive(course, 5)
        assert (course.state.phase.value, world.actuator.executed) == ("superseded", [])
