"""Who is believed over HTTPS and how we name ourselves: the site's own authority, and a bearer token."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path

from fleet.errors import Refused
from fleet.secrets import reveal

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


def client_context(secret: Mapping[str, object], where: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, the peer's name checked, against the secret's `ca` and nothing else (the system's without one).

    Raises `Refused` when the file cannot be used.
    """
    ca = reveal(secret["ca"]) if "ca" in secret else None
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise Refused(
            f"{where}: {Path(ca or '').name or 'the system authorities'}: {error}, try `ca` with a PEM file"
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def bearer(secret: Mapping[str, object], where: str) -> str:
    """The `Authorization` header. Raises `Refused` without a token, or with one that could end the header."""
    token = reveal(secret.get("token", ""))
    if not _TOKEN.fullmatch(token):
        raise Refused(f"{where}: the secret has no usable token, try `token: …` on one line in its file")
    return f"Bearer {token}"
