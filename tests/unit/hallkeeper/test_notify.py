"""systemd's notify protocol, as a daemon speaks it."""

import socket
from pathlib import Path

import pytest

from hallkeeper.notify import notify


def test_a_supervisor_that_has_stopped_to_read_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        for _ in range(2_000):  # the kernel holds a few datagrams; a blocking sender would wait behind them for ever
            notify("WATCHDOG=1")
        assert deaf.recv(64) == b"WATCHDOG=1"


def test_without_a_supervisor_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    notify("READY=1")
