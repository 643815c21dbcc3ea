"""The JSON Schema of an event type, as it lies in `bus/schemas`: made from the struct, so that the two cannot disagree."""

from pathlib import Path
from typing import Any, Final, cast

import msgspec

from bus.event_types import AnyEvent
from bus.events import CONTENT_TYPE, SPEC_VERSION

FOLDER: Final = Path(__file__).parent / "schemas"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_path(kind: type[AnyEvent]) -> Path:
    """Where the type's schema lies."""
    return FOLDER / f"{kind.TYPE}.json"


def schema_of(kind: type[AnyEvent]) -> dict[str, Any]:
    """The type's JSON Schema, examples left out. Fields that it does not name are allowed: readers keep them."""
    (data,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    structs = cast("dict[str, Any]", {name: _without_hidden(component) for name, component in components.items()})
    attributes: dict[str, Any] = {
        "specversion": {"const": SPEC_VERSION},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"const": kind.TYPE},
        "subject": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": CONTENT_TYPE},
        "data": data,
    }
    return {
        "$schema": DIALECT,
        "title": kind.TYPE,
        "description": (kind.__doc__ or "").strip(),
        "type": "object",
        "properties": attributes,
        "required": list(attributes),
        "$defs": structs,
    }


def _without_hidden(component: Any) -> Any:
    """What never goes on the wire is no field of it."""
    if "properties" in component:
        component["properties"] = {
            name: field for name, field in component["properties"].items() if name not in {"unknown", "envelope"}
        }
    return component
