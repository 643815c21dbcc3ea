"""From a recording and folders of rules and playbooks to a report: what `hallkeeper replay` does between reading and writing."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.model import Site
from hallkeeper import __version__
from hallkeeper.replay.compare import difference
from hallkeeper.replay.findings import Report, Source
from hallkeeper.replay.plan import DEFAULT_WARM_SECONDS, Plan, Replayed
from hallkeeper.replay.run import replay
from hallkeeper.replay.stages import Stages
from historian.recording.reader import Recording
from remediator.playbook import Playbook
from rules.files.load import load_rules, rule_files
from rules.files.sidecar import sidecar_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the report shall be about."""

    recording: Recording
    site: Site
    rules: Path
    against: Path | None = None
    playbooks: Sequence[Playbook] = ()
    playbook_folders: Sequence[Path] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    warm_seconds: float = DEFAULT_WARM_SECONDS
    plain: bool = False
    """Without short cuts: it finds the same, slowly."""


def report_of(wanted: Wanted, progress: Callable[[int], None] = lambda _: None, stages: Stages | None = None) -> Report:
    """Replay once, or twice to compare; `stages` hears what each stage costs.

    Raises `RuleFileError` and `RecordingError`, before anything is replayed where it can.
    """
    stages = stages or Stages()
    with stages("load"):
        here = _plan(wanted, wanted.rules)
        there = None if wanted.against is None else _plan(wanted, wanted.against)
    first = replay(here, progress, stages)
    second = None if there is None else replay(there, progress, stages)
    return Report(
        source=_source(wanted, first),
        findings=first.findings,
        against=None if second is None else second.findings,
        difference=None if second is None else difference(first.findings, second.findings),
    )


def digest_of(folders: Sequence[Path]) -> str:
    """Over the rule files and sidecars of the folders: their names below the folder, and what they say."""
    found = hashlib.sha256()
    for path, name in sorted(rule_files(folders), key=lambda item: item[1]):
        for each, known in ((path, name), (sidecar_path(path), f"{name} sidecar")):
            if each.exists():
                found.update(f"{known}\0{hashlib.sha256(each.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def playbooks_digest(folders: Sequence[Path]) -> str:
    """Over the playbook files."""
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            found.update(f"{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()


def _plan(wanted: Wanted, rules: Path) -> Plan:
    return Plan(
        recording=wanted.recording,
        site=wanted.site,
        rules=load_rules([rules]),
        rules_sha256=digest_of([rules]),
        playbooks=wanted.playbooks,
        since_ms=wanted.since_ms,
        until_ms=wanted.until_ms,
        warm_seconds=wanted.warm_seconds,
        plain=wanted.plain,
    )


def _source(wanted: Wanted, replayed: Replayed) -> Source:
    return Source(
        site=wanted.site.name,
        recording_sha256=wanted.recording.digest,
        from_ms=replayed.from_ms,
        until_ms=replayed.until_ms,
        judged_from_ms=replayed.judged_from_ms,
        frames=replayed.frames,
        points=replayed.points,
        hallkeeper=__version__,
        playbooks_sha256=playbooks_digest(wanted.playbook_folders),
    )
