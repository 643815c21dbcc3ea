"""The socket under an RMCP+ session: connected, non-blocking, no queue of its own."""

import asyncio
import socket
from collections.abc import Callable

from devices.wire.address import host_and_port
from devices.wire.rmcp_packet import LARGEST
from fleet.errors import Unreachable

IPMI_PORT = 623
RESOLVE_SECONDS = 5.0
"""For a host's name; numbers need no answer from anybody."""


async def connected_socket(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket that hears this one peer only. Raises `Unreachable`."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:  # TimeoutError is one
        raise Unreachable(f"{host}: no such host ({error or 'no answer'}), try its number in site.yaml") from error
    family, kind, protocol, _name, where = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(where)
    except OSError as error:
        sock.close()
        raise Unreachable(f"{host}:{port}: {error.strerror}, try the route to the management network") from error
    return sock


def clear_error(sock: socket.socket) -> int:
    """Take the error that an earlier datagram left behind (port unreachable): the next `send` would report it."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class Link:
    """One BMC's socket; `on_datagram` is called for each datagram, in the event loop, and must not raise."""

    __slots__ = ("_loop", "on_datagram", "sock", "where")

    def __init__(self, sock: socket.socket, where: str) -> None:
        self.sock = sock
        self.where = where
        self.on_datagram: Callable[[bytes], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    async def open(cls, address: str) -> "Link":
        """A link to `host:port`. Raises `Unreachable` or `Refused`."""
        host, port = host_and_port(address, IPMI_PORT)
        return cls(await connected_socket(host, port), f"{host}:{port}")

    def send(self, packet: bytes) -> None:
        """Send for a read: what is lost is asked again. Raises `Unreachable` when the machine has no way there."""
        try:
            try:
                self.sock.send(packet)
            except ConnectionRefusedError:  # told about an earlier packet, and this one not sent; the peer may be back
                self.sock.send(packet)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as the network might
        except OSError as error:
            raise Unreachable(f"{self.where}: {error.strerror}, try the route to the management network") from error

    def close(self) -> None:
        if self.sock.fileno() >= 0:
            self._loop.remove_reader(self.sock.fileno())
            self.sock.close()

    def _readable(self) -> None:
        """One datagram a wake-up: the loop calls again while there are more, after everybody else had a turn."""
        try:
            datagram = self.sock.recv(LARGEST + 1)
        except OSError:
            return  # nothing there after all, or port unreachable: silence says the same
        if self.on_datagram is not None:
            self.on_datagram(datagram)
