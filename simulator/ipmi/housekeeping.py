"""What a session may ask about sessions: Close Session (IPMI 2.0, 22.19) and Get Session Info (22.20). Pure."""

from simulator.ipmi.sessions import MOST_SESSIONS, PRIVILEGE_ADMINISTRATOR, Session, Sessions

OK, NO_SUCH_SESSION, WRONG_LENGTH, INVALID_FIELD, PRIVILEGE = 0x00, 0x87, 0xC7, 0xCC, 0xD4
CURRENT, BY_NUMBER = 0x00, 0xFF
"""Session indexes of Get Session Info: the asking session, and the one whose number follows."""
LAN_CHANNEL = 0x01


def close(sessions: Sessions, asking: Session, data: bytes, now: float) -> tuple[int, bytes]:
    """Close Session: one's own, or as administrator anybody's."""
    if len(data) not in (4, 5):
        return WRONG_LENGTH, b""
    number = int.from_bytes(data[:4], "little")
    if number != asking.number and asking.privilege < PRIVILEGE_ADMINISTRATOR:
        return PRIVILEGE, b""
    found = sessions.active(number, now)
    if found is None:
        return NO_SUCH_SESSION, b""
    sessions.close(found)
    return OK, b""


def info(sessions: Sessions, asking: Session, data: bytes, now: float) -> tuple[int, bytes]:
    """Get Session Info: handle (0 for no such session), sessions possible and active, and whose it is."""
    if not data:
        return WRONG_LENGTH, b""
    if data[0] == CURRENT:
        found: Session | None = asking
    elif data[0] == BY_NUMBER:
        if len(data) != 5:
            return WRONG_LENGTH, b""
        found = sessions.active(int.from_bytes(data[1:5], "little"), now)
    else:
        return INVALID_FIELD, b""
    counts = bytes((MOST_SESSIONS, len(sessions)))
    if found is None:
        return OK, b"\0" + counts
    return OK, bytes((sessions.handle(found),)) + counts + bytes((1, found.privilege, 0x10 | LAN_CHANNEL))
