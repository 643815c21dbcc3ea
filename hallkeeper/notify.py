"""systemd's notify protocol (sd_notify(3)): one datagram to the socket named in the environment."""

import contextlib
import os
import socket


def notify(text: str) -> None:
    """Tell the supervisor, if there is one; one that does not listen, or has stopped to read, is no error and holds nobody up."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    path = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.setblocking(False)
        sender.sendto(text.encode(), path)
