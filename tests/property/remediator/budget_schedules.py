"""Random schedules of leaders, standbys, failovers and remediations over the real ledger: is a domain's budget ever exceeded?

Three workers, each with its own ledger. Who leads admits, publishes, and sends only while its epoch is the newest; who takes
over adopts what was published. A leader that was paused goes on admitting in its own ledger until it notices: it sends
nothing. The judge counts what was really sent and not yet ended, by domain.

`python -m tests.property.remediator.budget_schedules --schedules 1000000` is the long run.
"""

import argparse
import sqlite3
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from random import Random

import msgspec

from fleet.model import AssetId, Kind, Site
from remediator.attempt import Verb
from remediator.budgets import allowed, budgets_of, domains_held
from remediator.ledger import Ledger
from remediator.records import Intent, Remediation
from remediator.transitions import Move
from remediator.verbs import Cause, Lane, Mode
from tests.unit.remediator.fakes.sitefile import make_site

STEPS = 30
WORKERS = 3
_TABLES = ("remediations", "intents", "leases", "reservations", "memory", "outbox")


def in_memory(path: Path) -> sqlite3.Connection:
    path.touch()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    return connection


class Schedule:
    """One random history."""

    def __init__(self, site: Site, ledgers: list[Ledger]) -> None:
        self.site, self.ledgers = site, ledgers
        self.nodes = [node.id for node in site.of_kind(Kind.NODE)]
        self.published: dict[str, Remediation] = {}
        self.acting: dict[str, Remediation] = {}
        self.leader, self.epoch = 0, 1
        self.believes = [0] * WORKERS
        self.admitted = self.refused = self.failovers = 0
        self.failed: frozenset[AssetId] = frozenset()

    def run(self, random: Random) -> str | None:
        """The first budget that was exceeded; None where none ever was."""
        self.believes[0] = 1
        for number in range(STEPS):
            self.step(random, number)
            over = self.over()
            if over is not None:
                return over
        return None

    def step(self, random: Random, number: int) -> None:
        match random.choices(("admit", "end", "fail over", "part fails"), weights=(70, 16, 10, 4))[0]:
            case "admit":
                for worker in range(WORKERS):
                    if self.believes[worker]:
                        self.admit(worker, random, number)
            case "end":
                self.end(random)
            case "fail over":
                self.fail_over(random)
            case _:
                self.failed = frozenset(random.sample(self.nodes, 2))

    def admit(self, worker: int, random: Random, number: int) -> None:
        target = random.choice(self.nodes)
        cause = random.choice((Cause.SILENCE, Cause.REPORTED_FAULT))
        jobs = {f"train/{random.randrange(3)}": 1} if cause is Cause.REPORTED_FAULT else {}
        state = Remediation(
            remediation_id=f"{worker}-{number}-{target}", incident_id="i", playbook="b", mode=Mode.ENFORCE, cause=cause,
            target=target, memory={"jobs": jobs}, created_at_ms=number, updated_at_ms=number, epoch=self.believes[worker],
        )  # fmt: skip
        ledger = self.ledgers[worker]
        budgets = budgets_of(
            target, self.site.graph, out_of_service=self.failed, held=ledger.reservations(),
            remediation=state.remediation_id, degraded=(), jobs=jobs,
        )  # fmt: skip
        intent = Intent(
            intent_id=f"i-{state.remediation_id}", remediation_id=state.remediation_id, step="cordon", verb=Verb.CORDON,
            device=AssetId("k8s-1"), target=target, lock=f"k8s-1/{target}", arguments={}, class_=1, lane=Lane.CORRECTIVE,
            epoch=state.epoch, created_at_ms=number, not_after_boottime_ns=0, effect_until_ms=number,
        )  # fmt: skip
        admitted = state.moved(Move.ADMIT, number, intents=(intent,), intent_id=intent.intent_id)
        # the gate may have looked before somebody else was admitted: the constraint in the ledger decides
        refusal = ledger.admit(admitted, [intent], budgets)
        if refusal is not None:
            self.refused += 1
            return
        if self.believes[worker] != self.epoch:
            return  # the lease lapsed: neither published under this epoch nor sent
        self.published[state.remediation_id] = admitted
        self.acting[state.remediation_id] = admitted
        self.admitted += 1

    def end(self, random: Random) -> None:
        mine = [r for r in self.acting if self.ledgers[self.leader].remediation(r) is not None]
        if not mine:
            return
        state = self.acting.pop(random.choice(mine))
        for move in (Move.SEND, Move.ANSWER, Move.STEP_DONE, Move.FINISH):
            state = state.moved(move, state.updated_at_ms + 1)
        closed = msgspec.structs.replace(state.intents[0], outcome="Succeeded", closed_at_ms=state.updated_at_ms)
        state = msgspec.structs.replace(state, intents=(closed,))
        self.ledgers[self.leader].conclude(state, [closed])
        self.ledgers[self.leader].record(state)
        self.published[state.remediation_id] = state

    def fail_over(self, random: Random) -> None:
        """Another worker leads; the old one may not have noticed."""
        old = self.leader
        self.leader = random.choice([worker for worker in range(WORKERS) if worker != old])
        self.epoch += 1
        self.failovers += 1
        self.believes[self.leader] = self.epoch
        if random.random() < 0.5:
            self.believes[old] = 0
        for state in self.published.values():
            self.ledgers[self.leader].adopt(state, domains_held(state, self.site.graph))

    def over(self) -> str | None:
        """What really is under way, against the widest that any moment allowed."""
        held: dict[str, set[str]] = defaultdict(set)
        for state in self.acting.values():
            for domain in domains_held(state, self.site.graph):
                held[domain].add(state.remediation_id)
        for node_domain in {d for state in self.acting.values() for d in self.site.graph.domains_of(state.target)}:
            most = allowed(node_domain, len(self.site.graph.nodes_in(node_domain.id)), redundant=True)
            if len(held[str(node_domain)]) > most:
                return f"{node_domain}: {len(held[str(node_domain)])} of {most}"
        jobs = [name for name, who in held.items() if " job " in name and len(who) > 2]
        return jobs[0] if jobs else None


def campaign(schedules: int, first_seed: int, folder: Path) -> dict[str, object]:
    """So many schedules; the violations with their seeds."""
    site = make_site(folder, racks=4)
    ledgers = [Ledger.open(folder / f"ledger-{worker}.sqlite", connect=in_memory) for worker in range(WORKERS)]
    violations: list[str] = []
    admitted = refused = failovers = 0
    began = time.process_time()
    for seed in range(first_seed, first_seed + schedules):
        for ledger in ledgers:
            for table in _TABLES:
                ledger._db.execute(f"DELETE FROM {table}")
        schedule = Schedule(site, ledgers)
        over = schedule.run(Random(seed))
        if over is not None:
            violations.append(f"seed {seed}: {over}")
        admitted, refused, failovers = (
            admitted + schedule.admitted,
            refused + schedule.refused,
            failovers + schedule.failovers,
        )
    return {
        "schedules": schedules,
        "violations": violations,
        "admitted": admitted,
        "refused": refused,
        "failovers": failovers,
        "cpu_seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=1_000_000)
    parser.add_argument("--first-seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(msgspec.json.encode(campaign(chosen.schedules, chosen.first_seed, Path(folder))).decode())


if __name__ == "__main__":
    main()
