"""Asks a running console: one request, one answer, and in words why there is none."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fleet.errors import HallkeeperError, Refused, Unreachable
from fleet.settings import load_settings

TIMEOUT_SECONDS: Final = 40.0
"""Longer than the console gives a query."""


def console_url(url: str | None, settings: Path) -> str:
    """Where the console answers: as named, else as the installation's settings say. Raises `HallkeeperError`."""
    if url is not None:
        return url.rstrip("/")
    if not settings.exists():
        raise HallkeeperError(f"no console is named and {settings} is absent; try: --url http://127.0.0.1:8080")
    listen = load_settings(settings, check_secrets=False).listen
    host, _, port = listen.rpartition(":")
    if port == "0":
        raise HallkeeperError(
            f"{settings} lets the console take any free port; try: --url with the address that it logs"
        )
    return f"http://{'127.0.0.1' if host in {'', '0.0.0.0'} else host}:{port}"


def ask(url: str, path: str, parameters: Sequence[tuple[str, str]]) -> Any:
    """The data of an answer. Raises `Unreachable` without one, and `Refused` with the console's own words."""
    target = f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    if not target.startswith(("http://", "https://")):
        raise HallkeeperError(f"{url!r} is no address; try: --url http://127.0.0.1:8080")
    try:
        with urllib.request.urlopen(target, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - http alone, see above
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        raise Refused(_said(error)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise Unreachable(f"no console answers at {url} ({why}); try: --url, or hallkeeper run console") from None
    return body["data"]


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"{error.url}: HTTP {error.code}; try: another --url, this may be no console"
