"""systemd hears each state as one datagram; without systemd nothing happens."""

import socket
from pathlib import Path

from agent.notify import notify


def test_a_state_is_one_datagram(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert listening.recv(100) == b"READY=1"


def test_without_systemd_or_with_a_dead_socket_nothing_happens(tmp_path: Path) -> None:
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")})
