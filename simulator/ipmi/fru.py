"""A BMC's inventory: one FRU with chassis, board and product areas (IPMI Platform Management FRU Information, v1.0)."""

from functools import lru_cache

ENGLISH = 25
RACK_MOUNT_CHASSIS = 0x17
END_OF_FIELDS = b"\xc1"
BLOCK = 8


def _text(value: str) -> bytes:
    """A field in 8-bit ASCII, at most 63 octets."""
    content = value.encode()[:63]
    return bytes((0xC0 | len(content),)) + content


def _area(kind: int, fields: tuple[str, ...], *, before: bytes = b"") -> bytes:
    """Format version, length in blocks, language or chassis type, fields, padding, checksum."""
    body = before + b"".join(map(_text, fields)) + END_OF_FIELDS
    blocks = -(-(3 + len(body) + 1) // BLOCK)
    area = (bytes((0x01, blocks, kind)) + body).ljust(blocks * BLOCK - 1, b"\0")
    return area + bytes((-sum(area) & 0xFF,))


@lru_cache(maxsize=4_096)
def inventory(node: str) -> bytes:
    """The whole FRU of a node."""
    serial = f"SIM-{node}"
    chassis = _area(RACK_MOUNT_CHASSIS, ("SIM-CH-8U", serial))
    board = _area(ENGLISH, ("Simulated", "DGX H100 baseboard", serial, "SIM-BB-1", ""), before=bytes(3))
    product = _area(ENGLISH, ("Simulated", "DGX H100", "SIM-DGX-H100", "1", serial, "", ""))
    offsets = [1, 1 + len(chassis) // BLOCK, 1 + (len(chassis) + len(board)) // BLOCK]
    header = bytes((0x01, 0, *offsets, 0, 0))
    return header + bytes((-sum(header) & 0xFF,)) + chassis + board + product
