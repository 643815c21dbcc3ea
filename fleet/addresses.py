"""Addresses as an operator writes them, checked and brought into one form; no name is looked up here."""

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from fleet.entry import text_check, wrong

DEFAULT_PORTS = {"snmp": 161, "ipmi": 623, "modbus": 502}
"""IANA's: SNMP 161/udp, IPMI over LAN 623/udp (asf-rmcp), Modbus TCP 502."""

_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\.?\Z"
)
_LOOKS_LIKE_IPV4 = re.compile(r"[0-9.]+\Z")


class BadAddress(ValueError):
    """Not an address; says what is wrong and what to try."""

    def __init__(self, message: str, suggestion: str) -> None:
        super().__init__(message)
        self.message, self.suggestion = message, suggestion


def host_port(text: str, default_port: int | None) -> str:
    """`host:port` from `host` or `host:port`, IPv6 in brackets. Raises `BadAddress`."""
    host, port = _split(text)
    if not is_host(host):
        raise BadAddress(f"{host[:60]!r} is not a host", "a name, an IPv4 address, or [an IPv6 address]")
    if port is None:
        if default_port is None:
            raise BadAddress("the port is missing", f"{text}:8080")
        return f"{host}:{default_port}"
    if not (port.isascii() and port.isdigit() and int(port[:6]) <= 65535):
        raise BadAddress(f"{port[:10]!r} is not a port", "a number from 1 to 65535")
    return f"{host}:{int(port)}"


def http_url(text: str, schemes: tuple[str, ...] = ("http", "https")) -> str:
    """The URL if it is one of these schemes, with a host, and without a user or password. Raises `BadAddress`."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadAddress("not a URL", f"{schemes[-1]}://host:port/") from None
    if parts.scheme not in schemes or any(character.isspace() for character in text):
        raise BadAddress(f"not a URL of {' or '.join(schemes)}", f"{schemes[-1]}://host:port/")
    if parts.username is not None or parts.password is not None:
        raise BadAddress("a literal credential in a URL", "a credentials group, and the URL without user and password")
    host = parts.hostname or ""
    if not is_host(f"[{host}]" if ":" in host else host):
        raise BadAddress(f"{host[:60]!r} is not a host", "a name, an IPv4 address, or [an IPv6 address]")
    if port == 0:
        raise BadAddress("0 is not a port", "a number from 1 to 65535")
    return text


def is_host(text: str) -> bool:
    """A DNS name, an IPv4 address, or an IPv6 address in brackets."""
    try:
        if text.startswith("[") and text.endswith("]"):
            ipaddress.IPv6Address(text[1:-1])
            return True
        if _LOOKS_LIKE_IPV4.match(text):
            ipaddress.IPv4Address(text)
            return True
    except ValueError:
        return False
    return _NAME.match(text) is not None


def _split(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if rest and not rest.startswith(":"):
            raise BadAddress("text behind the bracket", "[address]:port")
        return host + bracket, rest[1:] if rest else None
    host, colon, port = text.partition(":")
    return host, port if colon else None


def _listen(text: str) -> str:
    return _checked(host_port, text, None)


def _http(text: str) -> str:
    return _checked(http_url, text)


def _bus(text: str) -> str | None:
    if text == "embedded":
        return None
    scheme, found, brokers = text.partition("kafka://")
    if scheme or not found or not brokers:
        return "not a bus|embedded, or kafka://host:9092[,host:9092]"
    for broker in brokers.split(","):
        try:
            host_port(broker, 9092)
        except BadAddress as fault:
            return f"{fault.message}|{fault.suggestion}"
    return None


def _checked(check: object, text: str, *more: object) -> str:
    try:
        return check(text, *more)  # type: ignore[operator, no-any-return]
    except BadAddress as fault:
        raise wrong(fault.message, fault.suggestion) from None


HttpUrl = Annotated[str, Field(max_length=2000), AfterValidator(_http)]
"""http:// or https:// with a host."""
ListenAddress = Annotated[str, AfterValidator(_listen)]
"""host:port to listen on."""
BusUrl = Annotated[str, text_check(_bus)]
"""`embedded`, or kafka://host:port[,host:port]."""
