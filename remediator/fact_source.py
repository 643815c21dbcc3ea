"""Gathers the facts for one proposal: the instruments, the ledger, the switches, the plant and the incidents around it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from fleet.model import Asset, AssetId, Kind, Site
from remediator.breaker import breakers_of
from remediator.budgets import budgets_of, degraded_by
from remediator.facts import Approval, Facts, Freeze, Headroom, JobImpact, Proposal
from remediator.history import WEEK_MS, history_of, traffic_of
from remediator.ledger import Ledger
from remediator.plans import asked_plan
from remediator.playbook import Playbook
from remediator.power import draws_of, headroom_of
from remediator.records import Remediation
from remediator.sight import Sight
from remediator.switches import EVERYTHING, Switches, locks
from remediator.verbs import Cause
from remediator.vitals import Vitals


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the service knows beyond instruments and ledger, at one moment."""

    bus_lag_ms: float | None
    clock_offset_ms: float | None
    freezes: tuple[Freeze, ...] = ()
    inhibited_by: str | None = None
    maintenance: tuple[str, ...] = ()
    active_since_ms: int = 0
    failed: frozenset[AssetId] = frozenset()
    """Assets whose loss costs others their N+1: a feed, a pump, a source."""
    silent: frozenset[AssetId] = frozenset()
    """Nodes that are not in service."""


class FactSource:
    """Facts on demand; every call reads everything anew."""

    def __init__(
        self,
        *,
        site: Site,
        sight: Sight,
        ledger: Ledger,
        switches: Switches,
        surroundings: Callable[[Remediation, int], Surroundings],
    ) -> None:
        self._site = site
        self._sight = sight
        self._ledger = ledger
        self._switches = switches
        self._surroundings = surroundings
        self._protected = frozenset(a.id for a in site.assets.values() if a.protected)
        self._feeders: dict[AssetId, tuple[Asset, ...]] = {}

    async def gather(
        self, proposal: Proposal, state: Remediation, playbook: Playbook, *, tries: int, tries_allowed: int, now_ms: int
    ) -> Facts:
        """The facts of this moment for one act of one remediation."""
        node = proposal.target
        around = self._surroundings(state, now_ms)
        kubelet = await self._sight.node_object(node)
        vitals = self._sight.vitals(node, now_ms, kubelet)
        intents = self._ledger.intents_since(now_ms - WEEK_MS)
        domains = self._site.graph.domains_of(node)
        scope = scope_of(proposal, self._site)
        jobs = self._jobs(state)
        budgets = budgets_of(
            node,
            self._site.graph,
            out_of_service=around.silent,
            held=self._ledger.reservations(),
            remediation=state.remediation_id,
            degraded=degraded_by(around.failed, self._site),
            jobs=state.memory.get("jobs", {}) if proposal.cause is Cause.REPORTED_FAULT else (),
        )
        return Facts(
            now_ms=now_ms,
            lockouts=locks(self._switches.lockouts(), scope),
            scope=scope,
            stop=self._switches.stop(),
            protected=self._protected,
            bus_lag_ms=around.bus_lag_ms,
            clock_offset_ms=around.clock_offset_ms,
            evidence=self._sight.evidence(node, now_ms, kubelet),
            vitals=vitals,
            drain=await self._sight.drain(node, state.memory, now_ms),
            freezes=around.freezes,
            inhibited_by=around.inhibited_by,
            maintenance=around.maintenance,
            history=history_of(
                state,
                intents,
                now_ms=now_ms,
                tries=tries,
                tries_allowed=tries_allowed,
                active_since_ms=around.active_since_ms,
                hold_down_seconds=playbook.hold_down_seconds,
                cool_down_seconds=playbook.cool_down_seconds,
            ),
            budgets=budgets,
            traffic=traffic_of(proposal.device, proposal.verb, intents, lane=proposal.lane, now_ms=now_ms),
            headroom=self._headroom(proposal, vitals, now_ms),
            cooling_alerts=tuple(sorted(str(a) for a in around.failed & self._coolers(node))),
            jobs=jobs,
            breakers=breakers_of(domains, proposal.traits.class_, intents, self._site.graph, now_ms),
            approvals=_approvals(state, now_ms),
            plan=str(state.memory.get("agreed") or asked_plan(state, jobs, budgets)),
        )

    def _headroom(self, proposal: Proposal, vitals: Vitals, now_ms: int) -> tuple[Headroom, ...]:
        node = self._site.asset(proposal.target)
        measured = {outlet.name: outlet for outlet in vitals.outlets}
        outlets = self._site.graph.outlets_of(node.id)
        return headroom_of(
            node,
            self._site,
            draws_of(node, outlets, measured),
            amperes=lambda pdu, phase: self._value("pdu_phase_current_amperes", {"asset": pdu, "phase": phase}, now_ms),
            watts=lambda place: self._watts_of(place, now_ms),
            energises=proposal.energises,
        )

    def _watts_of(self, place: AssetId, now_ms: int) -> float | None:
        """A PDU's own input meter; a rack's PDUs if all are read; a busbar's PDUs, an unread one counted at its rating."""
        if self._site.asset(place).kind is Kind.PDU:
            return self._value("pdu_input_power_watts", {"asset": place}, now_ms)
        feeders = self._feeders.get(place)
        if feeders is None:
            below = (self._site.asset(name) for name in self._site.graph.downstream(place))
            feeders = self._feeders[place] = tuple(asset for asset in below if asset.kind is Kind.PDU)
        if not feeders:
            return None
        read = [self._value("pdu_input_power_watts", {"asset": pdu.id}, now_ms) for pdu in feeders]
        if self._site.asset(place).kind is Kind.RACK and None in read:
            return None
        rated = [pdu.ratings.get("rated_watts", 0.0) for pdu in feeders]
        return sum(at_most if value is None else value for value, at_most in zip(read, rated, strict=True))

    def _value(self, metric: str, labels: dict[str, str], now_ms: int) -> float | None:
        sample = self._sight.newest(metric, labels, now_ms)
        return None if sample is None else sample.value

    def _coolers(self, node: AssetId) -> frozenset[AssetId]:
        above = self._site.graph.upstream(node)
        return frozenset(a for a in above if self._site.asset(a).kind in {Kind.CDU, Kind.LOOP, Kind.CRAC})

    def _jobs(self, state: Remediation) -> tuple[JobImpact, ...]:
        return tuple(JobImpact(job=job, gpus=self._sight.gpus_of(job)) for job in sorted(state.memory.get("jobs", {})))


def _approvals(state: Remediation, now_ms: int) -> tuple[Approval, ...]:
    """A yes is needed in time to begin; what began with it is not left half done because it has run out since."""
    if not state.acted:
        return state.approvals
    return tuple(replace(given, expires_at_ms=max(given.expires_at_ms, now_ms + 1)) for given in state.approvals)


def scope_of(proposal: Proposal, site: Site) -> frozenset[AssetId]:
    """All that a technician may have locked against this act: target and device, and what contains, feeds or cools them."""
    touched = {proposal.target, proposal.device}
    for asset in (proposal.target, proposal.device):
        touched |= site.graph.upstream(asset)
    outlets = {outlet.id for outlet in site.graph.outlets_of(proposal.target)}
    return frozenset(touched | outlets | {EVERYTHING})
