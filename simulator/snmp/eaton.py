"""The objects of an Eaton ePDU G3 (EATON-EPDU-MIB), strapping index 0: inputs, outlets, and the columns that switch them."""

from collections.abc import Callable, Mapping

from simulator.instruments import seen
from simulator.layout import PHASES
from simulator.plant import Plant
from simulator.snmp import ber
from simulator.snmp.mib import Mib, Order, SetError, Writable
from simulator.snmp.system import ENGINE, UPTIME, static_objects, uptime

EPDU: ber.Oid = (1, 3, 6, 1, 4, 1, 534, 6, 6, 7)
CONTROL: ber.Oid = (*EPDU, 6, 6, 1)
STATE_COLUMN, OFF_COLUMN, ON_COLUMN, REBOOT_COLUMN = 2, 3, 4, 5
OFF, ON, PENDING_OFF, PENDING_ON = range(4)
PHASE_TOTAL = 4
LONGEST_DELAY_SECONDS = 99_999
INPUT_COLUMNS: tuple[ber.Oid, ...] = (
    (3, 2, 1, 3),
    (3, 3, 1, 4),
    (3, 3, 1, 11),
    (3, 4, 1, 3),
    (3, 4, 1, 4),
    (3, 4, 1, 5),
)
"""Per input line: mV, mA, percent of rating, VA, W, Wh."""
TOTAL_COLUMNS: tuple[ber.Oid, ...] = ((3, 5, 1, 3), (3, 5, 1, 4), (3, 5, 1, 5))
"""Whole input: VA, W, Wh."""
OUTLET_COLUMNS: tuple[ber.Oid, ...] = (
    (6, 3, 1, 2),
    (6, 4, 1, 3),
    (6, 5, 1, 2),
    (6, 5, 1, 3),
    (6, 5, 1, 4),
    (6, 6, 1, STATE_COLUMN),
)
"""Per outlet: mV, mA, VA, W, Wh, state."""


class EatonPdu:
    """One PDU's view of the plant: rack, side, and the nodes on its outlets."""

    def __init__(self, plant: Plant, pdu: int) -> None:
        self.plant = plant
        self.name = plant.layout.pdus[pdu]
        self.rack, self.side = divmod(pdu, 2)
        self.nodes = list(plant.layout.nodes_of_rack(self.rack))
        self.rated_amperes = plant.layout.rated_amperes(self.rack)

    def mib(self, *, engine_id: bytes, boots: int, seconds: Callable[[], float]) -> Mib:
        """All objects of this PDU."""
        lines = range(1, PHASES + 1)
        outlets = range(1, len(self.nodes) + 1)
        dynamic = [
            UPTIME,
            (*ENGINE, 3, 0),
            *((*EPDU, *column, 0, 1, line) for line in lines for column in INPUT_COLUMNS),
            *((*EPDU, *column, 0, 1) for column in TOTAL_COLUMNS),
            *((*EPDU, *column, 0, outlet) for outlet in outlets for column in OUTLET_COLUMNS),
        ]
        system = static_objects(
            descr="ePDU G3 simulated, 3P", object_id=EPDU, name=self.name, location=self.plant.layout.racks[self.rack], engine_id=engine_id, boots=boots
        )  # fmt: skip
        return Mib(
            static={**system, **self._identity(), **self._lines(), **self._outlets()},
            dynamic=dynamic,
            render=lambda: self._render(seconds),
            tick=lambda: self.plant.tick,
            writable=self._writable(),
        )

    def _identity(self) -> Mapping[ber.Oid, bytes]:
        texts = {2: "ePDU G3", 3: "EMAT10-10", 4: f"SIM{self.name}", 5: "05.01.0002", 6: self.name}
        return {
            **{(*EPDU, 1, 2, 1, column, 0): ber.octets(text.encode()) for column, text in texts.items()},
            (*EPDU, 1, 2, 1, 9, 0): ber.integer(0),
            (*EPDU, 1, 2, 1, 21, 0): ber.integer(len(self.nodes)),
            (*EPDU, 3, 1, 1, 2, 0, 1): ber.integer(3),
            (*EPDU, 3, 1, 1, 3, 0, 1): ber.integer(500),
            (*EPDU, 3, 1, 1, 10, 0, 1): ber.octets(f"Feed {'AB'[self.side]}".encode()),
        }

    def _lines(self) -> Mapping[ber.Oid, bytes]:
        objects: dict[ber.Oid, bytes] = {}
        for line in range(1, PHASES + 1):
            objects[*EPDU, 3, 2, 1, 2, 0, 1, line] = ber.integer(line + 1)
            objects[*EPDU, 3, 3, 1, 2, 0, 1, line] = ber.integer(line + 2)
            objects[*EPDU, 3, 3, 1, 3, 0, 1, line] = ber.integer(round(self.rated_amperes * 1000))
            objects[*EPDU, 3, 3, 1, 12, 0, 1, line] = ber.octets(f"L{line}".encode())
            objects[*EPDU, 3, 4, 1, 2, 0, 1, line] = ber.integer(line)
            objects[*EPDU, 3, 4, 1, 7, 0, 1, line] = ber.integer(1000)
        return objects

    def _outlets(self) -> Mapping[ber.Oid, bytes]:
        objects: dict[ber.Oid, bytes] = {}
        for outlet, node in enumerate(self.nodes, start=1):
            objects[*EPDU, 6, 1, 1, 2, 0, outlet] = ber.octets(str(outlet).encode())
            objects[*EPDU, 6, 1, 1, 3, 0, outlet] = ber.octets(self.plant.layout.nodes[node].encode())
            objects[*EPDU, 6, 1, 1, 4, 0, outlet] = ber.integer(1)
            objects[*EPDU, 6, 1, 1, 6, 0, outlet] = ber.octets(f"A{outlet}".encode())
            objects[*EPDU, 6, 4, 1, 2, 0, outlet] = ber.integer(63_000)
            objects[*EPDU, 6, 5, 1, 6, 0, outlet] = ber.integer(1000)
            for column in (OFF_COLUMN, ON_COLUMN, REBOOT_COLUMN):
                objects[*CONTROL, column, 0, outlet] = ber.integer(-1)
        return objects

    def _render(self, seconds: Callable[[], float]) -> list[bytes]:
        power = self.plant.power
        integer, gauge = ber.integer, ber.GAUGE32
        volts = power.volts[self.rack, self.side].tolist()
        watts = power.phase_watts[self.rack, self.side].tolist()
        hours = power.phase_watt_hours[self.rack, self.side].tolist()
        values = [uptime(seconds), integer(int(seconds()))]
        for volt, watt, hour, ampere in zip(
            volts, watts, hours, seen(self.plant, "phase-amperes")[self.rack, self.side].tolist(), strict=True
        ):
            whole = integer(round(watt))
            percent = integer(round(100 * ampere / self.rated_amperes))
            values += (
                integer(round(volt * 1000)),
                integer(round(ampere * 1000)),
                percent,
                whole,
                whole,
                integer(int(hour), gauge),
            )
        total = integer(round(sum(watts)))
        values += (total, total, integer(int(sum(hours)), gauge))
        span = slice(self.nodes[0], self.nodes[-1] + 1)
        outlet_watts = seen(self.plant, "outlet-watts")[span, self.side].tolist()
        outlet_hours = power.outlet_watt_hours[span, self.side].tolist()
        states = self.states()
        for place, (watt, hour, phase) in enumerate(
            zip(outlet_watts, outlet_hours, self.plant.layout.phase_of[span].tolist(), strict=True)
        ):
            closed = states[place] in (ON, PENDING_OFF)
            volt = volts[phase] if closed else 0.0
            whole = integer(round(watt))
            milliamperes = integer(round(1000 * watt / volt) if volt else 0)
            values += (
                integer(round(volt * 1000)),
                milliamperes,
                whole,
                whole,
                integer(int(hour), gauge),
                integer(states[place]),
            )
        return values

    def states(self) -> list[int]:
        """Each outlet's state as the card reports it."""
        power = self.plant.power
        span = slice(self.nodes[0], self.nodes[-1] + 1)
        pairs = zip(power.relay[span, self.side].tolist(), power.pending[span, self.side].tolist(), strict=True)
        return [
            PENDING_OFF if pending < 0 else PENDING_ON if pending > 0 else ON if closed else OFF
            for closed, pending in pairs
        ]

    def _writable(self) -> dict[ber.Oid, Writable]:
        writable: dict[ber.Oid, Writable] = {}
        for outlet, node in enumerate(self.nodes, start=1):
            writable[*CONTROL, OFF_COLUMN, 0, outlet] = self._switch(outlet, node, on=False)
            writable[*CONTROL, ON_COLUMN, 0, outlet] = self._switch(outlet, node, on=True)
        return writable

    def _switch(self, outlet: int, node: int, *, on: bool) -> Writable:
        def judge(value: int) -> Order | SetError:
            arguments = {"outlet": str(outlet), "value": value}
            if value == -1:
                return Order("outlet_cancel", arguments, lambda: self._cancel(node))
            if not 0 <= value <= LONGEST_DELAY_SECONDS:
                return SetError.WRONG_VALUE
            return Order(
                "outlet_on" if on else "outlet_off",
                arguments,
                lambda: self.plant.switch_outlet(node, self.side, on=on, delay_seconds=float(value)),
            )

        return judge

    def _cancel(self, node: int) -> None:
        self.plant.power.pending[node, self.side] = 0
