"""One act of a course: hold before the gates, admit, send once, read the effect, write the outcome."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from devices.orders import State
from fleet.clock import within
from fleet.errors import HallkeeperError
from remediator.actuator_client import Answer
from remediator.announce import TOLD, announced
from remediator.attempt import Attempted, attempt, resume
from remediator.facts import Facts, Proposal, Refusal
from remediator.gates import GateLine, Judgement, judge
from remediator.gates.blast_radius import takes_place
from remediator.journal import Journal
from remediator.outcomes import Cancelled, Outcome, Succeeded
from remediator.plans import Item, NoDevice, intent_for, items_of, proposal_for
from remediator.playbook import Playbook, Step
from remediator.proof import Verdict
from remediator.records import Intent, Remediation, StepDone
from remediator.transitions import Move
from remediator.verbs import TRAITS, Plane, Verb
from remediator.world import World

CHECKPOINTS = frozenset({Verb.CHECKPOINT, Verb.CHECKPOINT_ANNOTATE, Verb.CHECKPOINT_HTTP})
"""Ways to ask a job for a checkpoint; each answers for the job by name."""
FLUSH_SECONDS = 3.0
"""The bus must have taken the intent by then, or it is not sent."""


class Acting:
    """Carries out the acts of one remediation, one at a time."""

    def __init__(self, journal: Journal, playbook: Playbook, world: World) -> None:
        self._journal = journal
        self._playbook = playbook
        self._world = world

    def tries(self, step: Step, item: Item) -> int:
        """How often this was tried; what was never sent is no try."""
        return sum(done.outcome != "Cancelled" for done in self._intents(step, item))

    def _intents(self, step: Step, item: Item) -> list[StepDone]:
        state = self._journal.state
        meant = (state.rung, step.name, item.key)
        return [done for done in state.done if done.intent_id and (done.rung, done.step, done.item) == meant]

    async def judgement(self, step: Step, item: Item) -> tuple[Proposal, Facts, Judgement]:
        """What the gates say at this moment. Raises `NoDevice` where the inventory has nothing to command."""
        world, state = self._world, self._journal.state
        proposal = proposal_for(step, item, state, self._playbook, world.site)
        facts = await world.facts.gather(
            proposal,
            state,
            self._playbook,
            tries=self.tries(step, item),
            tries_allowed=step.tries,
            now_ms=world.clock.now_ms(),
        )
        return proposal, facts, with_price(judge(proposal, facts), state)

    async def would_meet(self, steps: Sequence[Step]) -> list[dict[str, Any]]:
        """Mode observe: each act of a rung, with the refusal that it would meet now."""
        would: list[dict[str, Any]] = []
        for step in steps:
            if step.act is None or step.each is not None:
                continue
            (item,) = items_of(step, self._journal.state, ())
            try:
                _, _, judgement = await self.judgement(step, item)
                refused = None if judgement.refusal is None else judgement.refusal.code
            except NoDevice:
                refused = "no_device"
            would.append({"step": step.name, "verb": step.act.value, "refused": refused})
        return would

    def admit(self, step: Step, item: Item, judged: tuple[Proposal, Facts, Judgement]) -> Intent | Refusal:
        """The last gate: lease, budget and intent in one transaction."""
        proposal, facts, judgement = judged
        epoch = self._world.epoch()
        if epoch is None:
            return Refusal("no_lease", "this process is not the active remediator")
        intent = intent_for(
            proposal,
            item,
            self._journal.state,
            self._world.site,
            attempt=len(self._intents(step, item)),
            epoch=epoch,
            now_ms=self._world.clock.now_ms(),
            boottime_ns=self._world.clock.boottime_ns(),
        )
        if facts.plan in {given.plan for given in facts.approvals} and not self._journal.state.memory.get("agreed"):
            self._journal.note(memory={**self._journal.state.memory, "agreed": facts.plan})
        budgets = facts.budgets if takes_place(proposal) else ()
        return self._journal.admit(intent, judgement, budgets, facts.evidence) or intent

    async def carry_out(self, step: Step, item: Item, intent: Intent) -> Outcome:
        """From the durable intent to the durable outcome."""
        if not await self._told_the_bus():
            attempted = Attempted.unsent(Cancelled("the bus did not take the intent in time: not sent"))
        elif intent.verb in TOLD:
            self._journal.move(Move.SEND)
            attempted = announced(intent, self._world.clock.now_ms())
        else:
            self._journal.move(Move.SEND)
            look = self._world.looks.of(intent)
            attempted = await attempt(
                intent, look, bench=self._world.bench, within_seconds=step.within_seconds, heard=self._hears(intent)
            )
        return self._conclude(intent, item.key, attempted)

    async def settle(self, step: Step | None, intent: Intent) -> Outcome:
        """An intent that a crash left without an outcome: asked for and read, never sent."""
        if intent.verb in TOLD:
            told = await self._told_the_bus()
            unsure = Attempted.unsent(Cancelled("the bus does not take it: told anew as a new intent"))
            return self._conclude(
                intent, _key_of(intent), announced(intent, self._world.clock.now_ms()) if told else unsure
            )
        look = self._world.looks.of(intent)
        within_seconds = 30.0 if step is None else step.within_seconds
        attempted = await resume(
            intent, look, bench=self._world.bench, within_seconds=within_seconds, heard=self._hears(intent)
        )
        return self._conclude(intent, _key_of(intent), attempted)

    async def _told_the_bus(self) -> bool:
        try:
            await within(self._world.clock, FLUSH_SECONDS, self._world.flush())
        except (TimeoutError, HallkeeperError):
            return False
        return True

    def _hears(self, intent: Intent) -> "Hears":
        return Hears(intent, self._world)

    def _conclude(self, intent: Intent, item: str, attempted: Attempted) -> Outcome:
        self._journal.conclude(intent, attempted, item=item, **self._lessons(intent, attempted))
        if intent.verb is Verb.OUTLET_OFF and attempted.finding.verdict is Verdict.CONTRADICTED:
            self._world.distrust(intent, attempted.finding.text)
        return attempted.outcome

    def _lessons(self, intent: Intent, attempted: Attempted) -> dict[str, Any]:
        """What later steps must know of this one."""
        sent_at_ms = attempted.sent_at_ms or intent.created_at_ms
        if intent.verb in CHECKPOINTS:
            return self._checkpoint_lesson(intent, attempted, sent_at_ms)
        if intent.verb in _SWITCH_ON and isinstance(attempted.outcome, Succeeded):
            return {"on_sent_at_ms": sent_at_ms, "on_proven_at_ms": self._world.clock.now_ms()}
        if intent.verb is Verb.BMC_COLD_RESET:
            return {"reset_sent_at_ms": sent_at_ms}
        return {}

    def _checkpoint_lesson(self, intent: Intent, attempted: Attempted, sent_at_ms: int) -> dict[str, Any]:
        memory = self._journal.state.memory
        acknowledged = {*memory.get("acknowledged", ())}
        if isinstance(attempted.outcome, Succeeded):
            acknowledged.add(str(intent.arguments["job"]))
        deadline_ms = sent_at_ms + round(1000 * float(intent.arguments["deadline_seconds"]))
        return {
            "acknowledged": sorted(acknowledged),
            "jobs_acknowledged": acknowledged >= set(memory.get("jobs", {})),
            "jobs_deadline_ms": max(deadline_ms, int(memory.get("jobs_deadline_ms", 0))),
        }


_SWITCH_ON = frozenset({Verb.POWER_ON, Verb.RACK_POWER_ON, Verb.OUTLET_ON, Verb.REBOOT})
"""After these a machine boots: what counts as a new boot counts from their sending."""


class Hears:
    """Writes down that something was sent as soon as the actuator says so."""

    def __init__(self, intent: Intent, world: World) -> None:
        self._intent = intent
        self._world = world
        self._noted = False

    def __call__(self, answer: Answer) -> None:
        if self._noted or answer.state is State.NOT_SENT:
            return
        self._noted = True
        sent_at_ms = answer.sent_at_ms or self._world.clock.now_ms()
        self._world.ledger.sent(self._intent.intent_id, sent_at_ms, answer.state.value)


def with_price(judgement: Judgement, state: Remediation) -> Judgement:
    """The decision record says what the rung costs, beside what the gates say."""
    chosen = state.memory.get("ladder", ())
    if not chosen:
        return judgement
    return replace(judgement, lines=(*judgement.lines, GateLine("price", True, str(chosen[-1]["text"]))))


def _key_of(intent: Intent) -> str:
    """The item that an intent was for (`plans.items_of`)."""
    if intent.target != intent.device and TRAITS[intent.verb].plane is Plane.PDU:
        return f"{intent.device}#{intent.arguments['outlet']}"
    match intent.verb:
        case Verb.EVICT | Verb.EVICT_OVERRIDE | Verb.DELETE_POD:
            return str(intent.arguments["uid"])
        case Verb.CHECKPOINT | Verb.CHECKPOINT_ANNOTATE | Verb.CHECKPOINT_HTTP:
            return str(intent.arguments["job"])
        case _:
            return ""
