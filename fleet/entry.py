"""The ground that every entry of a configuration file stands on: strict and frozen."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

T = TypeVar("T")


class Entry(BaseModel):
    """One mapping of a file: no unknown key, no silent conversion, never changed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


Several = Annotated[tuple[T, ...], Field(strict=False)]
"""A list in the file, a tuple in memory."""


def wrong(message: str, suggestion: str) -> PydanticCustomError:
    """A mistake in a value, to raise in a validator: what is wrong, and what to try."""
    return PydanticCustomError("hallkeeper", "{message}", {"message": message, "suggestion": suggestion})


def text_check(check: Callable[[str], str | None]) -> AfterValidator:
    """A validator of texts from a function that returns what is wrong (message and suggestion as `a|b`) or None."""

    def validate(text: str) -> str:
        trouble = check(text)
        if trouble is not None:
            message, _, suggestion = trouble.partition("|")
            raise wrong(message, suggestion)
        return text

    return AfterValidator(validate)


def _not_empty(items: tuple[T, ...]) -> tuple[T, ...]:
    if not items:
        raise wrong("must not be empty", "adding one, or removing the key")
    return items


SomeOf = Annotated[tuple[T, ...], Field(strict=False, json_schema_extra={"minItems": 1}), AfterValidator(_not_empty)]
"""A list with something in it. Judged after its items, so that a wrong item is not also called a missing one."""


def _as_path(value: object) -> object:
    return Path(value) if isinstance(value, str) and value else value


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base")
    return path if base is None else Path(base) / path


FilePath = Annotated[Path, BeforeValidator(_as_path, json_schema_input_type=str), AfterValidator(_beside_the_file)]
"""A path; relative ones start from the folder of the file that names them."""
