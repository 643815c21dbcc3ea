"""The life of a remediation: total, terminal states immutable, nothing sent without admission; the ledger agrees after any history."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fleet.model import AssetId, Domain, Kind
from remediator.facts import Budget, Refusal
from remediator.ledger import Ledger
from remediator.records import IllegalMoveError, Intent, Remediation, intent_id_of
from remediator.transitions import HOLDS_INTENT, TERMINAL, Move, Phase, after
from remediator.verbs import Cause, Lane, Mode, Verb


def test_every_move_in_every_phase_has_an_answer() -> None:
    for phase in Phase:
        for move in Move:
            assert after(phase, move) is None or isinstance(after(phase, move), Phase)


def test_what_ended_stays_as_it_is() -> None:
    assert all(after(phase, move) is None for phase in TERMINAL for move in Move)


def test_nothing_is_sent_that_was_not_admitted_and_nothing_ends_with_an_open_intent() -> None:
    assert [phase for phase in Phase if after(phase, Move.SEND) is not None] == [Phase.ADMITTED]
    assert not any(after(phase, move) in TERMINAL for phase in HOLDS_INTENT for move in Move)


def test_what_waits_for_a_person_is_never_admitted() -> None:
    assert after(Phase.AWAITING_APPROVAL, Move.ADMIT) is None


RACK = Domain(kind=Kind.RACK, id=AssetId("r01"))
ROW = Domain(kind=Kind.ROW, id=AssetId("row-01"))
ALLOWED = {str(RACK): 1, str(ROW): 2}


class LedgerHistory(RuleBasedStateMachine):
    """Three remediations on three nodes of one rack move at random; the ledger is closed and opened in between."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = Ledger.open(self.path)
        self.now = 1_000
        self.attempts = 0
        self.states = {
            name: Remediation(
                remediation_id=name, incident_id="i", playbook="b", mode=Mode.ENFORCE, cause=Cause.SILENCE,
                target=AssetId(f"node-{name}"), created_at_ms=0, updated_at_ms=0,
            )
            for name in "abc"
        }  # fmt: skip
        self.outcomes: dict[str, str] = {}

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    names = st.sampled_from("abc")

    @rule(name=names, move=st.sampled_from([m for m in Move if m is not Move.ADMIT]))
    def move(self, name: str, move: Move) -> None:
        self.now += 1
        before = self.states[name]
        if before.phase in HOLDS_INTENT and move is Move.STEP_FAILED:
            return  # only with an outcome, below
        try:
            state = before.moved(move, self.now)
        except IllegalMoveError:
            assert after(before.phase, move) is None
            return
        self.ledger.record(state)
        self.states[name] = state

    @precondition(lambda self: any(after(s.phase, Move.ADMIT) for s in self.states.values()))
    @rule(name=names, rack=st.booleans())
    def admit(self, name: str, rack: bool) -> None:
        before = self.states[name]
        if after(before.phase, Move.ADMIT) is None:
            return
        self.attempts += 1
        intent = self._intent(before)
        state = before.moved(Move.ADMIT, self.now, intent_id=intent.intent_id, intents=(*before.intents, intent))
        budgets = [Budget(domain=d, allowed=ALLOWED[str(d)], in_use=0) for d in ((RACK, ROW) if rack else (ROW,))]
        held = self.ledger.reservations()
        refusal = self.ledger.admit(state, [intent], budgets)
        if refusal is None:
            self.states[name] = state
        else:
            assert isinstance(refusal, Refusal)
            assert self.ledger.reservations() == held

    @precondition(lambda self: any(s.phase in HOLDS_INTENT for s in self.states.values()))
    @rule(name=names, outcome=st.sampled_from(["Succeeded", "TransientFailure", "Cancelled"]))
    def conclude(self, name: str, outcome: str) -> None:
        before = self.states[name]
        if before.phase not in HOLDS_INTENT:
            return
        (intent,) = [i for i in self.ledger.open_intents() if i.remediation_id == name]
        closed = Intent(
            **{f: getattr(intent, f) for f in intent.__struct_fields__} | {"outcome": outcome, "closed_at_ms": self.now}
        )
        state = before.moved(Move.STEP_FAILED, self.now)
        self.ledger.conclude(state, [closed])
        self.outcomes[intent.intent_id] = outcome
        self.ledger.conclude(
            state, [Intent(**{f: getattr(closed, f) for f in closed.__struct_fields__} | {"outcome": "Ambiguous"})]
        )
        self.states[name] = state

    @rule()
    def crash_and_open_again(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path)

    @invariant()
    def budgets_hold(self) -> None:
        if hasattr(self, "ledger"):
            for domain, holders in self.ledger.reservations().items():
                assert len(holders) <= ALLOWED[domain]

    @invariant()
    def the_ledger_has_every_state(self) -> None:
        if hasattr(self, "ledger"):
            for name, state in self.states.items():
                known = self.ledger.remediation(name)
                assert known is None or known == state
                assert state.sequence == 0 or known is not None

    @invariant()
    def an_outcome_never_changes(self) -> None:
        if hasattr(self, "ledger"):
            known = {i.intent_id: i.outcome for i in self.ledger.intents_since(0)}
            assert all(known[intent] == outcome for intent, outcome in self.outcomes.items())

    @invariant()
    def what_ended_holds_nothing(self) -> None:
        if hasattr(self, "ledger"):
            held = {name for holders in self.ledger.reservations().values() for name in holders}
            assert not any(self.states[name].ended for name in held)

    def _intent(self, state: Remediation) -> Intent:
        return Intent(
            intent_id=intent_id_of(state.remediation_id, 0, "s", "", self.attempts), remediation_id=state.remediation_id,
            step="s", verb=Verb.POWER_OFF, device=state.target, target=state.target, lock=str(state.target), arguments={},
            class_=3, lane=Lane.CORRECTIVE, epoch=1, created_at_ms=self.now, not_after_boottime_ns=0, effect_until_ms=0,
        )  # fmt: skip


LedgerHistory.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestLedgerHistory = LedgerHistory.TestCase
