"""Giving back what a PDU's shed took: in reverse order, one step a minute, only while the load stays low and the bus lives."""

from collections.abc import Mapping, Sequence

from devices.orders import State
from fleet.errors import HallkeeperError
from fleet.model import AssetId
from remediator.attempt import to_the_end
from remediator.bands import below_for, over_for
from remediator.batch import Batch, Sent, proposal_of, results
from remediator.facts import Facts, Headroom, Proposal, Refusal
from remediator.gates import Judgement, judge
from remediator.held import RELEASES, Held, Thing, next_release
from remediator.loads import Phase
from remediator.plans import NoDevice
from remediator.playbook import Playbook, Shed
from remediator.protective_facts import protective_facts
from remediator.records import Intent, Remediation
from remediator.shed import ShedAct
from remediator.shed_steps import held_name
from remediator.shed_world import ShedWorld
from remediator.transitions import Move
from remediator.transitions import Phase as Stage
from remediator.verbs import Mode

LOOK_SECONDS = 1.0
MARGIN_SECONDS = 30.0
"""Readings before the span that is judged: the one that holds at its beginning."""
RISE_MARGIN = 1.5
"""A host draws more than its GPUs alone when they may again: fans and processors (default to tune)."""


class ReleaseCourse:
    """One release under way."""

    def __init__(self, state: Remediation, playbook: Playbook, world: ShedWorld) -> None:
        assert playbook.shed is not None
        self.playbook = playbook
        self._shed: Shed = playbook.shed
        self._world = world
        self._batch = Batch(state, world)
        self._last_step_ms: int | None = state.memory.get("last_step_ms")

    @property
    def state(self) -> Remediation:
        """Where it stands."""
        return self._batch.state

    async def run(self) -> None:
        """Until everything is given back, or the load rises again."""
        await self._recover()
        while not self.state.ended:
            mine = next_release(self._world.held(), self.state.target)
            if not mine:
                self._ended(Move.FINISH, "Succeeded", "everything is given back")
            elif self._rises():
                self._ended(Move.SUPERSEDE, "Superseded", "the load rose again: the shed goes on")
            elif self._may():
                await self._give(mine)
            await self._world.clock.sleep(LOOK_SECONDS)

    def _ended(self, move: Move, outcome: str, text: str) -> None:
        if self.state.phase is not Stage.PENDING:
            self._batch.move(Move.STEP_DONE)
        self._batch.move(move, outcome=outcome, reason_code="" if outcome == "Succeeded" else "rose", reason_text=text)

    # whether

    def _phases(self, pdu: AssetId, seconds: float) -> tuple[Phase, ...]:
        return self._world.loads.phases(pdu, self._now() - round(1000 * (seconds + MARGIN_SECONDS)))

    def _rises(self) -> bool:
        """A phase is over the acting limit again."""
        return any(
            over_for(phase.readings, phase.limit_amperes, self._shed.act_at, self._shed.act_after_seconds, self._now())
            for phase in self._phases(self.state.target, self._shed.act_after_seconds)
        )

    def _may(self) -> bool:
        """Low for long on every phase, a minute since the last step, the bus alive; lost metering forbids it."""
        if not self._world.bus_lives():
            return False
        if self._last_step_ms is not None and self._now() - self._last_step_ms < self._shed.release_step_seconds * 1000:
            return False
        phases = self._phases(self.state.target, self._shed.release_after_seconds)
        return bool(phases) and all(
            below_for(
                phase.readings,
                phase.limit_amperes,
                self._shed.release_below,
                self._shed.release_after_seconds,
                self._now(),
            )
            for phase in phases
        )

    # one step

    async def _give(self, mine: Sequence[Held]) -> None:
        """The gates, with the headroom of what comes back; then one send each, in random order."""
        acts = {one.key: self._act(one) for one in mine}
        headroom = self._headroom(mine)
        passed: list[tuple[Proposal, ShedAct]] = []
        refused: Judgement | None = None
        last: Judgement | None = None
        for one in mine:
            act = acts[one.key]
            if act is None:
                self._world.ledger.remember(one.key, one.let_go(self.state.target))
                continue
            last, proposal = judgement, _ = self._judged(act, headroom)
            if proposal is not None and judgement.refusal is None:
                passed.append((proposal, act))
            else:
                refused = refused or judgement
        if refused is not None:
            self._batch.refuse(refused)
        if not passed or (refused is not None and mine[0].thing is not Thing.CORDON):
            return
        if self.state.mode is Mode.OBSERVE:
            self._batch.move(Move.OBSERVE, reason_code="observe")
            return
        self._world.random.shuffle(passed)
        what = f"give back {mine[0].thing.value} {mine[0].group}".strip()
        admitted = self._batch.admit(what, passed, results(last))
        if isinstance(admitted, Refusal):
            self._batch.refuse(Judgement((), "admission", admitted))
            return
        self._last_step_ms = self._now()
        await to_the_end(self._carried_out(what, admitted, {one.key: one for one in mine}))

    def _act(self, held: Held) -> ShedAct | None:
        """The command that gives it back; None where somebody else still holds it as deep."""
        after = held.let_go(self.state.target)
        node = AssetId(held.node)
        match held.thing:
            case Thing.CAP:
                watts = held.before if after is None else min(held.before, after.in_force)
                same = after is not None and watts <= held.in_force
                return None if same else ShedAct(verb=RELEASES[Thing.CAP], target=node, arguments={"watts": watts})
            case Thing.JOB:
                namespace, _, job = held.name.partition("/")
                arguments: Mapping[str, object] = {"namespace": namespace, "job": job}
            case Thing.OUTLET:
                arguments = {"outlet": held.name.rpartition("#")[2]}
            case Thing.CORDON:
                arguments = {"node": held.node}
        return None if after is not None else ShedAct(verb=RELEASES[held.thing], target=node, arguments=arguments)

    def _judged(self, act: ShedAct, headroom: tuple[Headroom, ...]) -> tuple[Judgement, Proposal | None]:
        try:
            proposal = proposal_of(act, self.state, self._world.site, "release", release=True)
        except (NoDevice, HallkeeperError) as error:
            return Judgement((), "device", Refusal("no_device", str(error))), None
        return judge(proposal, self._facts(proposal, headroom)), proposal

    def _facts(self, proposal: Proposal, headroom: tuple[Headroom, ...]) -> Facts:
        return protective_facts(
            proposal,
            self.state,
            self._phases(self.state.target, 0),
            site=self._world.site,
            switches=self._world.switches,
            intents=self._world.ledger.intents_since(self._now() - 60_000),
            vitals=self._world.loads.vitals(proposal.target, self._now()) if proposal.traits.power else None,
            headroom=headroom,
            now_ms=self._now(),
        )

    def _headroom(self, mine: Sequence[Held]) -> tuple[Headroom, ...]:
        """Every phase that the step loads again, on every PDU that it reaches."""
        rise: dict[tuple[AssetId, str], float] = {}
        for one in mine:
            node = AssetId(one.node)
            watts = self._rise_watts(one)
            for outlet in self._world.site.graph.outlets_of(node):
                place = (AssetId(str(outlet.labels["pdu"])), str(int(outlet.ratings["phase"])))
                rise[place] = rise.get(place, 0.0) + watts / self._world.loads.feeding(node, self._now())
        found = []
        for pdu in sorted({pdu for pdu, _ in rise}):
            for phase in self._phases(pdu, 0):
                amperes = rise.get((pdu, phase.phase), 0.0) / phase.volts
                load = phase.load(self._now())
                if amperes > 0 and not (load is None and pdu != self.state.target):
                    where = f"{pdu} phase {phase.phase} (amperes)"
                    found.append(
                        Headroom(
                            where=where, limit=phase.limit_amperes, load=load, after_act=amperes, after_reversal=0.0
                        )
                    )
        return tuple(found)

    def _rise_watts(self, held: Held) -> float:
        if held.thing is not Thing.CAP:
            return (
                0.0 if held.thing is Thing.CORDON else self._world.site.asset(held.node).ratings.get("max_watts", 0.0)
            )
        gpus = self._world.site.asset(held.node).ratings.get("gpus", 8.0)
        return RISE_MARGIN * gpus * max(0.0, held.before - held.in_force)

    async def _carried_out(self, what: str, intents: Sequence[Intent], mine: Mapping[str, Held]) -> None:
        sent = await self._batch.send(intents)
        self._end(what, sent, mine)

    def _end(self, what: str, sent: Sequence[Sent], mine: Mapping[str, Held]) -> None:
        """What was acknowledged, or found so, is no longer held; what is not known stays held and is tried again."""
        ended: list[tuple[Sent, str, str]] = []
        memory: dict[str, Held | None] = {}
        for one in sent:
            back = one.answer.state is State.ACKNOWLEDGED or (
                one.answer.state is State.NOT_SENT and one.answer.before is not None
            )
            ended.append((one, "Succeeded" if back else "TransientFailure", one.answer.text))
            held = next((known for known in mine.values() if _fits(known, one.intent)), None)
            if back and held is not None:
                memory[held.key] = held.let_go(self.state.target)
        good = all(outcome == "Succeeded" for _, outcome, _ in ended)
        state_memory = {**self.state.memory, "last_step_ms": self._last_step_ms}
        move = Move.STEP_DONE if good else Move.STEP_FAILED
        self._batch.conclude(what, ended, move=move, held=memory, memory=state_memory)

    async def _recover(self) -> None:
        """Open intents are asked for, never sent again."""
        intents = [i for i in self._world.ledger.open_intents() if i.remediation_id == self.state.remediation_id]
        if not intents:
            return
        if self.state.phase is Stage.ADMITTED:
            self._batch.move(Move.SEND)
        if self.state.phase is Stage.EXECUTING:
            self._batch.move(Move.ANSWER)
        self._end(self.state.step_name, await self._batch.ask(intents), self._world.held())

    def _now(self) -> int:
        return self._world.clock.now_ms()


def _fits(held: Held, intent: Intent) -> bool:
    """Whether an intent gives back this thing."""
    return RELEASES[held.thing] is intent.verb and held.name == held_name(intent)
