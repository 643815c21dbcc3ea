"""systemd's notify protocol: one datagram a state, silently nothing where systemd does not listen."""

import contextlib
import os
import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Tell systemd `READY=1`, `WATCHDOG=1` or `STOPPING=1` (sd_notify(3)); never blocks, never raises."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)
        line.sendto(state.encode("ascii"), name)
