"""The course of one remediation: step by step, every gate before every act, every state durable before the next.

A shell: it reads, asks the pure parts, writes the ledger, waits. One runs per remediation, at most one per target.
"""

from dataclasses import replace
from typing import Any

from remediator.acting import Acting
from remediator.attempt import to_the_end
from remediator.climb import Climb, asks_for_jobs
from remediator.conditions import judged
from remediator.facts import Approval, Refusal
from remediator.gates import Judgement
from remediator.half_done import leftovers
from remediator.journal import Journal
from remediator.outcomes import Cancelled, Outcome, PermanentFailure, Succeeded, TransientFailure
from remediator.plans import Item, NoDevice, items_of, plan_hash
from remediator.playbook import Each, Ends, OnClear, Otherwise, Playbook, Step
from remediator.proof import Finding, Verdict
from remediator.records import Intent, Remediation, StepDone
from remediator.transitions import HOLDS_INTENT, Move, Phase
from remediator.verbs import TRAITS, Mode, Verb
from remediator.world import World

HOLD_SECONDS = 1.0
"""Pause between two rounds of the gates while one of them refuses."""
WAIT_SECONDS = 0.5
"""Pause between two looks of a waiting step."""
AGAIN_SECONDS = 2.0
"""Before a further try of what had no effect (default to tune)."""
SKIPPED = "Skipped"
"""A step that found its goal reached by somebody else: it is not taken back later."""
HANDED_OVER = "handed_over"
"""Reason of a remedy that ended, as it was meant to, with a person."""
_CUTS = frozenset(verb.value for verb, traits in TRAITS.items() if traits.cuts)
_READ_FIRST = frozenset({Verb.CORDON, Verb.UNCORDON, Verb.TAINT_OUT_OF_SERVICE, Verb.UNTAINT_OUT_OF_SERVICE})
"""What a person may have done before us."""


class Course:
    """One remediation under way."""

    def __init__(self, state: Remediation, playbook: Playbook, world: World) -> None:
        self.playbook = playbook
        self._world = world
        self._journal = Journal(state, world)
        self._acting = Acting(self._journal, playbook, world)
        self._ladder = Climb(playbook, world)

    @property
    def state(self) -> Remediation:
        """Where it stands, as the ledger has it."""
        return self._journal.state

    async def run(self) -> None:
        """From where the ledger left it to its end. Cancelled, it stops between two acts and never within one."""
        await self._recover()
        while not self.state.ended:
            if not await self._prepared():
                await self._world.clock.sleep(HOLD_SECONDS)
                continue
            step = self._step()
            if step is None:
                self._finish()
            elif step.wait is not None:
                await self._wait(step)
            else:
                await self._act(step)

    def approve(self, approval: Approval) -> None:
        """A person's yes: it is written down, and every gate is asked again."""
        if self.state.ended:
            return
        approvals = (*(given for given in self.state.approvals if given.actor != approval.actor), approval)
        if self.state.phase is Phase.AWAITING_APPROVAL:
            self._journal.move(Move.AGREE, approvals=approvals)
        else:
            self._journal.note(approvals=approvals)

    # before and between steps

    async def _recover(self) -> None:
        """After a crash: an intent of ours without an outcome is in doubt, and is settled by reading."""
        for intent in self._world.ledger.open_intents():
            if intent.remediation_id == self.state.remediation_id:
                step = self._step()
                outcome = await to_the_end(self._acting.settle(step, intent))
                if step is not None and not isinstance(outcome, Succeeded | TransientFailure | Cancelled):
                    self._failed(step, outcome)
        if self.state.phase in HOLDS_INTENT:
            self._journal.give_way("a newer leader commanded its object while this one was away")

    def _step(self) -> Step | None:
        steps = self.playbook.ladder[self.state.rung].steps
        return steps[self.state.step] if self.state.step < len(steps) else None

    async def _prepared(self) -> bool:
        """Before the first step: what runs on the node is remembered, and the plan is fixed that a person would agree to."""
        if "jobs" in self.state.memory:
            return True
        if self._obey():
            return False
        asks = asks_for_jobs(self.playbook)
        jobs = await self._world.looks.jobs_on(self.state.target) if asks else {}
        if jobs is None:
            why = Refusal("scheduler_unread", f"what runs on {self.state.target} cannot be read")
            self._journal.refuse(Judgement((), "scheduler", why))
            return False
        homes = await self._world.looks.homes(self.state.target) if jobs else {}
        return self._climb(jobs=jobs, homes=homes)

    def _climb(self, **learnt: Any) -> bool:
        """On to the next rung, with its price written down and a plan that a person would have to agree to anew."""
        chosen = self._ladder.next(self.state)
        if chosen is None:
            return False
        memory = {
            **self.state.memory,
            **learnt,
            "agreed": None,
            "ladder": [*self.state.memory.get("ladder", ()), chosen],
        }
        plan = plan_hash(self.playbook, self.state.target)
        self._journal.note(rung=chosen["place"], step=0, memory=memory, plan=plan)
        return True

    def _obey(self) -> bool:
        """Follow what the incident or a person wants; true where that ended the remediation or changed its way."""
        wish = self._world.wish(self.state)
        if wish is None or "giving_back" in self.state.memory:
            return False
        if wish.cleared and self.state.acted and self.playbook.on_clear is OnClear.GO_ON:
            return False
        if not self.state.acted:
            outcome = "Superseded" if wish.move is Move.SUPERSEDE else "Cancelled"
            self._journal.move(wish.move, outcome=outcome, reason_code=wish.move.value, reason_text=wish.text)
            return True
        if wish.move is Move.CANCEL and not any(done.verb in _CUTS for done in self.state.done):
            self._journal.note(memory={**self.state.memory, "giving_back": wish.text})
            return True
        return False

    def _finish(self) -> None:
        giving_back = self.state.memory.get("giving_back")
        if self.state.phase is not Phase.PENDING:
            self._journal.move(Move.STEP_DONE)
        if giving_back is None and self.playbook.ladder[self.state.rung].ends is Ends.HANDED_OVER:
            text = f"a person has it from here{leftovers(self.state)}"
            self._journal.move(Move.ESCALATE, outcome="Succeeded", reason_code=HANDED_OVER, reason_text=text)
        elif giving_back is None:
            self._journal.move(Move.FINISH, outcome="Succeeded", reason_code="", reason_text="")
        else:
            self._journal.move(Move.CANCEL, outcome="Cancelled", reason_code="cancelled", reason_text=str(giving_back))

    def _left_out(self, step: Step) -> bool:
        """It would undo what this remediation did not do; or the node is given back, and this is no step of that."""
        if step.undoes is not None:
            return not any(done.step == step.undoes and done.outcome == "Succeeded" for done in self.state.done)
        return "giving_back" in self.state.memory

    def _next(self, *done: StepDone) -> None:
        self._journal.move(Move.STEP_DONE, step=self.state.step + 1, done=(*self.state.done, *done))

    def _entry(self, step: Step, outcome: str, text: str) -> StepDone:
        return StepDone(rung=self.state.rung, step=step.name, outcome=outcome, text=text)

    # waits

    async def _wait(self, step: Step) -> None:
        if self._left_out(step):
            self._next(self._entry(step, SKIPPED, "not needed"))
            return
        if self.state.phase is not Phase.VERIFYING:
            until_ms = self._world.clock.now_ms() + round(step.within_seconds * 1000)
            memory = {**self.state.memory, "wait_until_ms": until_ms}
            self._journal.move(Move.WAIT, step_name=step.name, verb="", arguments={}, memory=memory)
        finding = await self._watched(step)
        if finding.verdict is Verdict.PROVEN:
            self._next(self._entry(step, "Succeeded", finding.text))
        elif finding.verdict is Verdict.OPEN and step.otherwise is Otherwise.CONTINUE:
            text = f"not within {step.within_seconds:.0f} s: {finding.text}; the next step has its own gates"
            self._next(self._entry(step, "TransientFailure", text))
        else:
            self._failed(step, TransientFailure(finding.text))

    async def _watched(self, step: Step) -> Finding:
        assert step.wait is not None
        until_ms = int(self.state.memory["wait_until_ms"])
        while True:
            now_ms = self._world.clock.now_ms()
            alerting = self._world.alerting(self.state)
            scene = await self._world.looks.scene(self.state.target, self.state.memory, now_ms, alerting=alerting)
            finding = judged(step.wait, scene, self.state.memory)
            if finding.verdict is not Verdict.OPEN or now_ms >= until_ms:
                return finding
            await self._world.clock.sleep(WAIT_SECONDS)

    # acts

    async def _act(self, step: Step) -> None:
        if self._left_out(step):
            self._next(self._entry(step, SKIPPED, "nothing to take back"))
            return
        for item in await self._items(step):
            if not await self._do(step, item):
                return
        self._next()

    async def _items(self, step: Step) -> tuple[Item, ...]:
        """What is left to do of the step: pods as the cluster has them now, less what was done already."""
        pods = await self._world.looks.workload(self.state.target) if step.each is Each.PODS else ()
        ended = {
            done.item
            for done in self.state.done
            if (done.rung, done.step) == (self.state.rung, step.name) and (done.outcome == "Succeeded" or done.final)
        }
        items = items_of(step, self.state, pods or (), self._world.site)
        return tuple(item for item in items if item.key not in ended)

    async def _do(self, step: Step, item: Item) -> bool:
        """One object of a step to its end; false where the course goes another way."""
        while True:
            if await self._already(step):
                return True
            intent = await self._admitted(step, item)
            if intent is None:
                return False
            outcome = await to_the_end(self._acting.carry_out(step, item, intent))
            if isinstance(outcome, Succeeded):
                return True
            if isinstance(outcome, Cancelled):  # nothing was sent: the gates say when it may be
                await self._world.clock.sleep(HOLD_SECONDS)
            elif isinstance(outcome, TransientFailure) and self._acting.tries(step, item) < step.tries:
                await self._world.clock.sleep(AGAIN_SECONDS)
            else:
                return self._failed(step, outcome)

    async def _already(self, step: Step) -> bool:
        """A scheduler's goal may be reached: by a person (it stays theirs), or by an earlier try of ours."""
        if step.act not in _READ_FIRST or not await self._world.looks.goal_met(step.act, self.state.target):
            return False
        ours = step.undoes is not None or any(done.step == step.name for done in self.state.done)
        entry = self._entry(step, "Succeeded" if ours else SKIPPED, "so already")
        self._journal.note(done=(*self.state.done, entry))
        return True

    async def _admitted(self, step: Step, item: Item) -> Intent | None:
        """Hold before the gates until all agree and the intent is durable; None where the course goes another way."""
        while not self._obey():
            try:
                asked = await self._acting.judgement(step, item)
            except NoDevice as error:
                self._journal.move(Move.ESCALATE, reason_code="no_device", reason_text=str(error))
                return None
            judgement = asked[2]
            if judgement.refusal is None and self.state.mode is Mode.OBSERVE:
                steps = self.playbook.ladder[self.state.rung].steps
                self._journal.observe(judgement, await self._acting.would_meet(steps))
                return None
            answer = judgement.refusal or self._acting.admit(step, item, asked)
            if isinstance(answer, Intent):
                return answer
            gate = judgement.gate or "admission"
            told = replace(answer, text=f"{answer.text}{leftovers(self.state)}")
            self._journal.refuse(Judgement(judgement.lines, gate, told), asked[1].plan)
            if self._expired():
                return None
            await self._world.clock.sleep(HOLD_SECONDS)
        return None

    def _expired(self) -> bool:
        """A question that nobody answered in time is no yes; what was done so far is given back."""
        asked = self.state.asked_at_ms
        ttl_ms = round(self.playbook.approval_ttl_seconds * 1000)
        if self.state.phase is not Phase.AWAITING_APPROVAL or asked is None:
            return False
        if self._world.clock.now_ms() - asked < ttl_ms:
            return False
        move = Move.ESCALATE if self.state.acted else Move.EXPIRE
        text = f"nobody approved within {self.playbook.approval_ttl_seconds:.0f} s{leftovers(self.state)}"
        self._journal.move(move, outcome="Cancelled", reason_code="approval_expired", reason_text=text)
        return True

    # ends

    def _failed(self, step: Step, outcome: Outcome) -> bool:
        """A step that did not succeed: the next rung, or a person. True where a step of several goes on with the next."""
        if step.otherwise is Otherwise.CONTINUE and step.act and isinstance(outcome, TransientFailure):
            last = self.state.done[-1]
            self._journal.note(done=(*self.state.done[:-1], last.closed()))
            return True
        if self.state.phase is Phase.VERIFYING:
            entry = self._entry(step, outcome.name, outcome.text)
            self._journal.move(Move.STEP_FAILED, done=(*self.state.done, entry), outcome=outcome.name)
        without_effect = isinstance(outcome, TransientFailure | PermanentFailure)
        if step.otherwise is Otherwise.NEXT_RUNG and without_effect and self._climb():
            return False
        text = f"{step.name}: {outcome.text}{leftovers(self.state)}"
        self._journal.move(Move.ESCALATE, outcome=outcome.name, reason_code=outcome.name, reason_text=text)
        return False
