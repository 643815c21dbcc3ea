"""The battery of the site: it follows a set point for as long as that is renewed, and carries what its sources do not."""

from simulator.settings import PlantSettings

SELF_USE_WATTS = 18_000.0
"""What pumps, fans and electronics of the containers take from the cells of 100 MWh; smaller ones take less in proportion."""
NOMINAL_WATT_HOURS = 100e6
TRANSFER_SECONDS = 0.31
"""From the loss of a supply to the battery's carrying the load; 500 ms are promised [reference, scenario 2]."""
CELL_CELSIUS = 28.0
NO_REVERSION = 0.0


class Battery:
    """State of charge, set point and limits; above zero it discharges into the site."""

    def __init__(self, settings: PlantSettings | None = None) -> None:
        settings = settings or PlantSettings()
        self.rated_watts = settings.bess_watts
        self.capacity_watt_hours = settings.bess_watt_hours
        self.self_use_watts = SELF_USE_WATTS * self.capacity_watt_hours / NOMINAL_WATT_HOURS
        self.charge_ratio = settings.bess_charge
        self.health_ratio = 0.971
        self.connected = True
        self.available_ratio = 1.0
        """Of its power: less while some of its inverters or strings are out."""
        self.watts = 0.0
        self.set_point_watts = 0.0
        self.set_point_enabled = False
        self.commanded = False
        """Whether anybody has ever written a set point."""
        self.reversion_seconds = NO_REVERSION
        """How long a set point lives without being written again; 0 for ever (SunSpec 704, WSetRvrtTms)."""
        self.reversion_left_seconds = 0.0
        self.reversions = 0
        """How often a set point has fallen back by itself."""
        self.transfer_seconds = 0.0
        """How long the last transfer took; 0 before the first."""
        self.hottest_celsius, self.coolest_celsius = CELL_CELSIUS, CELL_CELSIUS - 2.0
        self.heating_kelvin_per_second = 0.0
        """Of its hottest cells: a string that runs away."""
        self.offgas = self.smoke = False
        self.discharged_watt_hours = 1_250_000.0
        self.charged_watt_hours = 1_431_000.0
        self.self_used_watt_hours = 0.0
        self.seconds = 0.0

    @property
    def available_watts(self) -> float:
        """What it can give now."""
        return self.rated_watts * self.available_ratio if self.connected and self.charge_ratio > 0.0 else 0.0

    def command(self, *, watts: float, enabled: bool, reversion_seconds: float) -> None:
        """A set point, written or written again: its time to live begins anew."""
        self.set_point_watts = max(-self.rated_watts, min(self.rated_watts, watts))
        self.set_point_enabled, self.commanded = enabled, True
        self.reversion_seconds = reversion_seconds
        self.reversion_left_seconds = reversion_seconds if enabled else 0.0

    def _revert(self, seconds: float) -> None:
        if not (self.set_point_enabled and self.reversion_seconds > 0.0):
            return
        self.reversion_left_seconds -= seconds
        if self.reversion_left_seconds <= 1e-9:
            self.reversion_left_seconds = 0.0
            self.set_point_enabled = False
            self.reversions += 1

    def planned_watts(self, seconds: float) -> float:
        """What its set point asks for in the next step; 0 without one, and once it has reverted."""
        self._revert(seconds)
        return self.set_point_watts if self.set_point_enabled else 0.0

    def step(self, seconds: float, wanted_watts: float) -> None:
        """Give what is wanted, or take it where it is below zero, as far as inverters and cells go."""
        self.seconds += seconds
        self.watts = self._within_limits(wanted_watts, seconds)
        self._book(seconds)
        self.hottest_celsius = min(400.0, self.hottest_celsius + self.heating_kelvin_per_second * seconds)

    def _within_limits(self, wanted: float, seconds: float) -> float:
        """Power that neither the inverters nor the cells refuse in this step."""
        if not self.connected:
            return 0.0
        most = self.rated_watts * self.available_ratio
        hours = seconds / 3600.0
        left = self.charge_ratio * self.capacity_watt_hours
        room = (1.0 - self.charge_ratio) * self.capacity_watt_hours
        return max(-min(most, room / hours), min(wanted, most, left / hours))

    def _book(self, seconds: float) -> None:
        """What flows out of the cells is what the site gets and what the containers use themselves, to the last joule."""
        hours = seconds / 3600.0
        left = self.charge_ratio * self.capacity_watt_hours - self.watts * hours
        own = max(0.0, min(left, self.self_use_watts * hours))
        self.self_used_watt_hours += own
        self.charge_ratio = min(1.0, max(0.0, (left - own) / self.capacity_watt_hours))
        if self.watts > 0.0:
            self.discharged_watt_hours += self.watts * hours
        else:
            self.charged_watt_hours -= self.watts * hours

    @property
    def cell_volts(self) -> tuple[float, float]:
        """Highest and lowest cell: a straight line over the charge, 3.0 to 3.6 V, with 12 mV of spread."""
        middle = 3.0 + 0.6 * self.charge_ratio
        return middle + 0.006, middle - 0.006
