"""Signs webhooks as Standard Webhooks says: HMAC-SHA256 over `id.timestamp.body` (standardwebhooks.com, specification 1.0)."""

import base64
import binascii
import hashlib
import hmac

from fleet.errors import HallkeeperError


class BadSecret(HallkeeperError):
    """A webhook secret is not of the form the standard asks for."""


def signing_key(secret: str) -> bytes:
    """The key bytes behind `whsec_<base64>`; 24 to 64 bytes by the standard. Raises `BadSecret`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise BadSecret(
            "a webhook secret must be whsec_<base64>; try: echo whsec_$(head -c 32 /dev/urandom | base64)"
        ) from error
    if not 24 <= len(key) <= 64:
        raise BadSecret(
            f"a webhook secret must hold 24 to 64 bytes, this one holds {len(key)}; try: echo whsec_$(head -c 32 /dev/urandom | base64)"
        )
    return key


def signed_headers(*, notice_id: str, at_seconds: int, body: bytes, keys: tuple[bytes, ...]) -> dict[str, str]:
    """Headers of one delivery; two keys during a rotation give two signatures."""
    text = f"{notice_id}.{at_seconds}.".encode() + body
    signatures = [base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode() for key in keys]
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }
