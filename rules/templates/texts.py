"""Functions over texts: addresses, links, durations, escapes."""

import ipaddress
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus

from rules.files.durations import milliseconds
from rules.templates.gofmt import plain
from rules.templates.mistake import FunctionError

_HTML: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}


def _host_and_port(text: str) -> tuple[str, str] | None:
    """Both sides of `host:port` as Go splits them; None where it would not."""
    colon = text.rfind(":")
    if colon < 0:
        return None
    if text.startswith("["):
        end = text.find("]")
        if end < 0 or end + 1 != colon:
            return None
        host = text[1:end]
        rest = text[1:end] + text[colon + 1 :]
    else:
        host, rest = text[:colon], text
        if ":" in host:
            return None
    return None if "[" in rest or "]" in rest else (host, text[colon + 1 :])


def _strip_port(text: object) -> str:
    found = _host_and_port(str(text))
    return str(text) if found is None else found[0]


def _strip_domain(text: object) -> str:
    host, port = _host_and_port(str(text)) or (str(text), "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        short = host.split(".")[0]
        return f"{short}:{port}" if port else short
    return str(text)


def _link(expression: object, tab: int) -> str:
    return f"/graph?g0.expr={quote_plus(str(expression), safe='~')}&g0.tab={tab}"


def _seconds(text: object) -> float:
    written = str(text)
    try:
        size = milliseconds(written.removeprefix("-")) / 1000.0
    except ValueError as error:
        raise FunctionError(str(error)) from error
    return -size if written.startswith("-") else size


def _html(*values: object) -> str:
    text = " ".join(plain(value) for value in values)
    return "".join(_HTML.get(char, char) for char in text)


TEXTS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        "stripPort": _strip_port,
        "stripDomain": _strip_domain,
        "graphLink": lambda expression: _link(expression, 0),
        "tableLink": lambda expression: _link(expression, 1),
        "parseDuration": _seconds,
        "safeHtml": str,
        "html": _html,
        "urlquery": lambda *values: quote_plus("".join(plain(value) for value in values), safe="~"),
        "urlQueryEscape": lambda text: quote_plus(str(text), safe="~"),
    }
)
