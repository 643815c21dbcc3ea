"""Modbus TCP for orders: reads on connections of their own, and one write of registers, now or not at all.

Modbus has no authentication, no integrity and no fence: what is written is absolute and read back, and only "write multiple
registers" (function 16) leaves here. Framing: Modbus application protocol V1.1b3, sections 6.3, 6.12 and 7; Modbus messaging
on TCP/IP V1.0b, section 3.1.3.
"""

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from devices.wire.address import host_and_port
from devices.wire.modbus import EXCEPTIONS, MODBUS_PORT
from devices.wire.once import Answered, Call, Exchange, Gate, Lost, NotSent
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable

READ_HOLDING, WRITE_REGISTERS = 3, 16
CONNECT_SECONDS = 2.0
READ_SECONDS = 2.0
"""Connection and one answer (defaults to tune)."""
MOST_WRITTEN = 123
"""Registers of one write (section 6.12)."""
MOST_READ = 125

_HEAD = struct.Struct(">HHHB")
_STATUS = {1: 400, 2: 400, 3: 400, 5: 202, 6: 409, 10: 409}
"""Exceptions that say that nothing was done, and 5 that it was taken; any other may come after the effect."""


def write_call(start: int, words: Sequence[int]) -> Call:
    """The one request that writes these registers. Raises `ValueError` outside the address space."""
    if not 1 <= len(words) <= MOST_WRITTEN or start < 0 or start + len(words) > 0x10000:
        raise ValueError(f"{len(words)} registers at {start} are no Modbus write")
    body = struct.pack(f">BHHB{len(words)}H", WRITE_REGISTERS, start, len(words), 2 * len(words), *words)
    return Call(method="modbus", path="", body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusCourier:
    """One unit behind one address."""

    address: str
    unit: int
    numbers: Iterator[int] = field(default_factory=lambda: itertools.cycle(range(1, 0x10000)), repr=False)

    async def read(self, start: int, count: int) -> tuple[int, ...]:
        """Holding registers. Raises `Unreachable`, `Refused` or `Malformed`."""
        if not 1 <= count <= MOST_READ:
            raise ValueError(f"{count} registers are no Modbus read")
        pdu = struct.pack(">BHH", READ_HOLDING, start, count)
        try:
            async with asyncio.timeout(CONNECT_SECONDS + READ_SECONDS):
                reader, writer = await self._connected()
                try:
                    answer = await self._asked(reader, writer, pdu, lambda: None)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Unreachable(
                f"{self.address}: no answer ({error!r}), try the address and the gateway's power"
            ) from error
        if answer[0] == READ_HOLDING | 0x80:
            raise self._exception(answer[1:2])
        if answer[0] != READ_HOLDING or len(answer) != 2 + 2 * count or answer[1] != 2 * count:
            raise Malformed(f"{self.address}: {answer[:8].hex()} is no answer to a read of {count} registers")
        return struct.unpack(f">{count}H", answer[2:])

    async def exchange(self, call: Call, *, answer_seconds: float, gate: Gate, sent: Callable[[], None]) -> Exchange:
        """Write once. Status as HTTP would have it: 2xx taken, 4xx nothing was done, else not known."""
        if call.body[:1] != bytes((WRITE_REGISTERS,)):
            return NotSent("only registers are written over Modbus")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await self._connected()
        except (OSError, TimeoutError) as error:
            return NotSent(f"no connection to {self.address}: {error!r}")
        try:
            why_not = gate()
            if why_not is not None:
                return NotSent(why_not)
            async with asyncio.timeout(answer_seconds):
                answer = await self._asked(reader, writer, call.body, sent)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, HallkeeperError) as error:
            return Lost(f"{self.address} gave no whole answer: {error!r}")
        finally:
            writer.transport.abort()
        return self._judged(answer, call.body)

    def _judged(self, answer: bytes, asked: bytes) -> Exchange:
        if answer[0] == WRITE_REGISTERS | 0x80 and len(answer) == 2:
            text = str(self._exception(answer[1:2]))
            return Answered(_STATUS.get(answer[1], 500), msgspec.json.encode({"error": text}))
        if answer != asked[:5]:
            return Lost(f"{self.address}: {answer[:8].hex()} is no answer to the write")
        return Answered(200, b"{}")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*host_and_port(self.address, MODBUS_PORT), limit=4096)

    async def _asked(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pdu: bytes, sent: Callable[[], None]
    ) -> bytes:
        """The answer's PDU. Raises `Malformed` for one to another question."""
        number = next(self.numbers)
        writer.write(_HEAD.pack(number, 0, len(pdu) + 1, self.unit) + pdu)
        sent()
        echoed, protocol, length, unit = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if (echoed, protocol, unit) != (number, 0, self.unit) or not 3 <= length <= 254:
            raise Malformed(f"{self.address}: an answer to another question came, try its Modbus settings")
        return await reader.readexactly(length - 1)

    def _exception(self, code: bytes) -> HallkeeperError:
        kind, what = EXCEPTIONS.get(code[0] if code else 0, (Refused, "an exception code that Modbus does not have"))
        return kind(f"{self.address} unit {self.unit}: exception {code.hex()}: {what}")
