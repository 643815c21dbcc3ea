"""What is replayed and how, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleet.model import Site
from hallkeeper.replay.findings import Findings
from historian.recording.reader import Recording
from remediator.playbook import Playbook
from rules.files.model import RuleSet

DEFAULT_WARM_SECONDS: Final = 60.0
"""The window is filled before anything is judged, as the rule service does after a start: two periods of the inventory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is replayed and how."""

    recording: Recording
    site: Site
    rules: RuleSet
    rules_sha256: str
    playbooks: Sequence[Playbook]
    since_ms: int | None = None
    until_ms: int | None = None
    warm_seconds: float = DEFAULT_WARM_SECONDS
    plain: bool = False
    """Without short cuts: every frame alone, every group at every turn. It finds the same, slowly: tests compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of it."""

    findings: Findings
    from_ms: int
    until_ms: int
    judged_from_ms: int
    frames: int
    points: int
