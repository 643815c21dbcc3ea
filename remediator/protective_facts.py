"""The facts for an act of the protective lane: its own meter, the switches, the policy; no queue and no budget of the other lane."""

from collections.abc import Sequence

from fleet.model import AssetId, Site
from remediator.facts import Evidence, Facts, Headroom, Instrument, Proposal
from remediator.history import traffic_of
from remediator.loads import OUTLET_METRIC, PHASE_METRIC, Phase
from remediator.records import Intent, Remediation
from remediator.switches import EVERYTHING, Switches, locks
from remediator.vitals import Vitals

PHASE_INTERVAL_MS = 2_000
"""Phase meters are read every one to two seconds."""


def protective_facts(
    proposal: Proposal,
    state: Remediation,
    phases: Sequence[Phase],
    *,
    site: Site,
    switches: Switches,
    intents: Sequence[Intent],
    vitals: Vitals | None = None,
    headroom: tuple[Headroom, ...] = (),
    policy_armed: bool = False,
    now_ms: int,
) -> Facts:
    """What the gates are asked with."""
    scope = scope_of(proposal, site)
    return Facts(
        now_ms=now_ms,
        lockouts=locks(switches.lockouts(), scope),
        scope=scope,
        stop=switches.stop(),
        protected=frozenset(asset.id for asset in site.assets.values() if asset.protected),
        clock_offset_ms=0.0,  # it reads the meters itself, with its own clock
        evidence=(*_evidence(phases), *_host_evidence(proposal, vitals, now_ms)),
        vitals=vitals or Vitals(),
        traffic=traffic_of(proposal.device, proposal.verb, intents, lane=proposal.lane, now_ms=now_ms),
        headroom=headroom,
        approvals=state.approvals,
        plan=state.plan,
        policy_armed=policy_armed,
    )


def scope_of(proposal: Proposal, site: Site) -> frozenset[AssetId]:
    """What a technician may have locked against it: the node and the device, and what contains or feeds them."""
    touched = {proposal.target, proposal.device}
    touched |= site.graph.upstream(proposal.target) | {o.id for o in site.graph.outlets_of(proposal.target)}
    return frozenset(touched | site.graph.upstream(proposal.device) | {EVERYTHING})


def _evidence(phases: Sequence[Phase]) -> tuple[Evidence, ...]:
    """The newest reading of each phase."""
    return tuple(
        Evidence(
            instrument=Instrument.PHASE_METER,
            metric=PHASE_METRIC,
            asset=phase.pdu,
            at_ms=phase.readings[-1].at_ms,
            interval_ms=PHASE_INTERVAL_MS,
            good=not phase.readings[-1].quality,
        )
        for phase in phases
        if phase.readings
    )


def _host_evidence(proposal: Proposal, vitals: Vitals | None, now_ms: int) -> tuple[Evidence, ...]:
    """What outlets and BMC say of a host, both read fresh: the second kind that switching needs."""
    if vitals is None:
        return ()
    said = [(Instrument.OUTLET_METER, OUTLET_METRIC)] if all(o.watts is not None for o in vitals.outlets) else []
    if vitals.bmc_on is not None:
        said.append((Instrument.BMC, "bmc_power_state"))
    return tuple(
        Evidence(instrument=kind, metric=metric, asset=proposal.target, at_ms=now_ms, interval_ms=PHASE_INTERVAL_MS)
        for kind, metric in said
    )
