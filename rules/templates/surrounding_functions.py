"""Functions of templates that look beyond their arguments: at the engine, its window, its address."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from rules.templates.mistake import FunctionError
from rules.templates.surroundings import QueriedSample, QueryFailed, Surroundings


def _query(around: Surroundings, *arguments: object) -> Sequence[QueriedSample]:
    (text,) = arguments
    try:
        return list(around.query(str(text)))
    except QueryFailed as error:
        raise FunctionError(f"error calling query: {error}") from error


def _external_url(around: Surroundings) -> str:
    return around.external_url


def _path_prefix(around: Surroundings) -> str:
    return urlsplit(around.external_url).path


def _now(around: Surroundings) -> float:
    return around.at_seconds


SURROUNDING: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {"query": _query, "externalURL": _external_url, "pathPrefix": _path_prefix, "now": _now}
)
"""Each is called with the surroundings first."""
