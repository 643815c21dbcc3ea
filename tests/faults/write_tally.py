"""What a campaign counts: orders held against the wire and the devices' own logs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from devices.orders import State, Verdict
from tests.faults.write_device import Execution

WHY: set[str] = set()
"""What orders said that were not sent, refused or left unconfirmed."""


@dataclass
class Tally:
    """What one fault did to one kind of command."""

    kind: str
    fault: str
    orders: int = 0
    """Orders given until enough of them had been sent."""
    sent: int = 0
    """Orders whose command left."""
    most_sends: int = 0
    """Most command datagrams that the client sent for one order; 1 is right."""
    sends_of_unsent: int = 0
    """Command datagrams of orders that say that nothing was sent; 0 is right."""
    executed: int = 0
    """Sent orders that the device executed at least once."""
    executions: int = 0
    """Executions in all: the network's copies included."""
    after_fence: int = 0
    """Executions after the fence was reported; 0 is right (SNMP has no fence)."""
    late: int = 0
    """Executions after the verdict; without a fence they can happen."""
    false_done: int = 0
    """Orders that claim an effect which the device's log does not show; 0 is right."""
    false_undone: int = 0
    """Fenced orders read back as not done that the device executed after all; 0 is right."""
    states: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, other: "Tally") -> None:
        for name in (
            "orders",
            "sent",
            "sends_of_unsent",
            "executed",
            "executions",
            "after_fence",
            "late",
            "false_done",
            "false_undone",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_sends = max(self.most_sends, other.most_sends)
        self.states = dict(Counter(self.states) + Counter(other.states))

    @property
    def right(self) -> bool:
        wrong = self.sends_of_unsent or self.after_fence or self.false_done or self.false_undone
        return self.most_sends == 1 and not wrong


@dataclass
class Trial:
    """One order and what was seen of it from outside."""

    verdict: Verdict
    sends: int
    started: float
    fenced: float | None
    ended: float


def judge(executions: Sequence[Execution], trial: Trial, goal: str, tally: Tally) -> None:
    """Hold what the verdict says against the wire and the device's log."""
    ran = [run.at for run in executions if run.at >= trial.started]
    verdict = trial.verdict
    tally.orders += 1
    tally.states[verdict.state] = tally.states.get(verdict.state, 0) + 1
    if verdict.state in {State.NOT_SENT, State.REFUSED, State.UNCONFIRMED}:
        WHY.add(f"{tally.kind} {tally.fault} {verdict.state}: {verdict.text}")
    if verdict.state is State.NOT_SENT:
        tally.sends_of_unsent += trial.sends
        tally.false_done += verdict.after == goal
        return
    tally.sent += 1
    tally.most_sends = max(tally.most_sends, trial.sends)
    tally.executed += bool(ran)
    tally.executions += len(ran)
    tally.after_fence += sum(at > trial.fenced for at in ran) if trial.fenced else 0
    tally.late += sum(at > trial.ended for at in ran)
    claims = verdict.state is State.ACKNOWLEDGED or verdict.after == goal
    tally.false_done += claims and not [at for at in ran if at <= trial.ended]
    fenced_undone = trial.fenced is not None and verdict.after is not None and verdict.after != goal
    tally.false_undone += bool(fenced_undone and ran)


HEAD = f"{'':5} {'fault':14} {'orders':>6} {'sent':>5} {'sends/order':>11} {'executed':>8} {'executions':>10} {'after fence':>11} {'late':>5} {'false':>6} {'s':>6}  states"


def row(tally: Tally) -> str:
    """One line of the table."""
    states = " ".join(f"{name}={count}" for name, count in sorted(tally.states.items()))
    fence = str(tally.after_fence) if tally.kind == "ipmi" else "-"
    return (
        f"{tally.kind:5} {tally.fault:14} {tally.orders:6} {tally.sent:5} {tally.most_sends:11} {tally.executed:8} "
        f"{tally.executions:10} {fence:>11} {tally.late:5} {tally.false_done + tally.false_undone:6} {tally.seconds:6}  {states}"
    )
