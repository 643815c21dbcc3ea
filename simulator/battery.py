"""The battery of the site: full, connected, and idle but for its own losses."""

CAPACITY_WATT_HOURS = 100_000_000.0
RATED_WATTS = 25_000_000.0
SELF_USE_WATTS = 18_000.0
"""What pumps, fans and electronics of the containers take from the cells."""


class Battery:
    """State of charge and power; above zero it discharges into the site."""

    def __init__(self) -> None:
        self.charge_ratio = 0.83
        self.health_ratio = 0.971
        self.watts = 0.0
        self.discharged_watt_hours = 1_250_000.0
        self.charged_watt_hours = 1_431_000.0
        self.seconds = 0.0

    def step(self, seconds: float) -> None:
        """Lose the containers' own use, and whatever is discharged."""
        self.seconds += seconds
        drained = (self.watts + SELF_USE_WATTS) * seconds / 3600.0
        self.charge_ratio = min(1.0, max(0.0, self.charge_ratio - drained / CAPACITY_WATT_HOURS))
        if self.watts > 0.0:
            self.discharged_watt_hours += self.watts * seconds / 3600.0
        else:
            self.charged_watt_hours -= self.watts * seconds / 3600.0

    @property
    def cell_volts(self) -> tuple[float, float]:
        """Highest and lowest cell: a straight line over the charge, 3.0 to 3.6 V, with 12 mV of spread."""
        middle = 3.0 + 0.6 * self.charge_ratio
        return middle + 0.006, middle - 0.006
