"""Alerts to decisions on one core: fold into incidents, choose the playbook, gather the facts, ask every gate.

The book of incidents, the choice of playbooks, the facts (over a window in memory) and the gates are the product's own; what
is left out is writing: the ledger's commits are measured by themselves. Time is virtual, CPU-seconds are real.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from bus.events import AlertState
from fleet.clock import VirtualClock
from fleet.faults import load_faults
from fleet.loader import load_site
from fleet.model import Kind, Site
from hallkeeper.playbooks.obedient import ObedientSite
from remediator.causes import Symptom
from remediator.fact_source import FactSource, Surroundings
from remediator.fault_answers import Answers
from remediator.gates import judge
from remediator.incident_book import IncidentBook
from remediator.ledger import Ledger
from remediator.plans import items_of, proposal_for
from remediator.playbook import Playbook
from remediator.playbook_loader import load_playbooks
from remediator.records import Remediation
from remediator.remedies import due
from remediator.sight import Sight, Signal
from remediator.switches import Switches
from remediator.usual import UsualDraw
from simulator.layout import Layout
from simulator.secretfiles import SiteSecrets
from simulator.sitefile import invented_ports, write_site

MIX: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("gpu-faults.yaml/gpu-faults/GpuResetNeeded", "GpuResetNeeded", "critical", {"code": "46"}),
    ("gpu-faults.yaml/gpu-faults/ApplicationGpuError", "ApplicationGpuError", "info", {"code": "13"}),
    ("gpu-thermal.yaml/gpu-thermal/GpuWarm", "GpuWarm", "warning", {}),
    ("gpu.yaml/gpu/GpuHot", "GpuHot", "critical", {}),
    ("node.yaml/node/NodeHung", "NodeHung", "critical", {}),
    ("node.yaml/bmc/BmcSilent", "BmcSilent", "warning", {}),
    ("fabric.yaml/fabric/FabricPortFlapping", "FabricPortFlapping", "warning", {}),
)
"""What arrives: rule, name, severity and labels beside node and GPU."""


def run(*, alerts: int, nodes: int, seed: int) -> dict[str, object]:
    """Alerts a CPU-second, and how long one decision takes."""
    with tempfile.TemporaryDirectory() as folder:
        site = _site(Path(folder), nodes)
        return asyncio.run(_Bench(site, Path(folder), seed).run(alerts))


def _site(folder: Path, nodes: int) -> Site:
    layout = Layout(node_count=nodes)
    (folder / "ca.pem").write_text("none\n")
    SiteSecrets().write(folder)
    write_site(folder, layout, invented_ports(layout))
    return load_site(folder / "site.yaml", check_secrets=False)


class _Bench:
    def __init__(self, site: Site, folder: Path, seed: int) -> None:
        self._site, self._random = site, Random(seed)
        self._clock = VirtualClock()
        whole = site.of_kind(Kind.SITE)[0].id
        self._hall = ObedientSite(site, whole, self._clock, silent=False)
        self._ledger = Ledger.open(folder / "ledger.sqlite")
        self._books: Sequence[Playbook] = load_playbooks()
        self._answers = Answers(self._books, load_faults(), site)
        self._facts = FactSource(
            site=site,
            sight=Sight(
                site=site,
                window=self._hall.readings,
                cluster=self._hall,
                signal=lambda _metric: Signal(1_000),
                usual_watts=UsualDraw(),
                stop_events=lambda _node, _since_ms: (),
            ),
            ledger=self._ledger,
            switches=Switches(folder),
            surroundings=lambda _state, _now_ms: Surroundings(bus_lag_ms=0.0, clock_offset_ms=0.0),
        )

    async def run(self, number: int) -> dict[str, object]:
        for _ in range(3):
            self._hall.step()
            await self._clock.advance(1.0)
        alerts = [self._alert(n) for n in range(number)]
        book = IncidentBook(self._site)
        folded: list[float] = []
        decided: list[float] = []
        began = time.process_time()
        for alert in alerts:
            at = time.perf_counter()
            book.take(alert, alert.since_ms)
            folded.append(time.perf_counter() - at)
            for state in self._due(book, alert):
                await self._decide(state)
                decided.append(time.perf_counter() - at)
        cpu_seconds = time.process_time() - began
        self._ledger.close()
        return self._result(alerts, book, folded, decided, cpu_seconds)

    def _alert(self, number: int) -> Symptom:
        rule, name, severity, labels = self._random.choice(MIX)
        node = self._random.choice(self._site.of_kind(Kind.NODE)).id
        gpu = str(self._random.randrange(8))
        over = self._random.random() < 0.4
        return Symptom(
            alert_id=f"{name}/{node}/{gpu}",
            rule=rule,
            alertname=name,
            asset=node,
            named=True,
            state=AlertState.RESOLVED if over else AlertState.FIRING,
            severity=severity,
            labels={"asset": str(node), "node": str(node), "gpu": gpu, **labels},
            annotations={},
            since_ms=self._clock.now_ms() + number,
        )

    def _due(self, book: IncidentBook, alert: Symptom) -> list[Remediation]:
        incident = book.of_alert(alert.alert_id)
        if incident is None:
            return []
        return due(
            incident,
            self._answers,
            {},
            site=self._site,
            busy=(),
            may_enforce={},
            observe_only=False,
            epoch=1,
            now_ms=alert.since_ms,
        )

    async def _decide(self, state: Remediation) -> None:
        """The first act of its first rung, through every gate."""
        book = next(book for book in self._books if book.playbook == state.playbook)
        step = next((step for step in book.ladder[0].steps if step.act is not None and step.each is None), None)
        if step is None:
            return
        (item,) = items_of(step, state, ())
        proposal = proposal_for(step, item, state, book, self._site)
        facts = await self._facts.gather(
            proposal, state, book, tries=0, tries_allowed=step.tries, now_ms=self._clock.now_ms()
        )
        judge(proposal, facts)

    def _result(
        self, alerts: Sequence[Symptom], book: IncidentBook, folded: list[float], decided: list[float], cpu: float
    ) -> dict[str, Any]:
        return {
            "alerts": len(alerts),
            "nodes": len(self._site.of_kind(Kind.NODE)),
            "incidents_open": len(book.open),
            "decisions": len(decided),
            "cpu_seconds": round(cpu, 2),
            "alerts_per_cpu_second": round(len(alerts) / cpu),
            "fold_p99_ms": round(1000 * float(np.percentile(folded, 99)), 3),
            "decision_p50_ms": round(1000 * float(np.percentile(decided, 50)), 3),
            "decision_p99_ms": round(1000 * float(np.percentile(decided, 99)), 3),
        }
