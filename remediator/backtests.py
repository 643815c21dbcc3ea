"""Whether a playbook may act by itself: back-tested as exactly this rule and playbook, on a commissioned mapping.

`data/backtests.json` maps a playbook to the hash that was tested (`hallkeeper replay` writes it), `data/commissioned.json`
to the outlets whose wiring was proven. A simulated site is exempt.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from fleet.model import Site
from fleet.settings import Settings
from remediator.playbook import Playbook
from remediator.playbook_loader import playbook_hash
from remediator.rule_texts import rule_texts
from remediator.wiring import QUARANTINE, Quarantine

T = TypeVar("T")
BACKTESTS = "backtests.json"
COMMISSIONED = "commissioned.json"

log = structlog.get_logger("hallkeeper.remediator")


class Backtest(msgspec.Struct, frozen=True):
    """One recorded back-test."""

    hash: str
    by: str = ""
    at_ms: int = 0


class Commissioning(msgspec.Struct, frozen=True):
    """The recorded proof that outlets feed the nodes that the inventory says."""

    outlets: dict[str, str]
    """Outlet id to node."""


def may_enforce(site: Site, playbooks: Sequence[Playbook], settings: Settings) -> Mapping[str, bool]:
    """By playbook: whether mode enforce counts, or is taken as approve."""
    if site.simulated:
        return {book.playbook: True for book in playbooks}
    tested = _read(settings.data / BACKTESTS, dict[str, Backtest]) or {}
    commissioning = _read(settings.data / COMMISSIONED, Commissioning)
    wired = commissioning is not None and _wired(commissioning, site, _doubted(settings))
    rules = rule_texts(settings)
    return {book.playbook: wired and _tested(book, tested, rules) for book in playbooks}


def _tested(book: Playbook, tested: Mapping[str, Backtest], rules: Mapping[str, Mapping[str, object]]) -> bool:
    """Every rule of the playbook is known, and the test was of exactly them and it."""
    texts = {rule: rules[rule] for rule in book.rules if rule in rules}
    found = tested.get(book.playbook)
    return found is not None and len(texts) == len(book.rules) and found.hash == playbook_hash(book, dict(texts))


def _doubted(settings: Settings) -> frozenset[str] | None:
    """Outlets whose wiring was shown wrong since; None where that cannot be read."""
    try:
        return frozenset(Quarantine(settings.data).outlets())
    except (OSError, msgspec.MsgspecError) as error:
        log.error("not believed", file=QUARANTINE, why=str(error))
        return None


def _wired(commissioning: Commissioning, site: Site, doubted: frozenset[str] | None) -> bool:
    """Every outlet that feeds a node was proven to feed that node, and nothing has shown otherwise since."""
    mapping = {
        str(outlet.id): str(node.id)
        for node in site.assets.values()
        for outlet in (site.graph.outlets_of(node.id) if node.kind.value == "node" else ())
    }
    proven = all(commissioning.outlets.get(outlet) == node for outlet, node in mapping.items())
    return proven and doubted is not None and not doubted & set(mapping)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.error("not believed", file=str(path), why=str(error))
        return None
