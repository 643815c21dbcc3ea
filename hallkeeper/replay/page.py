"""The report as one page: nothing is fetched, no script runs, light and dark; equal reports are equal bytes."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from hallkeeper.replay.findings import Difference, Findings, Remedy, Report, RuleDifference, RuleLine, Source
from hallkeeper.replay.timeline import timeline

LISTED: Final = 500
"""Rows of a table; the JSON report has them all."""
TIMES: Final = (
    'Pale: the condition held, not yet for long enough. Full: the alert fired. <b class="k critical">critical</b>'
    ' <b class="k warning">warning</b> <b class="k info">info</b>. A bar that reaches the right edge had not ended.'
)
ACTS: Final = (
    "What each playbook would have sent. Nothing was, so what a real act would have changed (a node going dark, a job"
    " moving) is not in the recording: a later act may stand as refused because an earlier one never happened."
    " kW: what the touched nodes drew at that moment by their outlets' meters."
)
GATES: Final = "A gate is a check that every act must pass; each remedy counts once for a gate that ever said no to it."
ROOTS: Final = "Alerts that share a cause are one incident. Page: a person would have been called."
SILENCE: Final = "Silence means health only where the rule could see what it reads."
COMPARED: Final = (
    "Here: the rules of this report. There: those they are compared with. Moved: fired in both, at another time."
    " Rules that fired in neither stand last."
)
STYLE: Final = """
:root{color-scheme:light dark;--bg:#fff;--ink:#1b1f24;--dim:#5d6670;--line:#d8dde3;--soft:#f4f6f8;--fire:#c0392b;--warn:#b9770e;
--info:#2471a3;--good:#1e8449}
@media(prefers-color-scheme:dark){:root{--bg:#14171b;--ink:#e6e9ec;--dim:#9aa4ae;--line:#313840;--soft:#1c2127;--fire:#ff7b6b;
--warn:#f0b44c;--info:#6cb6ea;--good:#58d68d}}
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;padding:1.5rem 1rem 4rem;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
p{margin:.4rem 0}.dim{color:var(--dim)}code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:1rem 0}
.tiles div{background:var(--soft);border:1px solid var(--line);border-radius:.4rem;padding:.6rem .8rem}
.tiles b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
th{color:var(--dim);font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}
.no{color:var(--fire)}.yes{color:var(--good)}svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg .axis{stroke:var(--line)}svg .tick{fill:var(--dim)}
.critical{fill:var(--fire)}.warning{fill:var(--warn)}.info{fill:var(--info)}.pending{opacity:.35}
h3{font-size:.95rem;margin:1rem 0 .3rem}summary{cursor:pointer;margin:1rem 0 .3rem}.k{border-left:.8rem solid;padding-left:.3rem;
font-weight:400}.k.critical{border-color:var(--fire)}.k.warning{border-color:var(--warn)}.k.info{border-color:var(--info)}
@media print{body{max-width:none}}
"""


def page(report: Report) -> str:
    """The whole page."""
    body = [
        _head(report.source),
        _tiles(report.findings),
        _difference(report.difference),
        _section("When what fired", timeline(report.findings, report.source), TIMES),
        _section("What would have been done", _remedies(report.findings.remedies), ACTS),
        _section("What was refused, and by which gate", _refused(report.findings), GATES),
        _section("Incidents", _incidents(report.findings), ROOTS),
        _section("Rules that fired", _fired(report.findings.rules)),
        _section("Rules that never fired", _silent(report.findings.rules), SILENCE),
        _foot(report),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Replay of {escape(report.source.site)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body>\n</html>\n"
    )


def moment(at_ms: int | None) -> str:
    """A time for people, in UTC."""
    if at_ms is None:
        return "–"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _clock(at_ms: int | None) -> str:
    """A time within the recording: the clock, and the whole date as a hint."""
    if at_ms is None:
        return "–"
    return f'<time title="{moment(at_ms)} UTC">{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S}</time>'


def _section(title: str, content: str, note: str = "") -> str:
    """`note` is HTML."""
    said = f'<p class="dim">{note}</p>\n' if note else ""
    return f"<section>\n<h2>{escape(title)}</h2>\n{said}{content}\n</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    """Cells are HTML already; a head that begins with # is a column of numbers."""
    lines = list(rows)
    if not lines:
        return f'<p class="dim">{escape(empty)}</p>'
    kinds = [' class="n"' if head.startswith("#") else "" for head in heads]
    top = "".join(f"<th{kind}>{escape(head.lstrip('#'))}</th>" for head, kind in zip(heads, kinds, strict=True))
    shown = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(line, kinds, strict=True)) + "</tr>"
        for line in lines[:LISTED]
    )
    more = f'<p class="dim">and {len(lines) - LISTED} more in the JSON report</p>' if len(lines) > LISTED else ""
    return f'<div class="wide"><table>\n<tr>{top}</tr>\n{shown}\n</table></div>{more}'


def _head(source: Source) -> str:
    minutes = (source.until_ms - source.from_ms) / 60_000
    return (
        f"<h1>Replay of {escape(source.site)}</h1>\n"
        f'<p class="dim">{moment(source.from_ms)} to {moment(source.until_ms)} UTC: {minutes:.1f} minutes,'
        f" {source.points:,} points in {source.frames:,} frames; judged from {moment(source.judged_from_ms)[11:]}."
        " Nothing was sent to any device: every act below is a would-have.</p>"
    )


def _tiles(findings: Findings) -> str:
    totals = findings.totals
    shown = (
        (f"{totals.fired:,}", "alerts fired"),
        (f"{totals.incidents:,}", "incidents"),
        (f"{totals.pages:,}", "pages to people"),
        (f"{totals.would_have:,}", "remedies would have begun"),
        (f"{sum(totals.refused.values()):,}", "refusals by gates"),
        (f"{totals.nodes:,}", "nodes touched"),
        (f"{totals.megawatts:.3f}", "MW drawn by those nodes"),
        (f"{len(findings.silent):,}", "rules never fired"),
    )
    return '<div class="tiles">' + "".join(f"<div><b>{value}</b>{name}</div>" for value, name in shown) + "</div>"


def _remedies(remedies: Sequence[Remedy]) -> str:
    return _table(
        ("Begun", "Playbook", "Target", "Outcome", "Acts, in order", "#Nodes", "#kW then"),
        (
            (
                _clock(remedy.begun_ms),
                f"{escape(remedy.playbook)}<br><span class=dim>{escape(remedy.lane)}</span>",
                escape(remedy.target),
                _outcome(remedy),
                _steps(remedy),
                str(len(remedy.nodes)),
                f"{remedy.watts / 1000:.1f}",
            )
            for remedy in remedies
        ),
        "No playbook answered anything.",
    )


def _outcome(remedy: Remedy) -> str:
    if remedy.decided_ms is not None:
        return f'<span class="yes">would have begun</span> {_clock(remedy.decided_ms)}'
    last = f": {escape(remedy.refused[-1].text)}" if remedy.refused else ""
    return f'<span class="no">{escape(remedy.phase)}</span>{last}'


def _steps(remedy: Remedy) -> str:
    """Acts of one step on many targets are one line."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for step in remedy.steps:
        lines.setdefault((step.step, step.verb, step.refused), []).append(step.target)
    shown = []
    for (name, verb, refused), targets in lines.items():
        aimed = sorted({target for target in targets if target})
        on = f" on {len(aimed)} nodes" if len(aimed) > 3 else f" on {', '.join(aimed)}" if aimed else ""
        no = f' <span class="no">refused as things stood: {escape(refused)}</span>' if refused else ""
        called = "" if name.replace("-", "_") == verb else f' <span class="dim">{escape(name)}</span>'
        shown.append(f"<code>{escape(verb)}</code>{escape(on)}{called}{no}")
    return "<br>".join(shown)


def _refused(findings: Findings) -> str:
    texts = {
        gate: next(line.text for remedy in findings.remedies for line in remedy.refused if line.gate == gate)
        for gate in findings.totals.refused
    }
    return _table(
        ("Gate", "#Remedies", "For example"),
        ((f"<code>{escape(gate)}</code>", str(count), escape(texts[gate])) for gate, count in findings.totals.refused.items()),
        "No gate refused anything.",
    )  # fmt: skip


def _incidents(findings: Findings) -> str:
    return _table(
        ("Opened", "Ended", "What", "Root", "State", "#Alerts", "#Assets", "Page"),
        (
            (
                _clock(one.opened_ms),
                _clock(one.ended_ms),
                escape(one.title),
                escape(one.root),
                escape(one.state),
                str(one.alerts),
                str(one.assets),
                "yes" if one.paged else "",
            )
            for one in findings.incidents
        ),
        "There was no incident.",
    )


def _fired(rules: Sequence[RuleLine]) -> str:
    loud = sorted((line for line in rules if line.fired), key=lambda line: (-line.fired, line.rule))
    return _table(
        ("Rule", "#Fired", "#Held too briefly", "First", "#Firing, s"),
        (
            (f"<code>{escape(line.rule)}</code>", f"{line.fired:,}", f"{line.pending:,}", _clock(line.first_ms), f"{line.firing_seconds:,.0f}")
            for line in loud
        ),
        "No rule fired.",
    )  # fmt: skip


def _silent(rules: Sequence[RuleLine]) -> str:
    """Those whose silence says something, then those that had nothing to look at."""
    silent = [line for line in rules if not line.fired]
    seeing = [line for line in silent if not (line.unseen or line.failure)]
    table = _table(
        ("Rule", "#Held too briefly"),
        ((f"<code>{escape(line.rule)}</code>", f"{line.pending:,}") for line in seeing),
        "There is none whose metrics were all recorded.",
    )
    blind = _table(
        ("Rule", "#Held too briefly", "Why its silence may say nothing"),
        (
            (f"<code>{escape(line.rule)}</code>", f"{line.pending:,}", _excuse(line))
            for line in silent
            if line.unseen or line.failure
        ),
        "There is none.",
    )
    return (
        f"<h3>{len(seeing)} rules saw all their metrics and found nothing</h3>{table}"
        f"<details><summary>{len(silent) - len(seeing)} rules could not see everything that they read</summary>{blind}</details>"
    )


def _excuse(line: RuleLine) -> str:
    if line.failure:
        return f'<span class="no">it could not be evaluated: {escape(line.failure)}</span>'
    unseen = ", ".join(f"<code>{escape(name)}</code>" for name in line.unseen)
    return f"not recorded: {unseen}" if unseen else ""


def _difference(found: Difference | None) -> str:
    if found is None:
        return ""
    table = _table(
        ("Rule", "Change", "#Fired here", "#Fired there", "#Only here", "#Only there", "#Moved", "#Earlier here by, s"),
        (
            (
                f"<code>{escape(line.rule)}</code>",
                escape(line.change.replace("_", " ")),
                f"{line.fired:,}",
                f"{line.fired_against:,}",
                f"{line.only_here:,}",
                f"{line.only_against:,}",
                f"{line.moved:,}",
                f"{line.earlier_seconds:g}",
            )
            for line in sorted(found.rules, key=_says_nothing)
        ),
        "Both rule sets found the same.",
    )
    more = [
        f"<p>Only {which} would have treated: {escape(', '.join(names))}.</p>"
        for which, names in (("these rules", found.remedies_only_here), ("those they are compared with", found.remedies_only_against))
        if names
    ]  # fmt: skip
    return _section(f"Compared with the other rule set ({found.same} rules alike)", table + "".join(more), COMPARED)


def _says_nothing(line: RuleDifference) -> bool:
    """A rule that only one of both sets has, and that found nothing: those come last."""
    return not (line.fired or line.fired_against)


def _foot(report: Report) -> str:
    source = report.source
    lines = [
        ("Recording", source.recording_sha256),
        ("Rules", report.findings.rules_sha256),
        *([("Against", report.against.rules_sha256)] if report.against is not None else []),
        ("Playbooks", source.playbooks_sha256),
    ]
    shown = "".join(f"<br>{name} <code>{digest}</code>" for name, digest in lines)
    return f'<p class="dim">Hallkeeper {escape(source.hallkeeper)}{shown}</p>'
