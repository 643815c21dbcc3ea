"""The file that says what gives power and what its permits still allow: strict, with file, line and column."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from fleet.document import read_document
from fleet.errors import ConfigurationError, Problem
from fleet.mistakes import problems_of
from hallkeeper.shedding.amounts import seconds, watts
from remediator.shedding.supply import Source, SourceKind


class SourcesError(ConfigurationError):
    """The file of sources is wrong; `.problems` lists every mistake."""


def _watts(given: Any) -> Any:
    return watts(given) if isinstance(given, str) else given


def _seconds(given: Any) -> Any:
    return seconds(given) if isinstance(given, str) else given


_Watts = Annotated[float, BeforeValidator(_watts), Field(gt=0)]
_Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0)]
_Left = Annotated[float, Field(ge=0)]


class _Entry(BaseModel):
    """One source; field by field as `remediator.shedding.supply.Source`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    kind: SourceKind
    watts: _Watts
    running: bool = True
    start_seconds: _Seconds = 0.0
    energy_watt_hours: _Left | None = None
    permit_hours_left: _Left | None = None
    nox_kilograms_left: _Left | None = None
    nox_kilograms_per_megawatt_hour: _Left = 0.0


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: Annotated[tuple[_Entry, ...], Field(min_length=1)]


def load_sources(path: Path) -> tuple[Source, ...]:
    """The sources in a file. Raises `SourcesError`."""
    document = read_document(path, SourcesError)
    problems: list[Problem] = list(document.problems)
    try:
        found = _File.model_validate(document.data)
    except ValidationError as error:
        raise SourcesError([*problems, *problems_of(error, document, _File)]) from None
    if problems:
        raise SourcesError(problems)
    return tuple(Source(**entry.model_dump()) for entry in found.sources)
