"""The record that a playbook's `mode: enforce` asks for: exactly these rules and this playbook were replayed, by their hash."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fleet.errors import HallkeeperError
from fleet.settings import Settings
from hallkeeper.replay.findings import Report
from remediator.backtests import BACKTESTS, Backtest
from remediator.playbook import Playbook
from remediator.playbook_loader import playbook_hash
from remediator.rule_texts import rule_texts


class BacktestError(HallkeeperError):
    """The record cannot be written or added to."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the remediator reads (`remediator.backtests.Backtest`), and beside it what people will ask."""

    hash: str
    by: str
    at_ms: int
    recording_sha256: str
    from_ms: int
    until_ms: int
    rules: tuple[str, ...]
    fired: int
    """How often the playbook's rules fired."""
    would_have: int
    """Remediations that would have begun."""
    refused: int
    """Remediations that a gate refused and that never began."""


def records(report: Report, playbooks: Sequence[Playbook], rules: Path, *, by: str, at_ms: int) -> Mapping[str, Record]:
    """By playbook, for each whose every rule was replayed; a rule that is not in the folder vouches for nothing."""
    texts = rule_texts(Settings.model_validate({"rules": [str(rules)]}))
    fired = {line.rule: line.fired for line in report.findings.rules}
    found = {}
    for book in playbooks:
        mine = {rule: texts[rule] for rule in book.rules if rule in texts}
        if len(mine) < len(book.rules) or not fired.keys() >= mine.keys():
            continue
        remedies = [remedy for remedy in report.findings.remedies if remedy.playbook == book.playbook]
        found[book.playbook] = Record(
            hash=playbook_hash(book, dict(mine)),
            by=by,
            at_ms=at_ms,
            recording_sha256=report.source.recording_sha256,
            from_ms=report.source.from_ms,
            until_ms=report.source.until_ms,
            rules=tuple(sorted(mine)),
            fired=sum(fired[rule] for rule in mine),
            would_have=sum(remedy.decided_ms is not None for remedy in remedies),
            refused=sum(remedy.decided_ms is None and bool(remedy.refused) for remedy in remedies),
        )
    return found


def write(data: Path, found: Mapping[str, Record]) -> Path:
    """Add them to the data folder's record; what other playbooks have there stays. Raises `BacktestError`."""
    path = data / BACKTESTS
    try:
        before: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        msgspec.convert(before, dict[str, Backtest])
        data.mkdir(parents=True, exist_ok=True)
        whole = {**before, **{name: msgspec.to_builtins(record) for name, record in found.items()}}
        draft = path.with_suffix(".draft")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(json.dumps(whole, indent=1, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except (OSError, ValueError) as error:
        raise BacktestError(f"{path}: {error}, try mending or removing it") from error
    return path
