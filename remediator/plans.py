"""From a step to what exactly is commanded: which device, which object, which arguments; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bus.identity import derived_id
from fleet.errors import HallkeeperError
from fleet.model import AssetId, Kind, Site, Wire
from remediator.actions import ACTIONS
from remediator.cluster import Pod
from remediator.facts import Budget, JobImpact, Proposal
from remediator.playbook import Each, Playbook, Step
from remediator.records import Intent, Remediation, intent_id_of, lock_of
from remediator.verbs import TRAITS, Plane, Verb

SEND_WITHIN_SECONDS = 5.0
"""An intent that was not sent by then is never sent (`not_after`); login and pre-read fit well (default to tune)."""


class NoDevice(HallkeeperError):
    """The inventory names nothing by which the step could be done: no asset, no act."""


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a step: the target itself, one of its pods or jobs, or one of the nodes below it."""

    key: str
    arguments: Mapping[str, Any]
    target: AssetId | None = None
    """What the gates are asked about, where that is not the remediation's own target."""
    device: AssetId | None = None
    """What is commanded, where the verb alone does not tell."""


def items_of(step: Step, state: Remediation, pods: Sequence[Pod], site: Site | None = None) -> tuple[Item, ...]:
    """What the step is done to, once each; the site is needed for what is not the target itself."""
    assert step.act is not None
    found = _objects(step, step.act, state, pods, site)
    with_ours = step.arguments
    return tuple(replace(item, arguments={**item.arguments, **with_ours}) for item in found) if with_ours else found


def _objects(step: Step, verb: Verb, state: Remediation, pods: Sequence[Pod], site: Site | None) -> tuple[Item, ...]:
    node = str(state.target)
    match step.each:
        case Each.PODS:
            return tuple(
                Item(pod.uid, {"namespace": pod.namespace, "pod": pod.name, "uid": pod.uid, "node": node})
                for pod in pods
            )
        case Each.JOBS:
            homes: Mapping[str, str] = state.memory.get("homes", {})
            return tuple(
                Item(
                    job,
                    _job_arguments(verb, job, step.within_seconds),
                    target=AssetId(homes[job]) if job in homes else None,
                )
                for job in sorted(state.memory.get("jobs", {}))
            )
        case Each.NODES | Each.OUTLETS | Each.COOLERS:
            assert site is not None
            return tuple(_below(step.each, state.target, site))
        case None:
            return (Item("", {"node": node} if _names_node(verb) else {}),)


def _names_node(verb: Verb) -> bool:
    """Verbs of a scheduler that are about a node say which."""
    return TRAITS[verb].plane in {Plane.SCHEDULER, Plane.SLURM} and "queue" not in ACTIONS[verb].arguments


def _job_arguments(verb: Verb, job: str, within_seconds: float) -> dict[str, Any]:
    if "namespace" in ACTIONS[verb].arguments:
        namespace, _, name = job.partition("/")
        return {"namespace": namespace, "job": name}
    return {"job": job, "deadline_seconds": within_seconds}


def _below(each: Each, target: AssetId, site: Site) -> Iterator[Item]:
    """Nodes at or below the target, outlets of a node, or the cooling units that it is or hangs on."""
    if each is Each.NODES:
        for name in sorted(site.graph.nodes_in(target)):
            yield Item(str(name), {}, target=name)
    elif each is Each.OUTLETS:
        for outlet in site.graph.outlets_of(target):
            yield Item(str(outlet.id), {"outlet": outlet.labels["outlet"]}, device=AssetId(outlet.labels["pdu"]))
    else:
        units = {target} | site.graph.upstream(target)
        for name in sorted(unit for unit in units if site.asset(unit).kind is Kind.CDU):
            yield Item(str(name), {}, target=name, device=name)


def device_of(verb: Verb, target: AssetId, site: Site, arguments: Mapping[str, Any]) -> AssetId:
    """The asset that is commanded. Raises `NoDevice`."""
    plane = TRAITS[verb].plane
    if plane in _ENDPOINTS:
        return _with_endpoint(site, target, _ENDPOINTS[plane])
    if plane in _SCHEDULERS:
        return _scheduler(site, target, _SCHEDULERS[plane])
    match plane:
        case Plane.PDU:
            return AssetId(str(arguments["pdu"]))
        case Plane.PLANT:
            return _with_endpoint(site, AssetId(str(arguments.get("unit", target))), "modbus")
        case _:
            return target


_ENDPOINTS: Mapping[Plane, str] = {Plane.BMC: "bmc", Plane.AGENT: "agent", Plane.REDFISH: "redfish"}
_SCHEDULERS: Mapping[Plane, Wire] = {Plane.SCHEDULER: Wire.KUBERNETES, Plane.SLURM: Wire.SLURM, Plane.HOOK: Wire.HOOK}


def proposal_for(step: Step, item: Item, state: Remediation, playbook: Playbook, site: Site) -> Proposal:
    """What the gates are asked about."""
    assert step.act is not None
    return Proposal(
        remediation=state.remediation_id,
        incident=state.incident_id,
        playbook=playbook.playbook,
        step=step.name,
        lane=playbook.lane,
        mode=state.mode,
        cause=playbook.cause,
        verb=step.act,
        target=item.target or state.target,
        device=item.device or device_of(step.act, item.target or state.target, site, item.arguments),
        release=step.gives_back,
        asks=playbook.ladder[state.rung].asks if playbook.ladder else False,
    )


def intent_for(
    proposal: Proposal,
    item: Item,
    state: Remediation,
    site: Site,
    *,
    attempt: int,
    epoch: int,
    now_ms: int,
    boottime_ns: int,
) -> Intent:
    """The intent as it will be written down and sent: absolute, with the moment after which it is dead."""
    latency_seconds = site.asset(proposal.device).effect_latency_seconds
    return Intent(
        intent_id=intent_id_of(state.remediation_id, state.rung, proposal.step, item.key, attempt),
        remediation_id=state.remediation_id,
        step=proposal.step,
        verb=proposal.verb,
        device=proposal.device,
        target=proposal.target,
        lock=lock_of(proposal.device, proposal.verb, dict(item.arguments)),
        arguments=dict(item.arguments),
        class_=int(proposal.traits.class_),
        lane=proposal.lane,
        epoch=epoch,
        created_at_ms=now_ms,
        not_after_boottime_ns=boottime_ns + round(SEND_WITHIN_SECONDS * 1e9),
        effect_until_ms=now_ms + round(1000 * (SEND_WITHIN_SECONDS + latency_seconds)),
    )


def plan_hash(playbook: Playbook, target: AssetId) -> str:
    """What a person agrees to: this ladder on this target."""
    return derived_id("plan", playbook.model_dump_json(exclude={"mode"}), target)


def asked_plan(state: Remediation, jobs: Sequence[JobImpact], budgets: Sequence[Budget]) -> str:
    """What exactly a person is asked about: the act (ladder, rung, target), its evidence (alert, jobs) and its limits.

    Whatever of it changes before anything was done makes another plan, and an earlier yes counts for nothing.
    """
    evidence = [state.memory.get("alert"), state.memory.get("alert_since_ms"), sorted(state.memory.get("jobs", {}))]
    return derived_id(
        "asked",
        state.plan,
        state.rung,
        evidence,
        [(impact.job, impact.gpus) for impact in jobs],
        [(str(budget.domain), budget.allowed) for budget in budgets],
    )


def _scheduler(site: Site, target: AssetId, wire: Wire) -> AssetId:
    """The first scheduler that is spoken to that way."""
    for scheduler in site.of_kind(Kind.SCHEDULER):
        if any(endpoint.wire is wire for endpoint in scheduler.endpoints):
            return scheduler.id
    raise NoDevice(f"{target}: no {wire} scheduler in the inventory, try naming it under schedulers")


def _with_endpoint(site: Site, asset: AssetId, name: str) -> AssetId:
    if site.asset(asset).endpoint(name) is None:
        raise NoDevice(f"{asset}: no {name} in the inventory, try adding its address")
    return asset
