"""Pydantic's errors as problems that an operator understands: where, what is wrong, what to try."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fleet.document import Document, Loc
from fleet.errors import Problem
from fleet.nearest import nearest

SECRET_WORDS = ("password", "passwd", "passphrase", "secret", "token", "community", "auth_key", "priv_key", "private")
"""A key with one of these in it holds what must not stand in a configuration file; its value is never repeated."""

_TYPES = {
    "string_type": ("must be text", 'quotes: "…"'),
    "int_type": ("must be a whole number", "digits without quotes"),
    "int_from_float": ("must be a whole number", "digits without a point"),
    "float_type": ("must be a number", "digits without quotes, underscores or units"),
    "bool_type": ("must be true or false", "true or false without quotes"),
    "list_type": ("must be a list", "`- ` before each item, or [a, b]"),
    "tuple_type": ("must be a list", "`- ` before each item, or [a, b]"),
    "dict_type": ("must be a mapping", "`key: value` lines below it"),
    "model_type": ("must be a mapping", "`key: value` lines below it"),
    "is_instance_of": ("must be a path", "text such as ./data"),
    "path_type": ("must be a path", "text such as ./data"),
}
_BOUNDS = {
    "greater_than": ("must be more than {gt:g}", ""),
    "greater_than_equal": ("must be at least {ge:g}", ""),
    "less_than": ("must be less than {lt:g}", ""),
    "less_than_equal": ("must be at most {le:g}", ""),
    "finite_number": ("must be a finite number", "digits"),
    "too_short": ("must have at least {min_length} item(s)", "adding one"),
    "too_long": ("must have at most {max_length} items", "fewer"),
    "string_too_short": ("must not be empty", "a word"),
    "string_pattern_mismatch": ("does not have the right form", ""),
    "string_too_long": ("must have at most {max_length} characters", "fewer"),
}


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """Every mistake that pydantic found, in the document's places."""
    return [_problem(details, document, model) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, document: Document, model: type[BaseModel]) -> Problem:
    loc: Loc = details["loc"]
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            said = f"`{loc[-1]}` is missing", f"adding `{loc[-1]}:` ({_meaning(model, loc)})"
        case "extra_forbidden":
            said = _unknown_key(model, loc)
        case "literal_error" | "enum":
            said = _choice(details, context)
        case "hallkeeper":
            said = context["message"], context["suggestion"]
        case kind:
            said = _plain(kind, details, context)
    message, suggestion = said
    return document.problem(loc, message, suggestion or _meaning(model, loc), key=details["type"] == "extra_forbidden")


def _plain(kind: str, details: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    if kind in _TYPES:
        message, suggestion = _TYPES[kind]
        return f"{message}, is {_kind_of(details['input'])}", suggestion
    message, suggestion = _BOUNDS.get(kind, (details["msg"], ""))
    return message.format(**context) if kind in _BOUNDS else message, suggestion


def _unknown_key(model: type[BaseModel], loc: Loc) -> tuple[str, str]:
    key = str(loc[-1])
    known = sorted(_fields_at(model, loc[:-1]))
    near = nearest(key, known)
    slip = near is not None and nearest(key, known, cutoff=0.85) is not None
    if not slip and _is_secret(key.lower()):
        message = f"a literal credential, {key!r}, must not stand here"
        return message, "a file of mode 0600, named by file:PATH under credentials"
    if near is not None:
        return f"unknown key {key!r}", f"{near!r}"
    return f"unknown key {key!r}", f"one of {', '.join(known)}" if known else "removing it"


def _is_secret(key: str) -> bool:
    return any(word in key for word in SECRET_WORDS) or nearest(key, SECRET_WORDS, cutoff=0.8) is not None


def _choice(details: ErrorDetails, context: dict[str, Any]) -> tuple[str, str]:
    expected = str(context.get("expected", ""))
    given = details["input"]
    choices = [choice.strip("' ") for choice in expected.replace(" or ", ",").split(",")]
    near = nearest(str(given), choices)
    shown = repr(given) if isinstance(given, int | float | bool) or (isinstance(given, str) and len(given) < 40) else ""
    return f"must be {expected}" + (f", is {shown}" if shown else ""), f"{near!r}" if near else choices[0]


def _kind_of(value: object) -> str:
    """What a value is, in the words of YAML; never the value."""
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _meaning(model: type[BaseModel], loc: Loc) -> str:
    """The documentation of the field at a place, up to its first stop."""
    field = _fields_at(model, loc[:-1]).get(str(loc[-1])) if loc else None
    description = getattr(field, "description", None) or "see `hallkeeper site schema`"
    return str(description).split(". ")[0].split("; ")[0].rstrip(".")


def _fields_at(model: type[BaseModel], loc: Loc) -> dict[str, Any]:
    """The fields of the model at a place, by following annotations down."""
    here: Any = model
    for part in loc:
        if isinstance(part, str) and isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(part)
            here = None if field is None else bare(field.annotation)
        else:
            inner = [argument for argument in get_args(here) if argument is not Ellipsis]
            here = bare(inner[-1]) if inner else None
    return dict(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else {}


def bare(annotation: Any) -> Any:
    """An annotation without Annotated and without None."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            annotation = next(argument for argument in get_args(annotation) if argument is not type(None))
        else:
            return annotation
