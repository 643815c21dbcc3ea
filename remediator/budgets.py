"""How many of each failure domain may be in remediation at once: a count and a share, whichever is less."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fleet.model import AssetId, Domain, Kind, PlantGraph, Site
from remediator.facts import Budget
from remediator.records import Remediation
from remediator.verbs import Cause


@dataclass(frozen=True, slots=True)
class Allowance:
    """The two bounds of one kind of domain."""

    absolute: int
    share: float


ALLOWANCES: Mapping[Kind, Allowance] = {
    Kind.OUTLET: Allowance(1, 1.0),
    Kind.RACK: Allowance(1, 0.10),
    Kind.ROW: Allowance(4, 0.10),
    Kind.HALL: Allowance(8, 0.07),
    Kind.SITE: Allowance(8, 0.07),
    Kind.PDU: Allowance(1, 0.34),
    Kind.BUSBAR: Allowance(4, 0.13),
    Kind.SUBSTATION: Allowance(8, 0.07),
    Kind.GENERATOR_STRING: Allowance(8, 0.07),
    Kind.CDU: Allowance(4, 0.13),
    Kind.LOOP: Allowance(4, 0.13),
    Kind.SWITCH: Allowance(4, 0.13),
}
"""Defaults to tune per site; a rack or row always has room for one, any other domain may be too small for any."""
JOB = Allowance(2, 1.0)
"""Living nodes of one job in remediation at once: more would be the end of it, node by node (default to tune)."""
AT_LEAST_ONE = frozenset({Kind.RACK, Kind.ROW})


def allowed(domain: Domain, members: int, *, redundant: bool) -> int:
    """min(absolute, floor(share × members in service)), at least one for a rack or row; none below N+1."""
    if not redundant:
        return 0
    allowance = ALLOWANCES[domain.kind]
    share = math.floor(allowance.share * members)
    if domain.kind in AT_LEAST_ONE:
        share = max(1, share)
    return min(allowance.absolute, share)


def budgets_of(
    target: AssetId,
    graph: PlantGraph,
    *,
    out_of_service: Collection[AssetId],
    held: Mapping[str, Collection[str]],
    remediation: str,
    degraded: Collection[AssetId],
    jobs: Collection[str] = (),
) -> tuple[Budget, ...]:
    """One budget for every failure domain of the target, and for every job that a living one carries.

    `held` is who holds a place where (the ledger's reservations), `degraded` what feeds or cools below N+1.
    """
    budgets = []
    out = set(out_of_service)
    for domain in graph.domains_of(target):
        nodes = graph.nodes_in(domain.id)
        members = len(nodes) - sum(name != target and name in nodes for name in out)
        redundant = domain.id not in degraded
        budgets.append(
            Budget(
                domain=domain,
                allowed=allowed(domain, members, redundant=redundant),
                in_use=len(set(held.get(str(domain), ())) - {remediation}),
            )
        )
    for domain in job_domains(jobs):
        others = set(held.get(str(domain), ())) - {remediation}
        budgets.append(Budget(domain=domain, allowed=JOB.absolute, in_use=len(others)))
    return tuple(budgets)


def job_domains(jobs: Collection[str]) -> tuple[Domain, ...]:
    """Jobs as domains: their nodes fail together."""
    return tuple(Domain(kind=Kind.SCHEDULER, id=AssetId(f"job {job}")) for job in sorted(jobs))


def domains_held(state: Remediation, graph: PlantGraph) -> tuple[str, ...]:
    """Where a remediation that acted holds a place: what another worker must count after taking over."""
    jobs = state.memory.get("jobs", {}) if state.cause is Cause.REPORTED_FAULT else ()
    return tuple(str(domain) for domain in (*graph.domains_of(state.target), *job_domains(jobs)))


def degraded_by(failed: Collection[AssetId], site: Site) -> frozenset[AssetId]:
    """The domains without their N+1: what failed, all that it feeds or cools, and the racks and PDUs that now carry alone."""
    found: set[AssetId] = set()
    for asset in failed:
        below = site.graph.downstream(asset)
        found |= {asset} | below
        for node in site.graph.nodes_in(asset):
            carriers = site.graph.upstream(node) - below - {asset}
            found |= {above for above in carriers if site.asset(above).kind in CARRIES_ALONE}
    return frozenset(found)


CARRIES_ALONE = frozenset({Kind.RACK, Kind.PDU})
"""What has no reserve left once the other feed of its nodes is gone."""
