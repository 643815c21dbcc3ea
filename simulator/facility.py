"""What the facility's people do by hand when they are asked: valves, pumps and generators, which nobody else moves."""

from simulator.generators import STRINGS
from simulator.plant import Plant


def grant(plant: Plant, asset: str) -> None:
    """Carry out what was asked for about an asset: isolate a rack, start a CDU's standby pump, reset and start a string."""
    layout, strings = plant.layout, [f"gen-{place + 1}" for place in range(STRINGS)]
    if asset in layout.racks:
        plant.cooling.valve_wanted[layout.racks.index(asset)] = 0.0
    elif asset in layout.cdus:
        plant.cooling.standby_wanted[layout.cdus.index(asset)] = True
    elif asset in strings:
        plant.sources.generators.reset(strings.index(asset))
        plant.sources.generators.start([strings.index(asset)])
    else:
        raise ValueError(f"nobody can be asked to do anything about {asset}, try a rack, a CDU or a generator string")
