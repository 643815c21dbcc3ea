"""Modbus TCP, read only by construction: function codes 1 to 4 leave this module and nothing else.

Modbus has neither authentication nor integrity, so a wrong write could never be told from a right one. The guard sits
in the packet path itself: a request with any other function code is refused before it becomes bytes.
"""

from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from typing import Protocol

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU

from devices.wire.address import host_and_port
from devices.wire.registers import Span
from fleet.errors import HallkeeperError, Malformed, Refused, Unreachable

MODBUS_PORT = 502
REGISTERS_LIMIT = 125
BITS_LIMIT = 2000
"""Most items one request may ask, from the Modbus application protocol V1.1b3, sections 6.1 to 6.4."""


class Function(IntEnum):
    """The reads; there is deliberately no write."""

    COILS = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4


FUNCTIONS: Mapping[str, Function] = {
    "coil": Function.COILS,
    "discrete": Function.DISCRETE,
    "holding": Function.HOLDING,
    "input": Function.INPUT,
}

EXCEPTIONS: Mapping[int, tuple[type[HallkeeperError], str]] = {
    1: (Refused, "it does not know this function code, try another register kind in the profile"),
    2: (Refused, "it has no such register, try the profile's register map"),
    3: (Refused, "it does not allow that many registers at once, try smaller blocks"),
    4: (Unreachable, "it failed while reading, try again later"),
    5: (Unreachable, "it is still working on it, try again later"),
    6: (Unreachable, "it is busy, try again later"),
    8: (Unreachable, "its memory has a parity error, try again later"),
    10: (Unreachable, "its gateway has no path to the unit, try the unit number in site.yaml"),
    11: (Unreachable, "the unit behind its gateway is silent, try the unit number in site.yaml"),
}
"""Modbus exception codes by what the caller does next."""


class Registers(Protocol):
    """What the readers of register maps and of SunSpec models need of a wire."""

    async def read(self, function: Function, span: Span) -> tuple[int, ...]:
        """The words (or bits) of the span. Raises `Unreachable`, `Refused` or `Malformed`."""
        ...


def fault_of(packet: bytes, *, unit: int, transaction: int) -> str | None:
    """What is wrong with the bytes received so far, or None: a whole good answer, or the start of one."""
    if len(packet) < 8:
        return None
    length = int.from_bytes(packet[4:6], "big")
    wrong = (
        (packet[2:4] != b"\0\0", f"protocol identifier {packet[2:4].hex()} is not Modbus"),
        (packet[:2] != transaction.to_bytes(2, "big"), f"transaction {packet[:2].hex()} came for {transaction:04x}"),
        (packet[6] != unit, f"unit {packet[6]} answered for unit {unit}"),
        (not 3 <= length <= 254, f"length {length} is outside 3 to 254"),
        (len(packet) > 6 + length, f"{len(packet) - 6 - length} bytes follow the answer"),
        (
            packet[7] < 0x80 and packet[8:9] not in {b"", bytes([max(length - 3, 0) & 0xFF])},
            "byte count and length differ",
        ),
    )
    return next((what for is_wrong, what in wrong if is_wrong), None)


class ModbusLink:
    """One kept connection to one unit; after any failure it is closed and made anew by the next read."""

    def __init__(self, address: str, *, unit: int = 1, request_seconds: float = 2.0) -> None:
        """`request_seconds` bounds the connection and each request (a default to tune)."""
        self.address = address
        self._host, self._port = host_and_port(address, MODBUS_PORT)
        self._unit = unit
        self._request_seconds = request_seconds
        self._client: AsyncModbusTcpClient | None = None
        self._asking = False

    async def read(self, function: Function, span: Span) -> tuple[int, ...]:
        """The span's words or bits; cancelled by a caller's deadline it closes the connection.

        Raises `Unreachable` (no connection, no answer), `Refused` (a Modbus exception that says no) and `Malformed`.
        """
        limit = BITS_LIMIT if function in {Function.COILS, Function.DISCRETE} else REGISTERS_LIMIT
        if not 1 <= span.count <= limit or span.start < 0 or span.end > 0x10000:
            raise ValueError(f"{span} is no Modbus read")
        try:
            answer = await self._ask(function, span)
            return self._checked(answer, function, span)
        except Refused:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        self.close()
        self._client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            timeout=self._request_seconds,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._packet,
            trace_pdu=only_reads,
            trace_connect=self._connection,
        )
        if not await self._client.connect():
            raise Unreachable(f"{self.address}: no Modbus connection, try the address and the gateway's power")
        return self._client

    async def _ask(self, function: Function, span: Span) -> ModbusPDU:
        client = await self._connected()
        calls: Mapping[Function, Callable[..., Awaitable[ModbusPDU]]] = {
            Function.COILS: client.read_coils,
            Function.DISCRETE: client.read_discrete_inputs,
            Function.HOLDING: client.read_holding_registers,
            Function.INPUT: client.read_input_registers,
        }
        self._asking = True
        try:
            return await calls[function](span.start, count=span.count, device_id=self._unit)
        except ModbusException as error:
            raise Unreachable(f"{self.address}: no answer: {error}, try again later") from error
        finally:
            self._asking = False

    def _checked(self, answer: ModbusPDU, function: Function, span: Span) -> tuple[int, ...]:
        if isinstance(answer, ExceptionResponse):
            kind, what = EXCEPTIONS.get(
                answer.exception_code, (Malformed, "an exception code that Modbus does not have")
            )
            raise kind(
                f"{self.address} unit {self._unit}: registers {span.start} to {span.end - 1}: "
                f"exception {answer.exception_code}: {what}"
            )
        if answer.function_code != function:
            raise Malformed(f"{self.address}: function {answer.function_code} answered for {function.value}")
        if function in {Function.COILS, Function.DISCRETE}:
            words = tuple(int(bit) for bit in answer.bits[: span.count])
        else:
            words = tuple(answer.registers)
        if len(words) != span.count:
            raise Malformed(f"{self.address}: {len(words)} values came for the {span.count} at {span.start}")
        return words

    def _packet(self, sending: bool, packet: bytes) -> bytes:
        if sending or self._client is None:
            return packet
        fault = fault_of(packet, unit=self._unit, transaction=self._client.ctx.request_transaction_id)
        if fault is None:
            return packet
        self._break(Malformed(f"{self.address}: {fault}, try its Modbus settings"))
        return b""

    def _connection(self, connected: bool) -> None:
        if not connected:
            self._break(Unreachable(f"{self.address}: it closed the connection without an answer, try again later"))

    def _break(self, error: HallkeeperError) -> None:
        """End the waiting at once: without it a broken answer would cost the whole request time."""
        if self._asking and self._client is not None and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(error)


def only_reads(sending: bool, request: ModbusPDU) -> ModbusPDU:
    """The last gate before bytes are made. Raises `Refused` for every function code that is not a read."""
    if sending and request.function_code not in {function.value for function in Function}:
        raise Refused(f"function code {request.function_code} is not a read: Hallkeeper never writes over Modbus")
    return request
