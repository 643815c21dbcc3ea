"""What a shed makes of its steps: which refusals pass by themselves, what goes out together, under which name a thing is held."""

from collections.abc import Mapping, Sequence

from devices.orders import State
from fleet.model import AssetId
from remediator.batch import Sent
from remediator.held import PREFIX, TAKES, Held, Thing
from remediator.loads import Loads
from remediator.records import Intent
from remediator.shed import ShedAct, ShedStep
from remediator.verbs import Verb

PASSING = frozenset({"freshness", "trust", "traffic", "stop", "approval", "admission"})
"""Refusals of these pass by themselves; any other means that this step cannot be taken here."""


def was_so(sent: Sent) -> bool:
    """The goal was met before: by a person, or by an earlier try; it is not ours to give back."""
    return (
        sent.answer.state is State.NOT_SENT
        and sent.answer.before is not None
        and sent.answer.before == sent.answer.after
    )


def held_name(intent: Intent) -> str:
    """The name under which what an intent takes is held."""
    match intent.verb:
        case Verb.SUSPEND_JOB | Verb.RESUME_JOB:
            return f"{intent.arguments['namespace']}/{intent.arguments['job']}"
        case Verb.OUTLET_OFF | Verb.OUTLET_ON:
            return f"{intent.device}#{intent.arguments['outlet']}"
        case _:
            return str(intent.target)


def together(steps: Sequence[ShedStep]) -> ShedStep:
    """Caps that are needed now go out at once; anything harder alone, so that it is measured before the next."""
    caps = [step for step in steps if all(act.verb is Verb.GPU_POWER_LIMIT for act in step.acts)]
    if not caps or steps[0] not in caps:
        return steps[0]
    lowest: dict[str, ShedAct] = {}
    relief: dict[str, float] = {}
    for step in caps:
        lowest |= {str(act.target): act for act in step.acts}
        for phase, watts in step.relief_watts.items():
            relief[phase] = relief.get(phase, 0.0) + watts
    return ShedStep(what="; ".join(step.what for step in caps), acts=tuple(lowest.values()), relief_watts=relief)


def taken_by(intent: Intent, held: Mapping[str, Held], pdu: AssetId, loads: Loads, *, order: int, job: str) -> Held:
    """What is held from now on, and to what it will be given back."""
    thing = TAKES[intent.verb]
    name = held_name(intent)
    known = held.get(f"{PREFIX}{thing.value}/{name}") or Held(
        thing=thing,
        name=name,
        by={},
        before=loads.default_of(intent.target) if thing is Thing.CAP else 0.0,
        node=str(intent.target),
    )
    watts = float(str(intent.arguments.get("watts", 0.0)))
    return Held(
        thing=thing,
        name=name,
        by=known.taken(pdu, watts).by,
        before=known.before,
        order=order,
        node=str(intent.target),
        group=job or (thing.value if thing is Thing.CORDON else name),
    )
