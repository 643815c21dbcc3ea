"""The choice of a remediation's next rung: what was tried, what each rung costs here, and what this site has measured."""

from typing import Any

from remediator.escalation import MEASURED_DAYS, Price, line_of, next_rung, price_of, tally
from remediator.playbook import Condition, Each, Playbook
from remediator.records import Remediation
from remediator.world import World

DAY_MS = 86_400_000


class Climb:
    """Asks the ledger how rungs did on this hardware; the judgement is `escalation`'s."""

    def __init__(self, playbook: Playbook, world: World) -> None:
        self._playbook = playbook
        self._world = world

    def next(self, state: Remediation) -> dict[str, Any] | None:
        """The rung to go on with, as it will be remembered; None when they are used up."""
        if not self._playbook.ladder:
            return None
        prices = self._prices(state)
        tried = [str(line["rung"]) for line in state.memory.get("ladder", ())]
        place = next_rung(self._playbook, tried, prices, start=self._start(state))
        if place is None:
            return None
        return line_of(prices[self._playbook.ladder[place].rung], place, self._world.clock.now_ms())

    def _start(self, state: Remediation) -> str | None:
        """The rung that the fault's code asks for."""
        action = state.memory.get("action")
        return next((rung.rung for rung in self._playbook.ladder if action in rung.actions), None)

    def _prices(self, state: Remediation) -> dict[str, Price]:
        site = self._world.site
        since_ms = self._world.clock.now_ms() - MEASURED_DAYS * DAY_MS
        several = len(self._playbook.ladder) > 1
        ended = self._world.ledger.remediations(ended=True, since_ms=since_ms) if several else []
        measured = tally(ended, lambda asset: site.asset(asset).model)
        nodes = site.graph.nodes_in(state.target)
        gpus = round(sum(site.asset(node).ratings.get("gpus", 0) for node in nodes))
        model = site.asset(state.target).model
        return {rung.rung: price_of(rung, gpus, model, measured) for rung in self._playbook.ladder}


def asks_for_jobs(playbook: Playbook) -> bool:
    """Whether any step is about the jobs of the target: only then what runs there must be known."""
    steps = [step for rung in playbook.ladder for step in rung.steps]
    return any(step.each in {Each.JOBS, Each.PODS} or step.wait is Condition.REPLACEMENT_RUNNING for step in steps)
