"""Fixtures that every room's tests share: real peers, recordings, and loud skips."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "recordings"
IN_CI = os.environ.get("CI", "").lower() == "true"

PEERS = {
    "snmpd": ("snmpd", "/usr/sbin/snmpd"),
    "snmp-tools": ("snmpget",),
    "ipmi_sim": ("ipmi_sim",),
    "ipmitool": ("ipmitool",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "kafka": ("java",),
    "slurm": ("slurmrestd", "/usr/sbin/slurmrestd"),
}


def peer_path(name: str) -> str | None:
    """Where a real peer's program lies, or None where it is not installed."""
    for candidate in PEERS[name]:
        found = shutil.which(candidate)
        if found:
            break
    else:
        return None
    if name == "kafka" and not list((ROOT / ".peers" / "kafka").glob("kafka_2.13-*.jar")):
        return None
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test whose peer is absent is skipped by name; in CI it fails instead."""
    for item in items:
        for marker in item.iter_markers("peer"):
            missing = [name for name in marker.args if peer_path(name) is None]
            if missing and not IN_CI:
                item.add_marker(pytest.mark.skip(reason=f"real peer absent: {', '.join(missing)}; run: make peers"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """In CI an absent peer is a failure, never a skip."""
    for marker in item.iter_markers("peer"):
        missing = [name for name in marker.args if peer_path(name) is None]
        if missing and IN_CI:
            pytest.fail(f"real peer required in CI but absent: {', '.join(missing)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Skips are said loudly at the end: a skip hides nothing."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section("NOT SHOWN HERE: skipped", sep="!")
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skip is a failure, whoever skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded answers of real equipment, beside the project."""
    if not RECORDINGS.is_dir():
        if IN_CI:
            pytest.fail("recordings are required in CI: ../shared/recordings is absent")
        pytest.skip("recordings absent: ../shared/recordings")
    return RECORDINGS
