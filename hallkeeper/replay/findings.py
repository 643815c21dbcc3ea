"""What a replay found, as data; its JSON is the report for machines. No clock, path or machine is named in it."""

import msgspec

FORMAT = "hallkeeper.replay/1"


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """One alert from its first true evaluation to its end."""

    rule: str
    alertname: str
    severity: str
    labels: dict[str, str]
    pending_ms: int
    """Since when its expression held (Unix ms)."""
    firing_ms: int | None = None
    """When it fired; None where it never got so far."""
    ended_ms: int | None = None
    """When it ended; None where the recording ends first."""
    end: str = ""
    """resolved, unknown, or nothing."""
    value: float | str | None = None
    """What the expression gave when it fired (when it began, where it did not fire)."""

    @property
    def key(self) -> str:
        """Which series of which rule it is."""
        labels = ",".join(f"{name}={text}" for name, text in sorted(self.labels.items()))
        return f"{self.rule}{{{labels}}}"


class RuleLine(msgspec.Struct, frozen=True, kw_only=True):
    """One alerting rule in the replay."""

    rule: str
    fired: int
    """Episodes that fired."""
    pending: int
    """Episodes that ended, or were left, before they fired."""
    first_ms: int | None = None
    """When it first fired."""
    firing_seconds: float = 0.0
    """Over all episodes."""
    unseen: tuple[str, ...] = ()
    """Metrics that it reads and that are not in the recording: its silence then says nothing."""
    failure: str = ""
    """Why its last evaluation failed."""


class WouldStep(msgspec.Struct, frozen=True, kw_only=True):
    """One act that would have been sent."""

    step: str
    verb: str
    target: str = ""
    refused: str = ""
    """The reason that a gate would have given at that moment; empty where all agreed."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """One no of one gate."""

    at_ms: int
    gate: str
    code: str
    text: str


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """One remediation as it would have gone."""

    remediation: str
    incident: str
    playbook: str
    lane: str
    target: str
    begun_ms: int
    decided_ms: int | None = None
    """When every gate agreed; None where that never happened."""
    phase: str
    steps: tuple[WouldStep, ...] = ()
    refused: tuple[Refused, ...] = ()
    nodes: tuple[str, ...] = ()
    """Nodes that its acts would have touched."""
    watts: float = 0.0
    """What those nodes drew at that moment by their outlets' meters."""


class IncidentLine(msgspec.Struct, frozen=True, kw_only=True):
    """One incident."""

    incident: str
    title: str
    severity: str
    root: str
    opened_ms: int
    ended_ms: int | None = None
    state: str
    alerts: int
    assets: int
    paged: bool
    """Whether a person would have been told."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums."""

    fired: int
    incidents: int
    pages: int
    remedies: int
    would_have: int
    refused: dict[str, int]
    """Remediations that a gate refused at least once, by gate."""
    nodes: int
    """Different nodes that acts would have touched."""
    megawatts: float
    """What those nodes drew when they would first have been touched."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """One rule set over one recording."""

    rules: tuple[RuleLine, ...]
    silent: tuple[str, ...]
    """Rules that never fired."""
    episodes: tuple[Episode, ...]
    left_out: int
    """Episodes beyond those listed; they are counted in `rules`."""
    incidents: tuple[IncidentLine, ...]
    remedies: tuple[Remedy, ...]
    totals: Totals
    rules_sha256: str
    """Over the rule files and sidecars, by their names below the folder."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What was replayed."""

    site: str
    recording_sha256: str
    from_ms: int
    until_ms: int
    judged_from_ms: int
    """Before it the window was filled and nothing judged."""
    frames: int
    points: int
    hallkeeper: str
    playbooks_sha256: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    format: str = FORMAT
    source: Source
    findings: Findings
    against: Findings | None = None
    difference: "Difference | None" = None


class RuleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that did otherwise under the other rule set."""

    rule: str
    change: str
    """added, removed, louder, quieter, moved or other_series."""
    fired: int
    fired_against: int
    only_here: int
    """Episodes that only `--rules` has."""
    only_against: int
    moved: int
    """Episodes that both have, and that fired at another time."""
    earlier_seconds: float
    """How much earlier `--rules` fired, in the median of the moved ones (negative: later)."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """`--rules` compared with `--against`."""

    rules: tuple[RuleDifference, ...]
    same: int
    """Rules that fired alike."""
    remedies_only_here: tuple[str, ...]
    """Playbook and target that would have been treated by `--rules` alone."""
    remedies_only_against: tuple[str, ...]


def encode(report: Report) -> bytes:
    """Its JSON, indented, with a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"
