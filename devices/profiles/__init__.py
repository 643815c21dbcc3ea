"""What each device family means: one file a family, data only.

A profile names points, scales and switching values. It never opens a socket, and two families never share a switching
constant. A new family is a new module here with a `PROFILE`; nothing else lists it.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from devices.profiles.profile import Point, Profile, RowLabel, Switch, Switching, Table

__all__ = ["PROFILES", "Point", "Profile", "RowLabel", "Switch", "Switching", "Table"]


def _families() -> Iterator[Profile]:
    for module in iter_modules(__path__, prefix=f"{__name__}."):
        profile = getattr(import_module(module.name), "PROFILE", None)
        if profile is not None:
            yield profile


PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _families()})
