"""Explanations and simulations as lines for people. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any


def lines_of(told: Mapping[str, Any]) -> list[str]:
    """An explanation as lines."""
    return list(_explanation(told))


def _explanation(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"{told['playbook']} ({told['code'] or 'no code'}), {told['lane']} lane, cause {told['cause']}"
    yield told["purpose"]
    yield f"mode {told['mode']['mode']}: {told['mode']['why']}"
    if "target" in told:
        target = told["target"]
        yield f"target {target['asset']}, a {target['kind']}" + (
            "" if target["treated"] else ": NOT one that it treats"
        )
    yield f"treats: {', '.join(told['targets'])}"
    for rule in told["rules"]:
        yield f"answers {rule}"
    for kind, rules in told["fault_codes"].items():
        for rule, code in rules.items():
            yield f"answers {rule} where {kind} {code or 'of its label code'} asks for it"
    held, cool, ttl = told["hold_down_seconds"], told["cool_down_seconds"], told["approval_ttl_seconds"]
    yield f"held {held:g} s, cools down {cool:g} s, an approval must come within {ttl:g} s"
    for number, rung in enumerate(told["ladder"], 1):
        yield from _rung(number, rung)
    for budget in told.get("budgets", ()):
        yield f"budget of {budget['domain']}: {budget['allowed']} of its {budget['members']} nodes at once"
    for name, value in told.get("shed", {}).items():
        yield f"shed {name}: {value}"


def _rung(number: int, rung: Mapping[str, Any]) -> Iterator[str]:
    kind = "reversible" if rung["reversible"] else "not reversible"
    yield ""
    yield f"rung {number}: {rung['rung']} of {rung['of']}, {kind}, ends {rung['ends']}"
    yield f"  {rung['price']}"
    for step in rung["steps"]:
        yield f"  {_step(step)}"
    acts = [step for step in rung["steps"] if "act" in step]
    if acts:
        widest = max(acts, key=lambda step: len(step["gates"]))
        yield f"  gates, in order: {', '.join(widest['gates'])}"


def _step(step: Mapping[str, Any]) -> str:
    after = f"within {step['within_seconds']:g} s, otherwise {step['otherwise']}"
    if "wait" in step:
        return f"{step['step']}: wait for {step['wait']} {after}"
    each = f" each of its {step['each']}" if step["each"] else ""
    given = "".join(f" {name}={value}" for name, value in step["with"].items())
    extra = f", undoes {step['undoes']}" if step["undoes"] else ""
    extra += ", two persons" if step["approvals"] else ""
    return f"{step['step']}: {step['act']}{each}{given} [{step['class']}] {after}, {step['tries']} tries{extra}"


def lines_of_course(told: Mapping[str, Any]) -> list[str]:
    """A simulation as lines: one an event."""
    lines = [f"{told['playbook']} on {told['target']}, in virtual time; nothing leaves this process"]
    lines += [f"{line['at_seconds']:8.1f} s  {line['what']}" for line in told["timeline"]]
    lines.append(f"{told['seconds']:8.1f} s  {told['outcome']}")
    return lines
