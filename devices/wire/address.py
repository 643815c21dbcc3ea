"""`host:port` as inventories write it, IPv6 in brackets."""

from fleet.errors import Refused


def host_and_port(address: str, default: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`. Raises `Refused` when it is none of them."""
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        port = rest.removeprefix(":") if bracket else "?"
    elif address.count(":") > 1:
        host, port = address, ""
    else:
        host, _, port = address.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise Refused(f"{address!r} is no address, try host:port or [IPv6]:port")
    return host, int(port) if port else default
