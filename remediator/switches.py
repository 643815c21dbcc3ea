"""The stop switch and the lockouts as files: they work with bus and database down, and the actuator reads them itself.

`data/stop` holds `corrective` or `all`; `data/lockouts.json` is a list of {asset, actor, reason, at_ms}. A file that is there
and cannot be read counts as the strictest thing it could say.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fleet.errors import HallkeeperError
from fleet.model import AssetId
from remediator.durable import sync_folder, write_durably
from remediator.facts import Lockout, Stop

STOP_FILE = "stop"
LOCKOUT_FILE = "lockouts.json"
EVERYTHING = AssetId("*")
"""What an unreadable lockout file locks."""


class _Entry(msgspec.Struct, frozen=True):
    asset: str
    actor: str
    reason: str
    at_ms: int = 0


class SwitchError(HallkeeperError):
    """A switch cannot be thrown; the message says why."""


@dataclass(frozen=True, slots=True)
class Switches:
    """The two files in the data folder."""

    data: Path

    def stop(self) -> Stop:
        """How far the switch is thrown; anything unreadable means all."""
        try:
            word = (self.data / STOP_FILE).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return Stop.NONE
        except (OSError, UnicodeDecodeError):
            return Stop.ALL
        return Stop.CORRECTIVE if word == "corrective" else Stop.ALL

    def lockouts(self) -> tuple[Lockout, ...]:
        """Every lock; an unreadable file locks everything."""
        try:
            entries = msgspec.json.decode((self.data / LOCKOUT_FILE).read_bytes(), type=list[_Entry])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            return (Lockout(asset=EVERYTHING, actor="hallkeeper", reason=f"{LOCKOUT_FILE} cannot be read: {error}"),)
        return tuple(Lockout(asset=AssetId(e.asset), actor=e.actor, reason=e.reason) for e in entries)

    def throw(self, stop: Stop) -> None:
        """Stop, further or less far; `Stop.NONE` takes the file away."""
        if stop is Stop.NONE:
            (self.data / STOP_FILE).unlink(missing_ok=True)
            sync_folder(self.data)
            return
        write_durably(self.data / STOP_FILE, b"corrective\n" if stop is Stop.CORRECTIVE else b"all\n")

    def lock(self, asset: str, *, actor: str, reason: str, at_ms: int) -> None:
        """Lock an asset; one lock a person and asset."""
        entries = [e for e in self._entries() if (e["asset"], e["actor"]) != (asset, actor)]
        entries.append({"asset": asset, "actor": actor, "reason": reason, "at_ms": at_ms})
        write_durably(self.data / LOCKOUT_FILE, _json(entries))

    def unlock(self, asset: str, *, actors: Sequence[str], admins: Sequence[str] = ()) -> None:
        """Take a lock away: its owner, or two administrators. Raises `SwitchError`."""
        entries = self._entries()
        here = [entry for entry in entries if entry["asset"] == asset]
        if not here:
            raise SwitchError(f"{asset} is not locked out")
        owned = [entry for entry in here if entry["actor"] in actors]
        going = here if len(set(admins)) >= 2 else owned
        if not going:
            owners = ", ".join(sorted(entry["actor"] for entry in here))
            raise SwitchError(f"{asset} is locked out by {owners}: its owner removes it, or two administrators")
        write_durably(self.data / LOCKOUT_FILE, _json([entry for entry in entries if entry not in going]))

    def _entries(self) -> list[dict[str, Any]]:
        try:
            found = json.loads((self.data / LOCKOUT_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise SwitchError(
                f"{self.data / LOCKOUT_FILE}: {error}, everything stays locked until it is mended"
            ) from error
        return list(found)


def locks(lockouts: Sequence[Lockout], scope: frozenset[AssetId]) -> tuple[Lockout, ...]:
    """The locks that reach into a scope; an unreadable file's lock reaches everywhere."""
    return tuple(lockout for lockout in lockouts if lockout.asset in scope or lockout.asset == EVERYTHING)


def _json(entries: list[dict[str, Any]]) -> bytes:
    return (json.dumps(entries, indent=1) + "\n").encode()
