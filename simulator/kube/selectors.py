"""Label and field selectors of lists and watches."""

import re
from collections.abc import Callable
from typing import Any

from simulator.kube.store import Object, look_up

Matches = Callable[[Object], bool]
FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "spec.nodeName",
        "status.phase",
        "spec.restartPolicy",
        "spec.unschedulable",
        "status.successful",
    }
)
_TERM = re.compile(
    r"\s*(?:(?P<set>[\w./-]+)\s+(?P<how>in|notin)\s+\((?P<values>[^)]*)\)|(?P<plain>!?[\w./-]+(?:\s*(?:==|=|!=)\s*[\w.-]*)?))\s*(?:,|$)"
)


class SelectorError(ValueError):
    """A selector that the API does not understand."""


def _labels(item: Object) -> dict[str, Any]:
    return item.get("metadata", {}).get("labels", {}) or {}


def _label_term(match: "re.Match[str]") -> Matches:
    if match["set"]:
        key, wanted = match["set"], {value.strip() for value in match["values"].split(",")}
        inside = match["how"] == "in"
        return lambda item: (_labels(item).get(key) in wanted) is inside
    text = match["plain"].strip()
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        key, found, value = text.partition(sign)
        if found:
            return lambda item: (_labels(item).get(key.strip()) == value.strip()) is equal
    if text.startswith("!"):
        return lambda item: text[1:].strip() not in _labels(item)
    return lambda item: text in _labels(item)


def label_selector(text: str) -> list[Matches]:
    """Terms that must all hold. Raises `SelectorError`."""
    terms: list[Matches] = []
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None or match.end() == at:
            raise SelectorError(f"unable to parse label selector: {text!r}")
        terms.append(_label_term(match))
        at = match.end()
    return terms


def _field_term(text: str) -> Matches:
    for sign, equal in (("!=", False), ("==", True), ("=", True)):
        key, found, value = text.partition(sign)
        if found:
            if key not in FIELDS:
                raise SelectorError(f"field label not supported: {key}")
            return lambda item: (look_up(item, key) == value) is equal
    raise SelectorError(f"invalid field selector: {text!r}")


def field_selector(text: str) -> list[Matches]:
    """Terms that must all hold. Raises `SelectorError`."""
    return [_field_term(part.strip()) for part in text.split(",") if part.strip()]
