"""An explanation for a terminal."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rules.explain.explain import Explanation
from rules.explain.steps import Element, Step
from rules.files.durations import duration_text
from rules.testing.notation import series_text, value_text


def lines_of(explanation: Explanation) -> Iterator[str]:
    """The verdict, and below it the expression as a tree."""
    at = datetime.fromtimestamp(explanation.at_ms / 1000, UTC)
    target = explanation.target or "every target"
    yield f"{explanation.rule} is {explanation.verdict} for {target} at {at:%Y-%m-%dT%H:%M:%S}Z"
    yield f"because {explanation.reason}"
    if explanation.for_ms:
        yield f"for: {duration_text(explanation.for_ms)}"
    yield ""
    yield from _tree(explanation.steps, "", "")


def _tree(step: Step, lead: str, below: str) -> Iterator[str]:
    yield f"{lead}{step.expr}{'' if step.scalar is None else f' = {value_text(step.scalar)}'}"
    inner = below + ("│   " if step.children else "    ")
    yield from (f"{inner}{_element(each)}" for each in step.elements)
    if step.others:
        yield f"{inner}({step.others} of other targets)" if not step.elements else f"{inner}({step.others} more)"
    if step.note:
        yield f"{inner}✗ {step.note}"
    for number, child in enumerate(step.children):
        last = number == len(step.children) - 1
        yield from _tree(child, below + ("└── " if last else "├── "), below + ("    " if last else "│   "))


def _element(element: Element) -> str:
    name = series_text(tuple(sorted(element.labels.items())))
    if element.samples is None:
        return f"{name} = {value_text(element.value)}"
    return f"{name}: {element.samples} sample(s), the newest {value_text(element.value)}"
