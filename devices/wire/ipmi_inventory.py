"""A BMC's inventory (FRU, firmware, sensor names) through pyghmi, as a one-shot process with a hard deadline.

For discovery and once a day: pyghmi knows many vendors' formats, and some BMCs hang it, so it never lives in a daemon.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.wire.address import host_and_port
from devices.wire.rmcp_crypto import suite_of
from devices.wire.rmcp_link import IPMI_PORT
from devices.wire.rmcp_session import USER
from fleet.errors import Malformed, Refused, Unreachable
from fleet.model import Endpoint
from fleet.secrets import reveal

CHILD = Path(__file__).with_name("ipmi_inventory_child.py")
DEADLINE_SECONDS = 60.0
"""A full read takes some seconds, up to half a minute on slow BMCs. A default to tune."""
LARGEST_ANSWER = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a BMC says the machine is made of."""

    fru: Mapping[str, Mapping[str, Any]]
    """Field-replaceable units by name: manufacturer, model, serial number, as far as they say."""
    firmware: Mapping[str, Mapping[str, Any]]
    sensors: tuple[str, ...]
    missing: Mapping[str, str]
    """Parts that the BMC would not give, and what it said."""


async def inventory(
    endpoint: Endpoint,
    secret: Mapping[str, object],
    *,
    deadline_seconds: float = DEADLINE_SECONDS,
    privilege: int = USER,
) -> Inventory:
    """Ask once. Raises `Unreachable` (silence, or the deadline), `Refused`, `Malformed`."""
    host, port = host_and_port(endpoint.address, IPMI_PORT)
    try:
        suite = suite_of(int(reveal(secret["suite"]))).number
        question = {"user": reveal(secret["user"]), "password": reveal(secret["password"]), "suite": suite}
    except (KeyError, ValueError) as error:
        raise Refused(f"{endpoint.source}: the secret lacks {error}, try user, password, suite (17 or 3)") from None
    question |= {"host": host, "port": port, "privilege": privilege}
    raw = await _ask(json.dumps(question).encode(), endpoint.source, deadline_seconds)
    return _decode(raw, endpoint.source)


async def _ask(question: bytes, where: str, deadline_seconds: float) -> bytes:
    """The child's answer. It is killed when it is late, talks too much, or this task is cancelled."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        str(CHILD),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(deadline_seconds):
            return await _talk(child, question, where)
    except TimeoutError:
        raise Unreachable(
            f"{where}: no inventory within {deadline_seconds:g} s, the asking process was killed"
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def _talk(child: asyncio.subprocess.Process, question: bytes, where: str) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(question)
    child.stdin.write_eof()
    parts: list[bytes] = []
    while part := await child.stdout.read(1 << 16):
        parts.append(part)
        if sum(map(len, parts)) > LARGEST_ANSWER:
            raise Malformed(f"{where}: an inventory of more than {LARGEST_ANSWER} bytes")
    await child.wait()
    return b"".join(parts)


def _decode(raw: bytes, where: str) -> Inventory:
    try:
        answer = json.loads(raw)
        if "error" not in answer:
            return Inventory(
                fru=answer.get("fru", {}),
                firmware=answer.get("firmware", {}),
                sensors=tuple(answer.get("sensors", ())),
                missing=answer["missing"],
            )
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed(f"{where}: the inventory cannot be read ({error!r})") from error
    text = f"{where}: {answer['error']}"
    raise Refused(text) if answer.get("refused") or "assword" in text else Unreachable(text)
