"""What a planner must know, asked of a console: fresh outlet watts, GPU draws and limits, jobs and their checkpoints."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleet.model import Asset, AssetId, Kind, Limit, Site
from remediator.loads import DEFAULT_LIMIT_WATTS
from remediator.shed import DEFAULT_TIER, UNTOUCHABLE, estimated_gpu_watts, tier_of
from remediator.shedding.survey import Machine, Place, Survey, Work

SITE: Final = "site"
"""The name of the place that is the whole site."""
FRESH: Final = 30
"""Seconds: older readings are no evidence (design, section 3)."""
_PARALLEL: Final = frozenset({Kind.GRID_SUPPLY, Kind.GENERATOR_STRING, Kind.BESS})
"""Sources that stand in for each other: which of them carries is asked with --sources."""

Ask = Callable[[str], Sequence[Mapping[str, Any]]]
"""An expression → the vector's elements, as Prometheus's API gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A survey, and what is missing from it."""

    survey: Survey
    blind: tuple[AssetId, ...]
    """Machines without a fresh outlet reading: they count for no relief."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was measured, by its keys."""

    outlets: Mapping[tuple[str, str], float]
    gpu_watts: Mapping[str, float]
    caps: Mapping[str, float]
    ages: Mapping[str, float]
    jobs: Mapping[str, frozenset[AssetId]]
    tiers: Mapping[str, str]


def read(site: Site, ask: Ask, locked: Callable[[AssetId], bool]) -> Reading:
    """The survey of a site as it is now."""
    seen = _seen(ask)
    held = {node.id for node in site.of_kind(Kind.NODE) if node.protected or locked(node.id)}
    machines = {node.id: _machine(site, node, seen, untouchable=node.id in held) for node in site.of_kind(Kind.NODE)}
    known = {name: machine for name, machine in machines.items() if machine is not None}
    works = tuple(
        Work(
            job=job,
            tier=seen.tiers.get(job, DEFAULT_TIER),
            machines=tuple(known[node] for node in sorted(nodes) if node in known),
            checkpoint_age_seconds=seen.ages.get(job),
            bound=bool(nodes & held),
        )
        for job, nodes in sorted(seen.jobs.items())
        if seen.tiers.get(job, DEFAULT_TIER) not in UNTOUCHABLE and nodes & known.keys()
    )
    busy = {node for nodes in seen.jobs.values() for node in nodes}
    # where no job is known at all nobody said what runs where: then nothing idles for certain
    idle = tuple(machine for name, machine in sorted(known.items()) if busy and name not in busy)
    return Reading(
        survey=Survey(works=works, idle=idle, places=_places(site, known.values())),
        blind=tuple(sorted(machines.keys() - known.keys())),
    )


def _seen(ask: Ask) -> _Seen:
    jobs: dict[str, set[AssetId]] = defaultdict(set)
    tiers = {}
    for element in ask("fleet_job_info"):
        labels = element["metric"]
        if labels.get("job_id") and labels.get("node"):
            jobs[labels["job_id"]].add(AssetId(labels["node"]))
            tiers[labels["job_id"]] = tier_of(labels.get("priority", ""))
    return _Seen(
        outlets={
            (labels.get("asset", ""), labels.get("outlet", "")): value
            for labels, value in _fresh(ask, "pdu_outlet_power_watts", "")
        },
        gpu_watts=_by(ask, "avg by (asset)", "agent_gpu_power_watts", "asset"),
        caps=_by(ask, "min by (asset)", "agent_gpu_power_limit_watts", "asset"),
        ages=_by(ask, "max by (job_id)", "agent_checkpoint_age_seconds", "job_id"),
        jobs={job: frozenset(nodes) for job, nodes in jobs.items()},
        tiers=tiers,
    )


def _fresh(ask: Ask, metric: str, grouping: str) -> Iterator[tuple[Mapping[str, str], float]]:
    """What was measured in the last seconds; older readings are left out."""
    young = f"{metric} and time() - timestamp({metric}) <= {FRESH}"
    for element in ask(f"{grouping} ({young})" if grouping else young):
        yield element["metric"], float(element["value"][1])


def _by(ask: Ask, grouping: str, metric: str, label: str) -> dict[str, float]:
    return {labels.get(label, ""): value for labels, value in _fresh(ask, metric, grouping)}


def _machine(site: Site, node: Asset, seen: _Seen, *, untouchable: bool) -> Machine | None:
    """One node; None where an outlet of it was not read: a part of its load would be taken for all of it."""
    outlets = site.graph.outlets_of(node.id)
    read = [seen.outlets.get((str(each.labels["pdu"]), str(each.labels["outlet"]))) for each in outlets]
    watts = [each for each in read if each is not None]
    if not watts or len(watts) < len(outlets):
        return None
    total = sum(watts)
    gpus = int(node.ratings.get("gpus", 8))
    idle = min(node.ratings.get("idle_watts", 0.0), total)
    by_gpu = seen.gpu_watts.get(node.id, estimated_gpu_watts(total, idle, gpus))
    return Machine(
        node=node.id,
        gpus=gpus,
        gpu_watts=by_gpu,
        cap_watts=seen.caps.get(node.id, DEFAULT_LIMIT_WATTS),
        watts=total,
        idle_watts=idle,
        shares=_shares(
            site, node.id, dict(zip((each.id for each in outlets), watts, strict=True)) if total > 0 else {}
        ),
        untouchable=untouchable,
    )


def _shares(site: Site, node: AssetId, outlets: Mapping[AssetId, float]) -> dict[str, float]:
    """Of the node's load what each place above it carries."""
    total = sum(outlets.values())
    found: dict[str, float] = {SITE: 1.0}
    for outlet, watts in outlets.items():
        for name in {place_name(limit) for limit in _limits(site, outlet)}:
            found[name] = found.get(name, 0.0) + watts / total
    for limit in site.graph.limits_above(node):
        if site.asset(limit.asset).kind is Kind.RACK:
            found[place_name(limit)] = 1.0
    return found


def _limits(site: Site, outlet: AssetId) -> Iterator[Limit]:
    return (
        limit
        for limit in site.graph.limits_above(outlet)
        if site.asset(limit.asset).kind not in {*_PARALLEL, Kind.RACK, Kind.OUTLET}
    )


def place_name(limit: Limit) -> str:
    """`pdu-1 phase 2`, `busbar-a`."""
    return str(limit.asset) if limit.phase is None else f"{limit.asset} phase {limit.phase}"


def _places(site: Site, machines: Iterable[Machine]) -> tuple[Place, ...]:
    carried: dict[str, float] = defaultdict(float)
    for machine in machines:
        for name, share in machine.shares.items():
            carried[name] += share * machine.watts
    limits = {SITE: None, **_limit_watts(site, carried)}
    return tuple(Place(name=name, watts=carried[name], limit_watts=limits.get(name)) for name in sorted(carried))


def _limit_watts(site: Site, names: Mapping[str, float]) -> dict[str, float]:
    """The limit of each place in watts; a phase's amperes at the PDU's volts."""
    found: dict[str, float] = {}
    for asset in site.assets.values():
        if asset.kind in {Kind.PDU, Kind.BUSBAR, Kind.SUBSTATION, Kind.RACK}:
            for limit in site.graph.limits_above(asset.id):
                name = place_name(limit)
                if limit.asset == asset.id and name in names:
                    volts = asset.ratings.get("volts", 230.0) if limit.quantity == "amperes" else 1.0
                    found[name] = limit.value * volts
    return found
