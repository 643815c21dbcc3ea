"""What a playbook says, for people: its rungs and steps, the gates of each act, budgets, and how far it may go and why. Pure."""

from typing import Any

from fleet.model import AssetId, Domain, Site
from fleet.settings import Settings
from remediator.actions import ACTIONS
from remediator.backtests import BACKTESTS, COMMISSIONED, may_enforce
from remediator.budgets import budgets_of
from remediator.escalation import Price, next_rung, price_of
from remediator.facts import Proposal
from remediator.gates import gates_for
from remediator.gates.blast_radius import takes_place
from remediator.playbook import Playbook, PlaybookModes, Rung, Step, mode_for
from remediator.verbs import TRAITS, ActionClass, Lane, Mode

GPUS = 8
"""Of a node, where no target is named: for the price alone."""


def explanation_of(book: Playbook, settings: Settings, site: Site | None, target: str) -> dict[str, Any]:
    """Everything that `hallkeeper playbook explain` prints. Raises `UnknownAsset`."""
    asset = None if site is None else site.asset(target)
    told: dict[str, Any] = {
        "playbook": book.playbook,
        "code": book.code,
        "purpose": book.purpose,
        "lane": book.lane.value,
        "cause": book.cause.value,
        "targets": [kind.value for kind in book.targets],
        "rules": list(book.rules),
        "fault_codes": {kind.value: dict(rules) for kind, rules in book.faults.items()},
        "hold_down_seconds": book.hold_down_seconds,
        "cool_down_seconds": book.cool_down_seconds,
        "approval_ttl_seconds": book.approval_ttl_seconds,
        "mode": _mode(book, settings, site, asset.id if asset is not None else None),
        "ladder": _ladder(book, site, target),
    }
    if site is not None and asset is not None:
        told["target"] = {"asset": str(asset.id), "kind": asset.kind.value, "treated": asset.kind in book.targets}
        told["budgets"] = _budgets(asset.id, site)
    if book.shed is not None:
        told["shed"] = book.shed.model_dump(mode="json")
    return told


def _mode(book: Playbook, settings: Settings, site: Site | None, target: AssetId | None) -> dict[str, Any]:
    chosen = settings.remediation.modes.get(book.playbook)
    domains: tuple[Domain, ...] = () if site is None or target is None else site.graph.domains_of(target)
    may = True if site is None else may_enforce(site, [book], settings)[book.playbook]
    modes = {} if chosen is None else {book.playbook: PlaybookModes.model_validate(chosen.model_dump())}
    mode = mode_for(book, modes, domains, may_enforce=may, ours=True)
    return {"mode": mode.value, "why": _why(book, modes.get(book.playbook), domains, mode, may=may)}


def _why(book: Playbook, modes: PlaybookModes | None, domains: tuple[Domain, ...], mode: Mode, *, may: bool) -> str:
    """Whose word the mode is, and what keeps it from more."""
    named = next((d for d in domains if modes is not None and str(d.id) in modes.domains), None)
    asked = book.mode
    said = "its file says so"
    if modes is not None and named is not None:
        asked, said = modes.domains[str(named.id)], f"the settings say so for {named}"
    elif modes is not None and modes.default is not None:
        asked, said = modes.default, "the settings say so"
    if asked is mode:
        return said
    if mode is book.ceiling and book.ceiling is not Mode.ENFORCE:
        return f"{asked} is asked for, and its file's ceiling is {mode}: a person must always agree"
    if not may:
        return f"{asked} is asked for, and {BACKTESTS} or {COMMISSIONED} in the data folder does not vouch for it"
    return said


def _ladder(book: Playbook, site: Site | None, target: str) -> list[dict[str, Any]]:
    """The rungs in the order in which they would be tried with nothing measured yet."""
    nodes = () if site is None else site.graph.nodes_in(AssetId(target))
    gpus = GPUS if site is None else round(sum(site.asset(node).ratings.get("gpus", 0) for node in nodes))
    model = "" if site is None else site.asset(target).model
    prices = {rung.rung: price_of(rung, gpus, model, {}) for rung in book.ladder}
    tried: list[str] = []
    told = []
    while (place := next_rung(book, tried, prices)) is not None:
        rung = book.ladder[place]
        tried.append(rung.rung)
        told.append(_rung(rung, prices[rung.rung], book))
    return told


def _rung(rung: Rung, price: Price, book: Playbook) -> dict[str, Any]:
    return {
        "rung": rung.rung,
        "of": rung.of or book.playbook,
        "reversible": rung.reversible,
        "ends": rung.ends.value,
        "price_gpu_seconds": round(price.gpu_seconds, 1),
        "price": price.text,
        "fault_actions": [action.value for action in rung.actions],
        "steps": [_step(step, book) for step in rung.steps],
    }


def _step(step: Step, book: Playbook) -> dict[str, Any]:
    told: dict[str, Any] = {
        "step": step.name,
        "within_seconds": step.within_seconds,
        "otherwise": step.otherwise.value,
    }
    if step.wait is not None:
        return {**told, "wait": step.wait.value}
    assert step.act is not None
    action = ACTIONS[step.act]
    proposal = _proposal(step, book)
    return {
        **told,
        "act": step.act.value,
        "each": None if step.each is None else step.each.value,
        "with": dict(step.arguments),
        "class": f"A{int(TRAITS[step.act].class_)}",
        "tries": step.tries,
        "undoes": step.undoes,
        "gates": [name for name, _ in gates_for(proposal)],
        "budgeted": takes_place(proposal) and not proposal.restores,
        "approvals": 2 if TRAITS[step.act].class_ >= ActionClass.A4 else 0,
        "proof": action.proof,
    }


def _proposal(step: Step, book: Playbook) -> Proposal:
    """As the gates would be asked; about whom does not matter for which of them are."""
    assert step.act is not None
    nobody = AssetId("")
    return Proposal(
        remediation="",
        incident="",
        playbook=book.playbook,
        step=step.name,
        lane=Lane(book.lane),
        mode=book.mode,
        cause=book.cause,
        verb=step.act,
        target=nobody,
        device=nobody,
        release=step.gives_back,
    )


def _budgets(target: AssetId, site: Site) -> list[dict[str, Any]]:
    found = budgets_of(target, site.graph, out_of_service=(), held={}, remediation="", degraded=())
    return [
        {"domain": str(budget.domain), "allowed": budget.allowed, "members": len(site.graph.nodes_in(budget.domain.id))}
        for budget in found
    ]
