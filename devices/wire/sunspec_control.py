"""A battery's set-point by SunSpec's model 704: one write of the whole block, which reverts by its own timer if we die.

`WSetEna` to `WSetRvrtTms` lie in one row, so enable, mode, watts and timer go in one request, and none of them holds without
the others. Source: SunSpec model 704 (DER AC controls), whose definition pysunspec2 carries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devices.wire.http_order import Seen
from devices.wire.modbus_courier import ModbusCourier, write_call
from devices.wire.once import Call
from devices.wire.registers import number
from devices.wire.sunspec import BASES, MARK, NUMBERS, SCALE_LIMIT, Model, Place, next_model, places_of
from fleet.errors import Malformed, Refused

MODEL = 704
WATTS_MODE = 1
FIRST, LAST = "WSetEna", "WSetRvrtTms"
SHORTEST_REVERT_SECONDS, LONGEST_REVERT_SECONDS = 5.0, 3600.0
"""A set-point must outlive one refresh and must not outlive us by long (defaults to tune)."""

Check = Callable[[float, float], None]
"""Raises `Refused` for a wanted value, given the one that holds."""


@dataclass(frozen=True, slots=True)
class Block:
    """The row of registers as it was read."""

    start: int
    words: tuple[int, ...]
    scale: int
    remaining_seconds: float

    def value(self, name: str) -> float | None:
        """A point's raw number; None where it is not implemented."""
        place = self._place(name)
        kind, absent = NUMBERS[place.type]
        raw = number(self.words[self._at(place) : self._at(place) + place.size], kind)
        return None if raw == absent else raw

    def having(self, **values: int) -> tuple[int, ...]:
        """The row with these points written, every other register as it was."""
        words = list(self.words)
        for name, value in values.items():
            place = self._place(name)
            octets = (value & (1 << 16 * place.size) - 1).to_bytes(2 * place.size, "big")
            for offset in range(place.size):
                words[self._at(place) + offset] = int.from_bytes(octets[2 * offset : 2 * offset + 2], "big")
        return tuple(words)

    @property
    def watts(self) -> float | None:
        """The set-point in force; None where none is."""
        raw = self.value("WSet")
        if self.value("WSetEna") != 1 or self.value("WSetMod") != WATTS_MODE or raw is None:
            return None
        return float(raw * 10.0**self.scale)

    def _place(self, name: str) -> Place:
        return places_of(MODEL)[name]

    def _at(self, place: Place) -> int:
        return place.offset - places_of(MODEL)[FIRST].offset


async def block_of(courier: ModbusCourier) -> Block:
    """Raises `Refused` where the device has no such model, and what reading raises."""
    model = await _model(courier)
    places = places_of(MODEL)
    first, last, left = places[FIRST], places[LAST], places["WSetRvrtRem"]
    scale = places["WSet"].scale
    assert isinstance(scale, Place)
    end = max(last.offset + last.size, left.offset + left.size)
    if model.length < max(end, scale.offset + 1):
        raise Refused(f"{courier.address}: its model {MODEL} ends before its set-point, try its firmware")
    words = await courier.read(model.start + first.offset, end - first.offset)
    (raw,) = await courier.read(model.start + scale.offset, 1)
    factor = number((raw,), "s16")
    if abs(factor) > SCALE_LIMIT:
        raise Malformed(f"{courier.address}: WSet_SF is {factor:g}, which is no scale factor")
    row = last.offset + last.size - first.offset
    at = left.offset - first.offset
    remaining = number(words[at : at + left.size], "u32")
    return Block(model.start + first.offset, words[:row], int(factor), 0.0 if remaining == 0xFFFFFFFF else remaining)


async def _model(courier: ModbusCourier) -> Model:
    base = await _base(courier)
    found: list[Model] = []
    at = base + 2
    while (model := next_model(await courier.read(at, 2), at, found)) is not None:
        if model.id == MODEL:
            return model
        found.append(model)
        at = model.end
    raise Refused(f"{courier.address}: it has no SunSpec model {MODEL}, so nothing of it is writable")


async def _base(courier: ModbusCourier) -> int:
    for base in BASES:
        try:
            words: Sequence[int] = await courier.read(base, 2)
        except Refused:
            continue  # no register there
        if tuple(words) == MARK:
            return base
    raise Refused(f'{courier.address}: no "SunS" where SunSpec devices have it, try its profile')


@dataclass(slots=True)
class BessSetPoint:
    """So many watts (positive discharges) for so many seconds. The same again renews a timer that is half over."""

    courier: ModbusCourier
    wanted: float
    revert_seconds: float
    check: Check
    _block: Block | None = field(default=None)

    def __post_init__(self) -> None:
        if not SHORTEST_REVERT_SECONDS <= self.revert_seconds <= LONGEST_REVERT_SECONDS:
            raise ValueError(
                f"revert_seconds is {self.revert_seconds:g}, "
                f"try {SHORTEST_REVERT_SECONDS:g} to {LONGEST_REVERT_SECONDS:g}"
            )

    async def look(self) -> Seen:
        block = self._block = await block_of(self.courier)
        held = block.watts
        if held is not None and abs(held - self.wanted) <= 10.0**block.scale / 2:
            fresh = block.remaining_seconds > self.revert_seconds / 2
            return Seen(f"{held:g} W for {block.remaining_seconds:g} s", goal=fresh)
        return Seen("follows itself" if held is None else f"{held:g} W", goal=False)

    def call(self) -> Call:
        assert self._block is not None
        self.check(self.wanted, self._block.watts or 0.0)
        row = self._block.having(
            WSetEna=1,
            WSetMod=WATTS_MODE,
            WSet=round(self.wanted / 10.0**self._block.scale),
            WSetRvrt=0,
            WSetEnaRvrt=0,
            WSetRvrtTms=round(self.revert_seconds),
        )
        return write_call(self._block.start, row)


@dataclass(slots=True)
class BessRelease:
    """No set-point: the battery follows its own controller."""

    courier: ModbusCourier
    _block: Block | None = field(default=None)

    async def look(self) -> Seen:
        block = self._block = await block_of(self.courier)
        enabled = block.value("WSetEna") == 1
        return Seen("held" if enabled else "follows itself", not enabled)

    def call(self) -> Call:
        assert self._block is not None
        return write_call(self._block.start, self._block.having(WSetEna=0)[:1])
