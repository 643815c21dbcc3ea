"""The three patch formats: JSON patch, merge patch, strategic merge patch. Pure."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
MOST_OPERATIONS = 100


class PatchError(ValueError):
    """A patch that cannot be applied."""


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def strategic(target: Any, patch: Any) -> Any:
    """Strategic merge of what may be patched here: labels, annotations, `suspend`, `unschedulable` and `taints`.

    None of these lists has a merge key in Kubernetes' own types, taints included: a list replaces a list. Directives
    (`$patch`, `$setElementOrder/…`, `$retainKeys`) are dropped.
    """
    return merged(target, _without_directives(patch))


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(inner) for key, inner in value.items() if not key.startswith("$")}
    if isinstance(value, list):
        return [_without_directives(inner) for inner in value]
    return value


def _parts(path: Any) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise PatchError(f"path {path!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _parent(document: Any, parts: list[str]) -> Any:
    for part in parts[:-1]:
        if isinstance(document, list):
            document = document[_index(document, part)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            raise PatchError(f"doc is missing path: /{'/'.join(parts)}")
    return document


def _index(items: list[Any], part: str) -> int:
    if not part.isdigit() or int(part) >= len(items):
        raise PatchError(f"index {part!r} is not in a list of {len(items)}")
    return int(part)


def _put(document: Any, parts: list[str], value: Any, *, insert: bool) -> None:
    parent, last = _parent(document, parts), parts[-1]
    if isinstance(parent, dict):
        if not insert and last not in parent:
            raise PatchError(f"doc is missing key: /{'/'.join(parts)}")
        parent[last] = value
    elif not isinstance(parent, list):
        raise PatchError(f"doc is missing path: /{'/'.join(parts)}")
    elif insert and last == "-":
        parent.append(value)
    elif insert:
        parent.insert(len(parent) if last == str(len(parent)) else _index(parent, last), value)
    else:
        parent[_index(parent, last)] = value


def _remove(document: Any, parts: list[str]) -> None:
    parent, last = _parent(document, parts), parts[-1]
    if isinstance(parent, list):
        del parent[_index(parent, last)]
    elif isinstance(parent, dict) and last in parent:
        del parent[last]
    else:
        raise PatchError(f"unable to remove nonexistent key: /{'/'.join(parts)}")


def _read(document: Any, parts: list[str]) -> Any:
    parent, last = _parent(document, parts), parts[-1]
    if isinstance(parent, list):
        return parent[_index(parent, last)]
    return parent.get(last) if isinstance(parent, dict) else None


def json_patched(target: Any, operations: Any) -> Any:
    """JSON patch (RFC 6902): add, replace, remove, test."""
    if not isinstance(operations, list) or len(operations) > MOST_OPERATIONS:
        raise PatchError("a JSON patch is a list of operations")
    document = copy.deepcopy(target)
    for operation in operations:
        if not isinstance(operation, dict):
            raise PatchError("an operation is an object")
        parts = _parts(operation.get("path"))
        if not parts:
            raise PatchError("the whole document cannot be replaced")
        match operation.get("op"):
            case "add":
                _put(document, parts, operation.get("value"), insert=True)
            case "replace":
                _put(document, parts, operation.get("value"), insert=False)
            case "remove":
                _remove(document, parts)
            case "test":
                if _read(document, parts) != operation.get("value"):
                    raise PatchError(f"testing path /{'/'.join(parts)} value failed")
            case other:
                raise PatchError(f"operation {other!r} is none of add, replace, remove, test")
    return document


APPLY: Mapping[str, Callable[[Any, Any], Any]] = {
    JSON_PATCH: json_patched,
    MERGE_PATCH: merged,
    STRATEGIC_PATCH: strategic,
}
