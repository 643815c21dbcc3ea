"""What models keep, as bytes for the engine's snapshot."""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from fleet.errors import Malformed
from rules.models.port import Kept

_KINDS = frozenset("biuf")
"""Arrays of booleans and numbers; nothing in a snapshot may run code."""


def encode_kept(kept: Kept) -> bytes:
    """As msgpack: name to type, shape and bytes."""
    return msgspec.msgpack.encode(
        {
            name: [array.dtype.str, list(array.shape), np.ascontiguousarray(array).tobytes()]
            for name, array in kept.items()
        }
    )


def decode_kept(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Raises `Malformed` for bytes that `encode_kept` did not make."""
    try:
        document = msgspec.msgpack.decode(data, type=dict[str, tuple[str, list[int], bytes]])
        return {name: _array(*parts) for name, parts in document.items()}
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise Malformed(f"not what a model keeps: {error}") from error


def _array(kind: str, shape: list[int], content: bytes) -> npt.NDArray[Any]:
    dtype = np.dtype(kind)
    if dtype.kind not in _KINDS or any(length < 0 for length in shape):
        raise Malformed(f"not what a model keeps: an array of {kind!r} and shape {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape).copy()
