"""`X.hallkeeper.yaml` beside `X.yaml`: what Prometheus's format has no place for (`Sidecar` says what)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fleet.document import read_document
from fleet.errors import Problem
from fleet.nearest import nearest
from fleet.nodes import Node, Scalar
from rules.files.fields import Fields, Mistakes, RuleFileError
from rules.files.model import FlapDamping, Sidecar
from rules.promql.errors import ExpressionError
from rules.promql.parse import parse
from rules.promql.plan import Planner

_FIELDS: Final = ("clear", "clear_for", "hold_over_gap", "flapping", "catalogue")
_FLAPPING: Final = ("times", "within", "calm")
_MOST_FIRINGS: Final = 1_000
"""More within any time is no damping but a typing error."""
_ENTRY: Final = re.compile(r"[A-E][0-9]{2}\Z")
"""An entry of the detection catalogue: A03, B21."""
_NOTHING: Final = Sidecar()


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarFile:
    """What one sidecar adds."""

    mistakes: Mistakes
    protective: frozenset[str] = frozenset()
    paced: frozenset[str] = frozenset()
    alerts: Mapping[tuple[str, str], Sidecar] = field(default_factory=dict)
    """By group and alert."""
    places: Mapping[tuple[str, str], Node] = field(default_factory=dict)

    def of(self, group: str, alert: str) -> Sidecar:
        """What it adds to an alert."""
        return self.alerts.get((group, alert), _NOTHING)

    def unused(self, groups: Mapping[str, set[str]]) -> list[Problem]:
        """Mistakes of the sidecar: its own, and names that its rule file does not have."""
        for (group, alert), node in self.places.items():
            known = groups.get(group)
            if known is None:
                self._unknown(node, f"groups.{group}", "group", group, groups)
            elif alert and alert not in known:
                self._unknown(node, f"groups.{group}.{alert}", "alert", alert, known)
        return self.mistakes.problems

    def _unknown(self, node: Node, path: str, kind: str, name: str, known: "Mapping[str, object] | set[str]") -> None:
        near = nearest(name, list(known))
        suggestion = repr(near) if near else f"one of {', '.join(sorted(known))}"
        self.mistakes.add(node, path, f"the rule file has no {kind} {name!r}", suggestion)


NO_SIDECAR: Final = SidecarFile(mistakes=Mistakes(""), alerts=MappingProxyType({}), places=MappingProxyType({}))


def sidecar_path(path: Path) -> Path:
    """Where a rule file's sidecar lies."""
    return path.with_name(f"{path.stem}.hallkeeper{path.suffix}")


def read_sidecar(path: Path) -> SidecarFile:
    """Read a sidecar; its mistakes wait for `unused`. Raises `RuleFileError` where it is no YAML."""
    document = read_document(path, RuleFileError)
    mistakes = Mistakes(str(path), list(document.problems))
    top = Fields(document.root, "", mistakes, ("groups", "protective", "paced"))
    alerts: dict[tuple[str, str], Sidecar] = {}
    places: dict[tuple[str, str], Node] = {}
    protective, paced = (_groups(top, name, mistakes, places) for name in ("protective", "paced"))
    for group, groups_node in top.mapping("groups"):
        inner = Fields(groups_node, f"groups.{group}", mistakes, _Anything())
        for alert, node in inner.entries():
            places[group, alert] = node
            alerts[group, alert] = _sidecar(Fields(node, f"groups.{group}.{alert}", mistakes, _FIELDS), mistakes)
    return SidecarFile(mistakes=mistakes, protective=protective, paced=paced, alerts=alerts, places=places)


def _groups(top: Fields, name: str, mistakes: Mistakes, places: dict[tuple[str, str], Node]) -> frozenset[str]:
    """A list of groups, noted with where each is named."""
    found = []
    for number, node in enumerate(top.items(name)):
        if isinstance(node, Scalar):
            found.append(node.text)
            places[node.text, ""] = node
        else:
            mistakes.add(node, f"{name}[{number}]", "must be a group's name", "text")
    return frozenset(found)


def _sidecar(fields: Fields, mistakes: Mistakes) -> Sidecar:
    clear = fields.text("clear") or None
    tree = None
    if clear is not None:
        try:
            Planner().compile(clear)
            tree = parse(clear)
        except ExpressionError as error:
            node = fields.node_of("clear") or fields.node
            where = f" at {error.where} of the expression" if error.where else ""
            mistakes.add(node, fields.at("clear"), f"{error.message}{where}")
    hold = fields.duration_ms("hold_over_gap")
    return Sidecar(
        clear=clear,
        clear_tree=tree,
        clear_for_ms=fields.duration_ms("clear_for"),
        hold_over_gap_ms=hold,
        flapping=_flapping(fields, mistakes),
        catalogue=_entries(fields, mistakes),
    )


def _flapping(fields: Fields, mistakes: Mistakes) -> FlapDamping | None:
    """`flapping: {times: 3, within: 10m, calm: 10m}`; all three are needed."""
    node = fields.node_of("flapping")
    if node is None:
        return None
    inner = Fields(node, fields.at("flapping"), mistakes, _FLAPPING)
    times, within, calm = inner.whole("times"), inner.duration_ms("within"), inner.duration_ms("calm")
    if not 2 <= times <= _MOST_FIRINGS or not within or not calm:
        message = "needs `times` (2 or more), `within` and `calm`"
        mistakes.add(node, fields.at("flapping"), message, "{times: 3, within: 10m, calm: 10m}")
        return None
    return FlapDamping(times=times, within_ms=within, calm_ms=calm)


def _entries(fields: Fields, mistakes: Mistakes) -> tuple[str, ...]:
    """The entries of the detection catalogue, each once."""
    found: list[str] = []
    for number, node in enumerate(fields.items("catalogue")):
        path = f"{fields.at('catalogue')}[{number}]"
        if not isinstance(node, Scalar):
            mistakes.add(node, path, "must be an entry of the catalogue", "such as A07")
        elif not _ENTRY.match(node.text):
            mistakes.add(node, path, f"{node.text!r} is no entry of the catalogue", "a letter A to E and two digits")
        elif node.text in found:
            mistakes.add(node, path, f"{node.text!r} is there twice", "keeping one of them")
        else:
            found.append(node.text)
    return tuple(found)


class _Anything(frozenset[str]):
    """Allows every name: they are looked up in the rule file later."""

    def __contains__(self, _: object) -> bool:
        return True
