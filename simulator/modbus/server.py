"""Modbus TCP: frames, function codes 3 and 4, exceptions; 6 and 16 where a device takes writes; every other is refused."""

import asyncio
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from simulator.http import MOST_CONNECTIONS, always, never_slow
from simulator.truth import GroundTruth

HEADER_BYTES = 7
LONGEST_FRAME = 260
"""Modbus messaging on TCP/IP, 4.1."""
READ_HOLDING, READ_INPUT = 3, 4
WRITE_ONE, WRITE_SEVERAL = 6, 16
MOST_WRITTEN = 123
MOST_REGISTERS = 125
WRITES: Mapping[int, str] = {
    5: "write_coil", 6: "write_register", 15: "write_coils", 16: "write_registers", 22: "mask_write_register", 23: "read_write_registers"
}  # fmt: skip
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, NO_TARGET = 1, 2, 3, 11

Write = Callable[[int, Sequence[int]], int]
"""Takes registers from an address on, all or none; the exception code, 0 where they were taken."""
Registers = Callable[[], tuple[int, bytes]]
"""The address of the first register, and all registers as bytes, as they are now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One Modbus unit: its registers by function code."""

    name: str
    unit: int
    registers: Mapping[int, Registers]
    truth: GroundTruth
    write: Write | None = None
    """What takes writes; None where nothing can be written."""
    answers: Callable[[], bool] = always
    delay_seconds: Callable[[], float] = never_slow

    def respond(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """The response PDU to a request PDU."""
        function = pdu[0]
        if function in WRITES:
            return self._written(transaction, unit, pdu)
        if unit != self.unit:
            return bytes((function | 0x80, NO_TARGET))
        source = self.registers.get(function)
        if source is None:
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        if len(pdu) != 5:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        address, count = struct.unpack(">HH", pdu[1:])
        if not 1 <= count <= MOST_REGISTERS:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        first, image = source()
        start = (address - first) * 2
        if start < 0 or start + count * 2 > len(image):
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return bytes((function, count * 2)) + image[start : start + count * 2]

    def _written(self, transaction: int, unit: int, pdu: bytes) -> bytes:
        """Try a write, and write down what became of it."""
        function = pdu[0]
        refused = self._try(function, pdu) if unit == self.unit else NO_TARGET
        self.truth.record(
            device=self.name, server="modbus", verb=WRITES[function], arguments={"unit": unit, "pdu": pdu.hex()},
            request_id=str(transaction), accepted=not refused, executed=not refused,
        )  # fmt: skip
        return bytes((function | 0x80, refused)) if refused else pdu[:5]

    def _try(self, function: int, pdu: bytes) -> int:
        """The exception code, 0 where the registers were taken."""
        if self.write is None or function not in (WRITE_ONE, WRITE_SEVERAL):
            return ILLEGAL_FUNCTION
        if function == WRITE_ONE:
            return self.write(*_address_and(pdu[3:], pdu)) if len(pdu) == 5 else ILLEGAL_VALUE
        if len(pdu) < 8 or len(pdu) != 6 + pdu[5] or pdu[5] != 2 * int.from_bytes(pdu[3:5], "big"):
            return ILLEGAL_VALUE
        return self.write(*_address_and(pdu[6:], pdu)) if pdu[5] <= 2 * MOST_WRITTEN else ILLEGAL_VALUE


def _address_and(content: bytes, pdu: bytes) -> tuple[int, tuple[int, ...]]:
    return int.from_bytes(pdu[1:3], "big"), struct.unpack(f">{len(content) // 2}H", content)


class ModbusConnection(asyncio.Protocol):
    """One connection of a master."""

    def __init__(self, device: Device, open_connections: "set[ModbusConnection]") -> None:
        self._device = device
        self._open = open_connections
        self._buffer = b""
        self._transport: asyncio.Transport = None  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._open) >= MOST_CONNECTIONS:
            self._transport.abort()
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._open.discard(self)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            transaction, protocol, size, unit = struct.unpack(">HHHB", self._buffer[:HEADER_BYTES])
            if protocol != 0 or not 2 <= size <= LONGEST_FRAME - 6:
                self._transport.abort()
                return
            if len(self._buffer) < 6 + size:
                return
            pdu, self._buffer = self._buffer[HEADER_BYTES : 6 + size], self._buffer[6 + size :]
            self._reply(transaction, unit, self._device.respond(transaction, unit, pdu))

    def _reply(self, transaction: int, unit: int, pdu: bytes) -> None:
        if not self._device.answers():
            return
        frame = struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu
        delay = self._device.delay_seconds()
        if delay:
            asyncio.get_running_loop().call_later(delay, self._transport.write, frame)
        else:
            self._transport.write(frame)


@dataclass(frozen=True, slots=True)
class ModbusListener:
    """A bound Modbus server."""

    server: asyncio.Server
    port: int
    connections: set[ModbusConnection]

    def close(self) -> None:
        self.server.close()
        for connection in list(self.connections):
            connection.close()


async def listen_modbus(device: Device) -> ModbusListener:
    """Serve one unit on a port of loopback that the system chooses."""
    connections: set[ModbusConnection] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: ModbusConnection(device, connections), "127.0.0.1", 0
    )
    return ModbusListener(server, server.sockets[0].getsockname()[1], connections)
