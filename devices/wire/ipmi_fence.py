"""The fence behind an IPMI command: after it no copy of the command that the network still holds can run.

Three ways, the first that is confirmed wins:

1. *Close Session, acknowledged*: packets of a closed session are dead on every BMC known.
2. *Gone*: a second session asks for the first one to be closed and hears that it is, or (Get Session Info) that there
   is no such session, from a BMC that in the same words knows of the session it is asked in.
3. *Numbers*: reads move the session's sequence number on, in acknowledged steps of at most 15, until it is 17 or more
   beyond the command's; BMCs that keep the window of section 6.12.13 refuse what is older. Not every BMC keeps it:
   OpenBMC's phosphor-net-ipmid never looks at the number (its `message_parsers.cpp`), so this way is closed to the
   profiles in `NUMBER_BLIND`.
"""

from dataclasses import replace

from devices.wire import rmcp_commands as ipmi
from devices.wire.rmcp import Client, Patience, session_with
from devices.wire.rmcp_session import ADMINISTRATOR, Account, Session
from fleet.errors import HallkeeperError, Malformed, Unreachable

NUMBER_BLIND = frozenset({"openbmc"})
"""Profiles whose BMCs do not check session sequence numbers."""

ADVANCE = 17
"""Numbers beyond the command's from which a BMC with a window refuses it: it takes 16 behind the newest (measured)."""
FARTHEST_STEP = 15
"""A jump of more is silently dropped (measured)."""
GONE_TRIES = 2
"""Rounds of asking for the session's end from a second session, as administrator and as what the user is."""
STEP_TRIES = 6
"""Packets a step, each with a lower number of its own: 15, 14 … 10 ahead of the last acknowledged."""


async def fence(
    client: Client, account: Account, *, address: str, command_sequence: int, number_blind: bool
) -> str | None:
    """Make the command's copies dead; how that was confirmed, or None when it could not be. Ends the session."""
    session = client.session
    assert session is not None
    if await closed(client):
        return "Close Session acknowledged"
    if await gone(address, account, session.bmc, patience=client.patience):
        return "session confirmed gone"
    if number_blind:
        return None
    client.session = session  # the session may live: its Close Session was lost
    if await advanced(client, command_sequence):
        return "sequence advanced"
    return None


async def closed(client: Client) -> bool:
    """Whether the BMC acknowledged that it closed the session."""
    try:
        answer = await client.close_session()
    except (Unreachable, Malformed):
        return False
    return answer.code in {0, ipmi.NO_SUCH_SESSION}


async def gone(address: str, account: Account, session: int, *, patience: Patience) -> bool:
    """Whether a session of ours is no more, asked (and if need be ended) from a second one.

    Most BMCs let only administrators end another session, so that is tried first; the user may not be one.
    """
    for privilege in (ADMINISTRATOR, account.privilege) * GONE_TRIES:
        try:
            if await _ended_from_outside(address, replace(account, privilege=privilege), session, patience):
                return True
        except HallkeeperError:
            continue
    return False


async def forgotten(address: str, account: Account, session: int, *, patience: Patience) -> bool | None:
    """Whether a session of ours that nobody closed is gone: the BMC restarted. None where the BMC does not say.

    Raises `Unreachable` while the BMC does not answer.
    """
    async with session_with(address, account, patience=patience) as second:
        assert second.session is not None
        if await _lives(second, second.session.bmc) is not True:
            return None
        lives = await _lives(second, session)
        return None if lives is None else not lives


async def _ended_from_outside(address: str, account: Account, session: int, patience: Patience) -> bool:
    """Ask once. That there is no such session counts only from a BMC that knows of the session it is asked in."""
    async with session_with(address, account, patience=patience) as second:
        assert second.session is not None
        answer = await second.read(ipmi.CLOSE_SESSION, session.to_bytes(4, "little"))
        if answer.code == 0:
            return True
        return await _lives(second, second.session.bmc) is True and await _lives(second, session) is False


async def _lives(client: Client, session: int) -> bool | None:
    """Whether the BMC has such a session; None where it does not say."""
    answer = await client.read(ipmi.GET_SESSION_INFO, b"\xff" + session.to_bytes(4, "little"))
    return None if answer.code or len(answer.data) < 3 else answer.data[0] != 0


async def advanced(client: Client, command_sequence: int) -> bool:
    """Whether the BMC has acknowledged a number at least `ADVANCE` beyond the command's."""
    session = client.session
    assert session is not None
    acknowledged = client.acknowledged
    while acknowledged < command_sequence + ADVANCE:
        reached = await _step(client, session, acknowledged)
        if reached is None:
            return False
        acknowledged = reached
    return True


async def _step(client: Client, session: Session, acknowledged: int) -> int | None:
    """One acknowledged read with a number ahead of the last one; that number, or None after all tries."""
    for number in range(acknowledged + FARTHEST_STEP, acknowledged + FARTHEST_STEP - STEP_TRIES, -1):
        request = session.request(*ipmi.GET_DEVICE_ID, sequence=number)
        try:
            client.link.send(request.packet)
        except Unreachable:
            return None
        if await client.answer_to(request, client.patience.timeout_seconds) is not None:
            return number
    return None
