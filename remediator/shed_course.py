"""One shed: a PDU over its limit is relieved step by step, each step measured before the next, until the meter proves it."""

from collections.abc import Mapping, Sequence

from bus.events import GateResult
from devices.orders import State
from fleet.errors import HallkeeperError
from remediator.attempt import to_the_end
from remediator.bands import need
from remediator.batch import Batch, Sent, proposal_of, results
from remediator.facts import Approval, Facts, Proposal, Refusal
from remediator.gates import Judgement, judge
from remediator.held import Held
from remediator.loads import Phase
from remediator.outcomes import Ambiguous, Outcome, Succeeded, TransientFailure, Unproven
from remediator.plans import NoDevice
from remediator.playbook import Playbook, Shed
from remediator.proof import Verdict, below_proven
from remediator.protective_facts import protective_facts
from remediator.records import Intent, Remediation
from remediator.shed import ShedAct, ShedStep, enough
from remediator.shed_steps import PASSING, taken_by, together, was_so
from remediator.shed_world import ShedWorld
from remediator.switches import locks
from remediator.transitions import Move
from remediator.transitions import Phase as Stage
from remediator.verbs import Mode, Verb

LOOK_SECONDS = 0.5
SETTLE_SECONDS: Mapping[Verb, float] = {Verb.SUSPEND_JOB: 20.0}
"""How long a step is given before the next one is chosen; a cap shows within seconds (default to tune)."""
SETTLE_DEFAULT_SECONDS = 6.0
SHOWN_SHARE = 0.3
"""Of a step's expected relief at least this much must show on the meter for its acts to count as proven (default to tune)."""
LOOK_BACK_MS = 60_000


class ShedCourse:
    """One shed under way."""

    def __init__(self, state: Remediation, playbook: Playbook, world: ShedWorld) -> None:
        assert playbook.shed is not None
        self.playbook = playbook
        self._shed: Shed = playbook.shed
        self._world = world
        self._batch = Batch(state, world)
        self._tried: set[str] = set()
        self._needy: set[str] = set()
        """Phases that were over the target: their meters must answer, or nothing is taken and nothing is proven."""
        self._last_sent_ms = state.created_at_ms

    @property
    def state(self) -> Remediation:
        """Where it stands."""
        return self._batch.state

    def approve(self, approval: Approval) -> None:
        """A person's yes."""
        if self.state.phase is Stage.AWAITING_APPROVAL:
            kept = (*(given for given in self.state.approvals if given.actor != approval.actor), approval)
            self._batch.move(Move.AGREE, approvals=kept)

    async def run(self) -> None:
        """Until the meter proves the relief, or nothing is left to shed."""
        await self._recover()
        while not self.state.ended:
            if self._proven():
                return
            chosen = self._chosen()
            if chosen is not None:
                await self._take(chosen)
            await self._world.clock.sleep(LOOK_SECONDS)

    # what the meter says

    def _phases(self) -> tuple[Phase, ...]:
        return self._world.loads.phases(self.state.target, self._now() - LOOK_BACK_MS)

    def _proven(self) -> bool:
        """Every phase at the target in two readings after the last send: done."""
        wanted = [p for p in self._phases() if p.phase in self._needy or p.load(self._now()) is not None]
        findings = [below_proven(phase.meter, self._last_sent_ms, phase.limit_amperes) for phase in wanted]
        if not findings or any(finding.verdict is not Verdict.PROVEN for finding in findings):
            return False
        lines = tuple(line for finding in findings for line in finding.lines)
        if self.state.phase is not Stage.PENDING:
            self._batch.move(Move.STEP_DONE)
        self._batch.move(Move.FINISH, outcome="Succeeded", proof=lines, reason_code="", reason_text="")
        return True

    def _needs(self) -> dict[str, float] | None:
        """Watts that must go, by measured phase; None while metering is lost: nothing starts then, everything is kept."""
        needs = {}
        for phase in self._phases():
            load = phase.load(self._now())
            if load is not None:
                amperes = need(load, phase.limit_amperes, self._shed.target, self._shed.margin)
                needs[phase.phase] = amperes * phase.volts
            elif phase.phase in self._needy:
                return None
        self._needy |= {phase for phase, watts in needs.items() if watts > 0}
        return needs or None

    def _chosen(self) -> ShedStep | None:
        needs = self._needs()
        if needs is None:
            self._hold(
                Refusal("metering_lost", f"{self.state.target} is not measured: caps stay, nothing new is taken")
            )
            return None
        if all(watts <= 0 for watts in needs.values()):
            return None
        left = [step for step in self._world.plan(self.state.target) if step.what not in self._tried]
        chosen = enough(left, needs)
        if not chosen:
            code, text = self._nothing_left()
            self._batch.move(Move.ESCALATE, outcome="TransientFailure", reason_code=code, reason_text=text)
            return None
        return together(chosen)

    def _nothing_left(self) -> tuple[str, str]:
        """Why nothing can be shed: what a technician has locked out here is named first."""
        site, target = self._world.site, self.state.target
        here = {target, *site.graph.nodes_in(target)}
        scope = frozenset(here.union(*(site.graph.upstream(asset) for asset in here)))
        found = locks(self._world.switches.lockouts(), scope)
        text = f"nothing is left to shed on {target}"
        locked = "; ".join(f"{lock.asset} is locked out by {lock.actor}: {lock.reason}" for lock in found)
        return ("lockout", f"{text}, {locked}") if found else ("nothing_left", text)

    def _hold(self, refusal: Refusal) -> None:
        self._batch.refuse(Judgement((), "freshness", refusal))

    # one step

    async def _take(self, step: ShedStep) -> None:
        """Gates, admission, one send each, a new measurement."""
        first = not self.state.memory.get("batches")
        acts = (*self._cordons(), *step.acts) if first else step.acts
        passed, refusal, lines = self._judged(acts, step)
        if not passed:
            assert refusal is not None
            self._batch.refuse(refusal)
            if refusal.refusal is not None and not refusal.refusal.ask and refusal.gate not in PASSING:
                self._tried.update(step.what.split("; "))
            return
        if self.state.mode is Mode.OBSERVE:
            would = [{"step": step.what, "verb": act.verb.value, "target": str(act.target)} for _, act in passed]
            self._batch.move(Move.OBSERVE, arguments={"would": would[:200]}, reason_code="observe")
            return
        admitted = self._batch.admit(step.what[:200], passed, lines)
        if isinstance(admitted, Refusal):
            self._batch.refuse(Judgement((), "admission", admitted))
            return
        self._tried.update(step.what.split("; "))
        await to_the_end(self._carried_out(step, admitted, {str(act.target): act for act in acts}))

    def _cordons(self) -> tuple[ShedAct, ...]:
        """Nothing new is admitted on the phases: their nodes are cordoned, those that a person cordoned left to them."""
        nodes = sorted(self._world.site.graph.nodes_in(self.state.target))
        return tuple(ShedAct(verb=Verb.CORDON, target=node, arguments={"node": str(node)}) for node in nodes)

    def _judged(
        self, acts: Sequence[ShedAct], step: ShedStep
    ) -> tuple[list[tuple[Proposal, ShedAct]], Judgement | None, list[GateResult]]:
        """The acts that every gate lets by, and the first refusal of the others."""
        passed: list[tuple[Proposal, ShedAct]] = []
        refused: Judgement | None = None
        last: Judgement | None = None
        for act in acts:
            try:
                proposal = proposal_of(act, self.state, self._world.site, step.what[:80])
            except (NoDevice, HallkeeperError):
                continue
            last = judgement = judge(proposal, self._facts(proposal, step))
            if judgement.refusal is None:
                passed.append((proposal, act))
            else:
                refused = refused or judgement
        useful = [pair for pair in passed if pair[1].verb is not Verb.CORDON]
        return (passed if useful else []), refused, results(refused or last)

    def _facts(self, proposal: Proposal, step: ShedStep) -> Facts:
        return protective_facts(
            proposal,
            self.state,
            self._phases(),
            site=self._world.site,
            switches=self._world.switches,
            intents=self._world.ledger.intents_since(self._now() - 60_000),
            vitals=self._world.loads.vitals(proposal.target, self._now()) if proposal.verb is Verb.OUTLET_OFF else None,
            policy_armed=step.policy is not None,
            now_ms=self._now(),
        )

    async def _carried_out(self, step: ShedStep, intents: Sequence[Intent], acts: Mapping[str, ShedAct]) -> None:
        before = {phase.phase: phase.load(self._now()) for phase in self._phases()}
        jobs = {str(intent.target): str(acts[str(intent.target)].arguments.get("job", "")) for intent in intents}
        sent = await self._batch.send(intents)
        self._last_sent_ms = self._now()
        shown = await self._shown(step, before, sent)
        await self._end(step, sent, shown, jobs)

    async def _shown(self, step: ShedStep, before: Mapping[str, float | None], sent: Sequence[Sent]) -> bool:
        """Whether the meter fell as it should have, within the time that the step is given."""
        if not any(one.may_have_run for one in sent):
            return False
        settle = max((SETTLE_SECONDS.get(one.intent.verb, SETTLE_DEFAULT_SECONDS) for one in sent), default=0.0)
        until_ms = self._now() + round(settle * 1000)
        while True:
            if self._fell(step, before):
                return True
            if self._now() >= until_ms:
                return False
            await self._world.clock.sleep(LOOK_SECONDS)

    def _fell(self, step: ShedStep, before: Mapping[str, float | None]) -> bool:
        """Two readings after the send, each lower by a share of what was expected; or the target itself is reached."""
        for phase in self._phases():
            rows = phase.meter.measured_after(self._last_sent_ms)
            if len(rows) < 2:
                return False
            was, expected = before.get(phase.phase), step.relief_watts.get(phase.phase, 0.0) / phase.volts
            reached = all(row.value <= self._shed.target * phase.limit_amperes for row in rows)
            fell = was is not None and all(was - row.value >= SHOWN_SHARE * expected for row in rows)
            if not (reached or fell):
                return False
        return True

    async def _end(self, step: ShedStep, sent: Sequence[Sent], shown: bool, jobs: Mapping[str, str]) -> None:
        ended: list[tuple[Sent, str, str]] = []
        memory: dict[str, Held] = {}
        held = self._world.held()
        order = int(self.state.memory.get("batches", 0)) * 1000
        for one in sent:
            outcome = await self._outcome(one, shown)
            ended.append((one, outcome.name, outcome.text))
            if one.may_have_run and not was_so(one):
                order += 1
                taken = taken_by(
                    one.intent,
                    held,
                    self.state.target,
                    self._world.loads,
                    order=order,
                    job=jobs.get(str(one.intent.target), ""),
                )
                held[taken.key] = memory[taken.key] = taken
        good = all(outcome == "Succeeded" for _, outcome, _ in ended)
        move = Move.STEP_DONE if good else Move.STEP_FAILED
        self._batch.conclude(step.what[:200], ended, move=move, held=memory)

    async def _outcome(self, sent: Sent, shown: bool) -> Outcome:
        if not sent.may_have_run and not was_so(sent):
            return TransientFailure(sent.answer.text or sent.answer.state.value)
        if sent.intent.verb is Verb.CORDON:
            return Succeeded("cordoned") if await self._cordoned(sent.intent) else Unproven("not seen in the scheduler")
        if shown:
            return Succeeded("the phase meter fell")
        if sent.answer.state is State.UNKNOWN:
            return Ambiguous(f"sent, not acknowledged, and the phase meter did not fall {sent.answer.text}".strip())
        return Unproven("acknowledged, and the phase meter did not fall")

    async def _cordoned(self, intent: Intent) -> bool:
        if self._world.cluster is None:
            return False
        try:
            return (await self._world.cluster.node(str(intent.arguments["node"]))).unschedulable
        except HallkeeperError:
            return False

    # after a crash

    async def _recover(self) -> None:
        """Open intents are asked for, never sent; what may have run is held, the meter says the rest."""
        intents = [i for i in self._world.ledger.open_intents() if i.remediation_id == self.state.remediation_id]
        if not intents:
            return
        if self.state.phase is Stage.ADMITTED:
            self._batch.move(Move.SEND)
        if self.state.phase is Stage.EXECUTING:
            self._batch.move(Move.ANSWER)
        sent = await self._batch.ask(intents)
        self._last_sent_ms = self._now()
        step = ShedStep(what=self.state.step_name, acts=(), relief_watts={})
        await self._end(step, sent, shown=False, jobs={})

    def _now(self) -> int:
        return self._world.clock.now_ms()
