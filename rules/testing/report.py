"""What came of unit tests, for people, for programs, and as JUnit's XML."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from rules.files.durations import duration_text
from rules.testing.compare import difference
from rules.testing.run import FileReport, Verdict

_INDENT: Final = "    "


def as_json(reports: Sequence[FileReport]) -> dict[str, object]:
    """`{"passed", "failed", "failures"}`; a file that cannot be used is one failure without an expression."""
    failures: list[dict[str, object]] = []
    for report in reports:
        failures += [_failure(verdict) for verdict in report.failures]
        failures += [_entry(str(report.file), "", 0.0, "rules that can be evaluated", why) for why in report.errors]
        if report.problems:
            got = "\n".join(str(problem) for problem in report.problems)
            failures.append(_entry(str(report.file), "", 0.0, "a file that can be used", got))
    return {
        "passed": sum(report.passed for report in reports),
        "failed": sum(report.failed for report in reports),
        "failures": failures,
    }


def _failure(verdict: Verdict) -> dict[str, object]:
    expected, got = ("\n".join(lines) for lines in (verdict.expected, verdict.got))
    at = verdict.case.eval_ms / 1000.0
    return _entry(str(verdict.file), verdict.subject, at, expected, f"error: {verdict.error}" if verdict.error else got)


def _entry(file: str, expr: str, at: float, expected: str, got: str) -> dict[str, object]:
    return {"file": file, "expr": expr, "eval_time_seconds": at, "expected": expected, "got": got}


def as_text(report: FileReport) -> Iterator[str]:
    """One line a file, and below it what failed: what differs, and how it came to that."""
    if report.problems:
        yield f"{report.file}: cannot be used"
        return
    word = "FAILED" if report.failed else "ok"
    yield f"{report.file}: {word}, {report.passed} passed, {report.failed} failed"
    yield from (f"  error: {why}" for why in report.errors)
    for verdict in report.failures:
        yield from _told(verdict)


def _told(verdict: Verdict) -> Iterator[str]:
    place = verdict.case.place
    at = duration_text(verdict.case.eval_ms)
    yield f"  {place.file}:{place.line}:{place.column}: {verdict.subject} at {at} ({verdict.setup})"
    if verdict.error:
        yield f"{_INDENT}error: {verdict.error}"
    else:
        lines = difference(verdict.expected or ("nothing",), verdict.got or ("nothing",))
        yield f"{_INDENT}expected (-), got (+):"
        yield from (f"{_INDENT}  {line.rstrip()}" for line in lines)
    if verdict.timeline:
        yield f"{_INDENT}timeline:"
        yield from (f"{_INDENT}  {line}" for line in verdict.timeline)


def as_junit(reports: Sequence[FileReport]) -> str:
    """A suite a file, a case a case."""
    root = ET.Element("testsuites")
    for report in reports:
        suite = ET.SubElement(root, "testsuite", name=str(report.file))
        suite.set("tests", str(report.passed + report.failed))
        suite.set("failures", str(len(report.failures)))
        suite.set("errors", str(report.failed - len(report.failures)))
        for verdict in report.verdicts:
            name = f"{verdict.subject} at {duration_text(verdict.case.eval_ms)}"
            case = ET.SubElement(suite, "testcase", name=_printable(name), classname=_printable(verdict.setup))
            if not verdict.passed:
                ET.SubElement(case, "failure", message=_printable(_summary(verdict))).text = _printable(
                    "\n".join(_told(verdict))
                )
        spoiled = "\n".join([*map(str, report.problems), *report.errors])
        if spoiled:
            case = ET.SubElement(suite, "testcase", name="file", classname=str(report.file))
            ET.SubElement(case, "error", message="the file cannot be used").text = _printable(spoiled)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _summary(verdict: Verdict) -> str:
    return verdict.error or f"expected {len(verdict.expected)} line(s), got {len(verdict.got)}"


def _printable(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return "".join(c if c in "\t\n" or c >= " " else "\N{REPLACEMENT CHARACTER}" for c in text)
