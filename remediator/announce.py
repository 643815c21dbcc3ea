"""What is told rather than commanded: a page, a ticket, a request to the building's own system. The bus is the addressee.

The intent itself, durable and accepted by the bus under its derived id, is the announcement: a reader that sees it twice drops
the second. No device is involved, so nothing can be in doubt; whoever delivers it records that it was taken.
"""

from devices.orders import State
from remediator.attempt import Attempted
from remediator.outcomes import Succeeded
from remediator.proof import Finding, Verdict
from remediator.records import Intent, StepDone
from remediator.verbs import TRAITS, Plane, Verb

TOLD = frozenset(verb for verb, traits in TRAITS.items() if traits.plane is Plane.BUS)
"""The verbs that only tell."""
MOST_TEXT = 500
"""Characters of one announcement; the evidence is in the incident."""


def announced(intent: Intent, now_ms: int) -> Attempted:
    """How telling ends once the bus has accepted the intent."""
    assert intent.verb in TOLD
    text = said(intent)
    return Attempted(
        Succeeded(text), Finding(Verdict.PROVEN, text=f"the bus holds it: {text}"), now_ms, State.ACKNOWLEDGED
    )


def said(intent: Intent) -> str:
    """What is told, in a line."""
    words = {Verb.ISOLATION_REQUEST: f"asks the building to isolate {intent.arguments.get('what', 'it')}"}
    text = words.get(intent.verb) or str(intent.arguments.get("text", ""))
    return f"{intent.target}: {text}"[:MOST_TEXT]


def told_by(done: tuple[StepDone, ...]) -> tuple[tuple[str, str], ...]:
    """What a remediation has told so far: verb and text, in order."""
    return tuple((step.verb, step.text) for step in done if step.verb in TOLD and step.outcome == "Succeeded")
