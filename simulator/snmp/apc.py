"""The objects of an APC rPDU2 with metered and switched outlets (PowerNet-MIB): one module, three phases."""

from collections.abc import Callable, Mapping

from simulator.instruments import seen
from simulator.layout import PHASES, VOLTS
from simulator.plant import Plant
from simulator.snmp import ber
from simulator.snmp.mib import Mib, Order, SetError, Writable
from simulator.snmp.system import ENGINE, UPTIME, static_objects, uptime

RPDU2: ber.Oid = (1, 3, 6, 1, 4, 1, 318, 1, 1, 26)
MODEL: ber.Oid = (1, 3, 6, 1, 4, 1, 318, 1, 3, 4, 6)
COMMAND: ber.Oid = (*RPDU2, 9, 2, 4, 1, 5)
COMMAND_ON, COMMAND_OFF = 1, 2
STATE_OFF, STATE_ON = 1, 2
PENDING, NOT_PENDING = 1, 2
LOAD_NORMAL, LOAD_NEAR, LOAD_OVER = 2, 3, 4
PHASE_COLUMNS = (4, 5, 6, 7, 8)
"""Below 6.3.1: load state, 0.1 A, V, 0.01 kW, 0.01 kVA."""
DEVICE_COLUMNS = (4, 5, 9, 16)
"""Below 4.3.1: load state, 0.01 kW, 0.1 kWh, 0.01 kVA."""
OUTLET_COLUMNS: tuple[ber.Oid, ...] = (
    (9, 2, 3, 1, 5),
    (9, 2, 3, 1, 6),
    (9, 4, 3, 1, 6),
    (9, 4, 3, 1, 7),
    (9, 4, 3, 1, 11),
)
"""State, command pending, 0.1 A, W, 0.1 kWh."""


class ApcPdu:
    """One PDU's view of the plant: rack, side, and the nodes on its outlets."""

    def __init__(self, plant: Plant, pdu: int) -> None:
        self.plant = plant
        self.name = plant.layout.pdus[pdu]
        self.rack, self.side = divmod(pdu, 2)
        self.nodes = list(plant.layout.nodes_of_rack(self.rack))
        self.rated_amperes = plant.layout.rated_amperes(self.rack)

    def mib(self, *, engine_id: bytes, boots: int, seconds: Callable[[], float]) -> Mib:
        """All objects of this PDU."""
        outlets = range(1, len(self.nodes) + 1)
        dynamic = [
            UPTIME,
            (*ENGINE, 3, 0),
            *((*RPDU2, 6, 3, 1, column, line) for line in range(1, PHASES + 1) for column in PHASE_COLUMNS),
            *((*RPDU2, 4, 3, 1, column, 1) for column in DEVICE_COLUMNS),
            *((*RPDU2, *column, outlet) for outlet in outlets for column in OUTLET_COLUMNS),
            *((*COMMAND, outlet) for outlet in outlets),
        ]
        system = static_objects(
            descr="APC Web/SNMP Management Card (simulated rPDU2g)", object_id=MODEL, name=self.name,
            location=self.plant.layout.racks[self.rack], engine_id=engine_id, boots=boots,
        )  # fmt: skip
        return Mib(
            static={**system, **self._identity()},
            dynamic=dynamic,
            render=lambda: self._render(seconds),
            tick=lambda: self.plant.tick,
            writable=self._writable(),
        )

    def _identity(self) -> Mapping[ber.Oid, bytes]:
        objects: dict[ber.Oid, bytes] = {
            (*RPDU2, 2, 1, column, 1): ber.octets(text.encode())
            for column, text in {3: self.name, 6: "v6.4.0", 8: "AP8XXX", 9: f"SIM{self.name}"}.items()
        }
        objects |= {
            (*RPDU2, 6, 3, 1, column, line): ber.integer(value)
            for line in range(1, PHASES + 1)
            for column, value in {1: line, 2: 1, 3: line, 9: 100}.items()
        }
        for outlet, node in enumerate(self.nodes, start=1):
            name = ber.octets(self.plant.layout.nodes[node].encode())
            for column in ((9, 2, 3, 1), (9, 4, 3, 1)):
                objects[*RPDU2, *column, 1, outlet] = ber.integer(outlet)
                objects[*RPDU2, *column, 2, outlet] = ber.integer(1)
                objects[*RPDU2, *column, 3, outlet] = name
                objects[*RPDU2, *column, 4, outlet] = ber.integer(outlet)
        return objects

    def _load_state(self, ampere: float) -> int:
        share = ampere / self.rated_amperes
        return LOAD_OVER if share > 1.0 else LOAD_NEAR if share > 0.8 else LOAD_NORMAL

    def _render(self, seconds: Callable[[], float]) -> list[bytes]:
        power = self.plant.power
        integer = ber.integer
        watts = power.phase_watts[self.rack, self.side].tolist()
        amperes = seen(self.plant, "phase-amperes")[self.rack, self.side].tolist()
        volts = power.volts[self.rack, self.side].tolist()
        values = [uptime(seconds), integer(int(seconds()))]
        for watt, ampere, volt in zip(watts, amperes, volts, strict=True):
            hundredths = integer(round(watt / 10))
            values += (
                integer(self._load_state(ampere)),
                integer(round(ampere * 10)),
                integer(round(volt)),
                hundredths,
                hundredths,
            )
        total = integer(round(sum(watts) / 10))
        tenths = integer(int(float(power.phase_watt_hours[self.rack, self.side].sum()) / 100), ber.GAUGE32)
        values += (integer(self._load_state(max(amperes))), total, tenths, total)
        span = slice(self.nodes[0], self.nodes[-1] + 1)
        outlet_hours = power.outlet_watt_hours[span, self.side].tolist()
        states = self._states()
        for (state, pending), watt, hour in zip(
            states, seen(self.plant, "outlet-watts")[span, self.side].tolist(), outlet_hours, strict=True
        ):
            tenths = integer(int(hour / 100), ber.GAUGE32)
            values += (
                integer(state),
                integer(pending),
                integer(round(watt / VOLTS * 10)),
                integer(round(watt)),
                tenths,
            )
        values += (integer(COMMAND_ON if state == STATE_ON else COMMAND_OFF) for state, _ in states)
        return values

    def _states(self) -> list[tuple[int, int]]:
        power = self.plant.power
        span = slice(self.nodes[0], self.nodes[-1] + 1)
        pairs = zip(power.relay[span, self.side].tolist(), power.pending[span, self.side].tolist(), strict=True)
        return [(STATE_ON if closed else STATE_OFF, PENDING if pending else NOT_PENDING) for closed, pending in pairs]

    def _writable(self) -> dict[ber.Oid, Writable]:
        return {(*COMMAND, outlet): self._switch(outlet, node) for outlet, node in enumerate(self.nodes, start=1)}

    def _switch(self, outlet: int, node: int) -> Writable:
        def judge(value: int) -> Order | SetError:
            if value not in (COMMAND_ON, COMMAND_OFF):
                return SetError.WRONG_VALUE
            on = value == COMMAND_ON
            arguments = {"outlet": str(outlet), "value": value}
            act = lambda: self.plant.switch_outlet(node, self.side, on=on)  # noqa: E731 - the deed, kept beside its name
            return Order("outlet_on" if on else "outlet_off", arguments, act)

        return judge
