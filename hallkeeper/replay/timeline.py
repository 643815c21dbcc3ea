"""The picture of a replay: a row a rule that fired, a bar an episode, along the recording's time. SVG, drawn by hand."""

from collections import defaultdict
from datetime import UTC, datetime
from html import escape
from typing import Final

from hallkeeper.replay.findings import Episode, Findings, Source

ROWS: Final = 60
BARS: Final = 400
"""Bars of one row; more lie on each other anyway."""
WIDTH: Final = 1_180
LEFT: Final = 300
ROW: Final = 22
TICKS: Final = 6
_SEVERITIES: Final = frozenset({"critical", "warning", "info"})


def timeline(findings: Findings, source: Source) -> str:
    """The picture, with a line in words where it is not whole."""
    rows: dict[str, list[Episode]] = defaultdict(list)
    for episode in findings.episodes:
        if episode.firing_ms is not None:
            rows[episode.rule].append(episode)
    if not rows:
        return '<p class="dim">Nothing fired.</p>'
    ordered = sorted(rows.items(), key=lambda item: (item[1][0].pending_ms, item[0]))
    height = ROW * (min(len(ordered), ROWS) + 1) + 8
    lines = [_axis(source, height)]
    lines += [_row(number, uid, found, source) for number, (uid, found) in enumerate(ordered[:ROWS])]
    left_out = f'<p class="dim">and {len(ordered) - ROWS} more rules</p>' if len(ordered) > ROWS else ""
    label = f"{len(ordered)} rules that fired, along the time of the recording"
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(lines)}</svg>{left_out}'


def _x(at_ms: int, source: Source) -> float:
    span = max(source.until_ms - source.from_ms, 1)
    share = min(max((at_ms - source.from_ms) / span, 0.0), 1.0)
    return round(LEFT + share * (WIDTH - LEFT - 10), 1)


def _axis(source: Source, height: int) -> str:
    span = source.until_ms - source.from_ms
    drawn = []
    for number in range(TICKS + 1):
        at_ms = source.from_ms + span * number // TICKS
        x = _x(at_ms, source)
        anchor = "start" if number == 0 else "end" if number == TICKS else "middle"
        drawn.append(f'<line class="axis" x1="{x}" x2="{x}" y1="{ROW}" y2="{height}"/>')
        clock = f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S}"
        drawn.append(f'<text class="tick" x="{x}" y="14" text-anchor="{anchor}">{clock}</text>')
    return "".join(drawn)


def _row(number: int, uid: str, episodes: list[Episode], source: Source) -> str:
    y = ROW * (number + 1)
    name = escape(uid.rpartition("/")[2])
    bars = "".join(_bar(episode, y, source) for episode in episodes[:BARS])
    return f'<text x="0" y="{y + 15}">{name} ({len(episodes)})<title>{escape(uid)}</title></text>{bars}'


def _bar(episode: Episode, y: int, source: Source) -> str:
    """Pale while it was pending, full while it fired."""
    assert episode.firing_ms is not None
    end = source.until_ms if episode.ended_ms is None else episode.ended_ms
    begun, fired, ended = (_x(at, source) for at in (episode.pending_ms, episode.firing_ms, end))
    kind = episode.severity if episode.severity in _SEVERITIES else "info"
    title = escape(", ".join(f"{label}={value}" for label, value in episode.labels.items() if label != "alertname"))
    pale = (
        f'<rect class="{kind} pending" x="{begun}" y="{y + 5}" width="{max(round(fired - begun, 1), 0)}" height="12"/>'
    )
    full = f'<rect class="{kind}" x="{fired}" y="{y + 5}" width="{max(round(ended - fired, 1), 1.5)}" height="12">'
    return f"{pale}{full}<title>{title}</title></rect>"
