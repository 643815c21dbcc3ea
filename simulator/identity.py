"""Names that hardware carries: GPU UUIDs, boot ids, GUIDs; derived, so that the same site has the same ones."""

import hashlib
import uuid

DRIVER_VERSION = "580.105.08"
"""NVIDIA driver that the site begins with."""


def derived_uuid(*parts: object) -> uuid.UUID:
    """A random-looking UUID (version 4 bits) that is always the same for the same parts."""
    digest = bytearray(hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def gpu_uuid(node: str, gpu: int) -> str:
    return f"GPU-{derived_uuid('gpu', node, gpu)}"


def pci_bus_id(gpu: int) -> str:
    return f"00000000:{0x1B + 0x13 * gpu & 0xFF:02X}:00.0"
