"""What rules say, by uid, as far as a back-test vouches for it: expr, for, keep_firing_for and the sidecar's entry."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.document import read_document
from fleet.errors import ConfigurationError
from fleet.settings import Settings
from rules import engine

SHIPPED_RULES = Path(engine.__file__).parent / "catalogue"
VOUCHED = ("expr", "for", "keep_firing_for")


def rule_texts(settings: Settings) -> Mapping[str, Mapping[str, object]]:
    """Every alerting rule of the folders; a file that cannot be read brings none, and so no permission."""
    found: dict[str, Mapping[str, object]] = {}
    for folder in settings.rules or (SHIPPED_RULES,):
        for path in sorted(Path(folder).rglob("*.yaml")):
            if not path.name.endswith(".hallkeeper.yaml"):
                found |= dict(_texts(path, Path(folder)))
    return found


def rule_files(settings: Settings, rules: frozenset[str]) -> tuple[Path, ...]:
    """The rule files that hold these uids."""
    names = {rule.rpartition("/")[0].rpartition("/")[0] for rule in rules}
    folders = [Path(folder) for folder in settings.rules or (SHIPPED_RULES,)]
    return tuple(folder / name for folder in folders for name in sorted(names) if (folder / name).is_file())


def _texts(path: Path, folder: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Uid and text of each alerting rule in a file."""
    document = _data(path)
    sidecar = _data(path.with_suffix(".hallkeeper.yaml")).get("groups", {})
    for group in document.get("groups", []):
        seen: dict[str, int] = {}
        for rule in group.get("rules", []):
            name = rule.get("alert")
            if name is None:
                continue
            seen[name] = seen.get(name, 0) + 1
            suffix = f"#{seen[name]}" if seen[name] > 1 else ""
            text = {key: str(rule[key]) for key in VOUCHED if key in rule}
            own = sidecar.get(group["name"], {}).get(name, {})
            yield f"{path.relative_to(folder)}/{group['name']}/{name}{suffix}", {**text, "sidecar": own}


def _data(path: Path) -> dict[str, Any]:
    try:
        data = read_document(path, ConfigurationError).data
    except ConfigurationError:
        return {}
    return data if isinstance(data, dict) else {}
