"""The objects that every agent has: the system group and its own engine."""

from collections.abc import Callable, Mapping

from simulator.snmp import ber

SYSTEM: ber.Oid = (1, 3, 6, 1, 2, 1, 1)
UPTIME: ber.Oid = (*SYSTEM, 3, 0)
ENGINE: ber.Oid = (1, 3, 6, 1, 6, 3, 10, 2, 1)


def static_objects(
    *, descr: str, object_id: ber.Oid, name: str, location: str, engine_id: bytes, boots: int
) -> Mapping[ber.Oid, bytes]:
    """System and engine groups but for the time."""
    return {
        (*SYSTEM, 1, 0): ber.octets(descr.encode()),
        (*SYSTEM, 2, 0): ber.oid(object_id),
        (*SYSTEM, 4, 0): ber.octets(b"operations"),
        (*SYSTEM, 5, 0): ber.octets(name.encode()),
        (*SYSTEM, 6, 0): ber.octets(location.encode()),
        (*SYSTEM, 7, 0): ber.integer(72),
        (*ENGINE, 1, 0): ber.octets(engine_id),
        (*ENGINE, 2, 0): ber.integer(boots),
        (*ENGINE, 4, 0): ber.integer(65_507),
    }


def uptime(seconds: Callable[[], float]) -> bytes:
    """Encoded `sysUpTime`, in hundredths of a second."""
    return ber.integer(int(seconds() * 100) & 0xFFFF_FFFF, ber.TIMETICKS)
