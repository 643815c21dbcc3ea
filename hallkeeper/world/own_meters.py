"""The protective lane's own meters: each PDU of the plant, asked directly, past collectors and bus."""

from collections.abc import Sequence

import numpy as np

from devices.reading import Reading, Series
from fleet.clock import Clock
from fleet.errors import Unreachable
from fleet.model import AssetId
from hallkeeper.world.instruments import series
from hallkeeper.world.network import PATIENCE_SECONDS, ROUND_TRIP_SECONDS, Network
from hallkeeper.world.process import Process
from remediator.meters import INLET, OUTLET
from simulator.layout import PHASES
from simulator.plant import Plant
from simulator.reach import Reach


class OwnMeters:
    """`remediator.meters.MeterReader` over the plant."""

    def __init__(self, plant: Plant, reach: Reach, network: Network, process: Process, clock: Clock) -> None:
        self._plant, self._reach, self._network = plant, reach, network
        self._process, self._clock = process, clock
        phases = [str(phase + 1) for phase in range(PHASES)]
        self._inlet: tuple[Series, ...] = (
            *(series("pdu_phase_current_amperes", phase=phase) for phase in phases),
            *(series("pdu_phase_voltage_volts", phase=phase) for phase in phases),
        )
        self._outlets: dict[int, tuple[Series, ...]] = {}

    async def read(self, pdu: AssetId, due: frozenset[str]) -> Sequence[Reading]:
        """A reading for each due signal group. Raises `Unreachable`."""
        name = str(pdu)
        if not self._reach.device(name) or not self._network.read(name):
            await self._process.sleep(PATIENCE_SECONDS)
            raise Unreachable(f"{name} does not answer")
        await self._process.sleep(ROUND_TRIP_SECONDS + self._reach.delay_seconds(name))
        power, layout = self._plant.power, self._plant.layout
        rack, side = divmod(layout.pdu_index[name], 2)
        found = [(INLET, self._inlet, np.concatenate([power.phase_amperes[rack, side], power.volts[rack, side]]))]
        if OUTLET in due:
            nodes = layout.nodes_of_rack(rack)
            watts = np.round(power.outlet_watts[nodes.start : nodes.stop, side])
            found.append((OUTLET, self._outlet_series(len(nodes)), watts))
        at_ms = self._clock.now_ms()
        return [
            Reading(series=names, values=np.asarray(values), at_ms=at_ms, signal=signal)
            for signal, names, values in found
            if signal in due
        ]

    def _outlet_series(self, count: int) -> tuple[Series, ...]:
        """The same object every time: layouts are known by it."""
        if count not in self._outlets:
            self._outlets[count] = tuple(
                series("pdu_outlet_power_watts", outlet=str(place + 1)) for place in range(count)
            )
        return self._outlets[count]
