"""Where a webhook may go: never to loopback, private or link-local addresses unless the settings allow it."""

import ipaddress
from urllib.parse import urlsplit

from fleet.errors import HallkeeperError


class ForbiddenReceiver(HallkeeperError):
    """A webhook's address is one that outbound requests must not reach."""


def check_scheme(url: str, *, allow_private: bool) -> None:
    """HTTPS, unless the receiver is allowed to be private. Raises `ForbiddenReceiver`."""
    scheme = urlsplit(url).scheme
    if scheme != "https" and not (allow_private and scheme == "http"):
        raise ForbiddenReceiver(
            f"{_host(url)}: webhooks go out over https only; try: an https:// URL, or allow_private: true for a receiver on your own network"
        )


def check_address(url: str, address: str, *, allow_private: bool) -> None:
    """Refuse what a forged URL or a name server could point at. Raises `ForbiddenReceiver`."""
    if allow_private:
        return
    ip = ipaddress.ip_address(address)
    if not ip.is_global or ip.is_multicast:
        raise ForbiddenReceiver(
            f"{_host(url)} resolves to {ip}, which is not a public address; try: allow_private: true if this receiver is yours"
        )


def _host(url: str) -> str:
    """The URL without its path and query, which may hold tokens."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"
