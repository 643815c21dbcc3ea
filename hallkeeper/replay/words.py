"""The report in words, for a terminal."""

from hallkeeper.replay.findings import Report, RuleDifference, RuleLine
from hallkeeper.replay.page import moment

LISTED = 20


def words(report: Report) -> str:
    """A page of text: what fired, what would have been done, what was refused, what differs."""
    source, found = report.source, report.findings
    totals = found.totals
    span = f"{moment(source.from_ms)} to {moment(source.until_ms)} UTC"
    done = f"{totals.would_have} remedies would have begun on {totals.nodes} nodes ({totals.megawatts:.3f} MW)"
    lines = [
        f"{source.site}, {span}, {source.points:,} points in {source.frames:,} frames",
        f"{totals.fired} alerts fired, {totals.incidents} incidents, {totals.pages} pages; {done}",
    ]
    loud = sorted((line for line in found.rules if line.fired), key=lambda line: (-line.fired, line.rule))
    lines += _part("fired", [f"{line.fired:>6}  {line.rule}  first {moment(line.first_ms)[11:]}" for line in loud])
    lines += _part(
        "would have been done",
        [
            f"{moment(one.decided_ms)[11:]}  {one.playbook} on {one.target}:"
            f" {', '.join(dict.fromkeys(step.verb for step in one.steps))}"
            for one in found.remedies
            if one.decided_ms is not None
        ],
    )
    lines += _part("refused", [f"{count:>6}  {gate}" for gate, count in totals.refused.items()])
    lines += _part("never fired", [_silent(line) for line in found.rules if not line.fired])
    if report.difference is not None:
        lines += _part(
            f"differs ({report.difference.same} rules alike)",
            [_changed(line) for line in report.difference.rules],
        )
    return "\n".join(lines)


def _changed(line: RuleDifference) -> str:
    said = f"{line.change:<12}  {line.rule}: fired {line.fired} times, in the other set {line.fired_against}"
    return f"{said}, earlier by {line.earlier_seconds:g} s" if line.moved else said


def _silent(line: RuleLine) -> str:
    why = line.failure or (f"not recorded: {', '.join(line.unseen)}" if line.unseen else "")
    return f"{line.rule}{f'  ({why})' if why else ''}"


def _part(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    more = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return ["", f"{title}:", *(f"  {line}" for line in lines[:LISTED]), *more]
