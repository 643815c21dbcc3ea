"""Carries out the plant's verbs over Modbus: a battery's set-point that reverts by itself, and requests to cooling units.

Only what the site file allows for the asset (`writable`), within its bounds, no farther than its step, no sooner than its
pace; and only at registers that SunSpec's model 704 or `devices.profiles.writing` name.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from devices.orders import Order, Remember, Report, State, Verdict, forget
from devices.profiles.writing import WRITABLE, Writable
from devices.wire.http_order import Seen, Subject, Timing
from devices.wire.modbus_courier import ModbusCourier, write_call
from devices.wire.once import Call, Courier
from devices.wire.order_writer import OrderWriter
from devices.wire.sunspec_control import BessRelease, BessSetPoint
from fleet.clock import Clock
from fleet.errors import HallkeeperError, Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the owner allows of one point, from the site file."""

    low: float
    high: float
    step: float
    every_seconds: float

    def check(self, wanted: float, now: float) -> None:
        """Raises `Refused` for a value outside them or too far from the one that holds."""
        if not self.low <= wanted <= self.high:
            raise Refused(f"{wanted:g} is outside what the site allows, {self.low:g} to {self.high:g}")
        if not abs(wanted - now) <= self.step * (1 + 1e-9):
            raise Refused(f"{wanted:g} is farther from {now:g} than one step of {self.step:g}, try a nearer one")


def bounds_of(order: Order, verb: str) -> Bounds:
    """Raises `Refused` where the site file does not allow the point."""
    allowed = order.endpoint.options.get("writable")
    named = allowed.get(verb) if isinstance(allowed, Mapping) else None
    if not isinstance(named, Mapping):
        raise Refused(f"{order.asset}: the site allows no {verb}, try `writable` for it in the site file")
    return Bounds(**{name: float(named[name]) for name in ("low", "high", "step", "every_seconds")})


def number_in(arguments: Mapping[str, object], name: str) -> float:
    """A finite number, or a yes or no as 1 or 0. Raises `ValueError`."""
    value = arguments.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, try a number")
    return float(value)


class ModbusWriter(OrderWriter):
    """Batteries and cooling units."""

    def __init__(self, clock: Clock, *, remember: Remember = forget, timing: Timing | None = None) -> None:
        super().__init__(clock, remember=remember, timing=timing or Timing(answer_seconds=3.0))
        self._sent_at_ns: dict[tuple[str, str], int] = {}

    def prepared(self, order: Order) -> tuple[Courier, Subject]:
        unit = order.endpoint.options.get("unit", 1)
        courier = ModbusCourier(address=order.endpoint.address, unit=unit if isinstance(unit, int) else 1)
        return courier, _subject(order, courier)

    async def act(self, order: Order, report: Report) -> Verdict:
        """Look, send at most once, look again; not before the point's pace allows it."""
        try:
            too_soon = self._too_soon(order)
        except (HallkeeperError, KeyError, ValueError) as error:
            too_soon = str(error)
        if too_soon is not None:
            return Verdict(state=State.NOT_SENT, text=f"{order.asset}: nothing was sent: {too_soon}")
        return await super().act(order, self._noting(order, report))

    def _noting(self, order: Order, report: Report) -> Report:
        def noting(state: State) -> None:
            if state is State.SENT:
                self._sent_at_ns[order.asset, order.verb] = self._clock.boottime_ns()
            report(state)

        return noting

    def _too_soon(self, order: Order) -> str | None:
        """The pace between two requests to one point; what gives back is never held up."""
        last = self._sent_at_ns.get((order.asset, order.verb))
        if last is None or order.verb == "bess_release":
            return None
        left = bounds_of(order, order.verb).every_seconds - (self._clock.boottime_ns() - last) / 1e9
        return None if left <= 0 else f"{order.verb} may be asked again in {left:.0f} s, try then as a new intent"


def _subject(order: Order, courier: ModbusCourier) -> Subject:
    if order.verb == "bess_release":
        bounds_of(order, "bess_set_point")
        return BessRelease(courier)
    bounds = bounds_of(order, order.verb)
    if order.verb == "bess_set_point":
        watts, seconds = number_in(order.arguments, "watts"), number_in(order.arguments, "revert_seconds")
        return BessSetPoint(courier, watts, seconds, bounds.check)
    point = WRITABLE.get(order.endpoint.profile, {}).get(order.verb)
    if point is None:
        raise Refused(f"{order.endpoint.profile} has no point for {order.verb}, try another profile")
    return _Request(courier, point, number_in(order.arguments, point.argument), bounds)


@dataclass(slots=True)
class _Request:
    """One register that takes a request."""

    courier: ModbusCourier
    point: Writable
    wanted: float
    bounds: Bounds
    _held: float = math.nan

    async def look(self) -> Seen:
        """The value that the unit holds."""
        (raw,) = await self.courier.read(self.point.register, 1)
        value = (raw - 0x10000 if raw >= 0x8000 else raw) * self.point.scale
        self._held = value
        return Seen(f"{value:g} {self.point.unit}".strip(), abs(value - self.wanted) < self.point.scale / 2)

    def call(self) -> Call:
        self.bounds.check(self.wanted, self._held)
        return write_call(self.point.register, [round(self.wanted / self.point.scale) & 0xFFFF])
