"""Functions over the answers of queries."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from rules.templates.mistake import FunctionError
from rules.templates.surroundings import QueriedSample


def _answer(value: object) -> Sequence[QueriedSample]:
    if not isinstance(value, list) or not all(isinstance(each, QueriedSample) for each in value):
        raise FunctionError("expected the answer of a query")
    return value


def _sample(value: object) -> QueriedSample:
    if not isinstance(value, QueriedSample):
        raise FunctionError("expected a sample, try first")
    return value


def _first(answer: object) -> QueriedSample:
    found = _answer(answer)
    if not found:
        raise FunctionError("first() called on vector with no elements")
    return found[0]


def _sorted(label: object, answer: object) -> list[QueriedSample]:
    return sorted(_answer(answer), key=lambda sample: sample.labels.get(str(label), ""))


def _args(*values: object) -> dict[str, object]:
    return {f"arg{number}": value for number, value in enumerate(values)}


SAMPLES: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "first": _first,
        "value": lambda sample: _sample(sample).value,
        "label": lambda name, sample: _sample(sample).labels.get(str(name), ""),
        "strvalue": lambda sample: _sample(sample).labels.get("__value__", ""),
        "sortByLabel": _sorted,
        "args": _args,
    }
)
