"""The highest leadership epoch that this lane has seen, on disk: an older leader is never obeyed again."""

from pathlib import Path

from fleet.errors import HallkeeperError
from remediator.durable import write_durably


class EpochError(HallkeeperError):
    """The epoch file cannot be read or written: nothing is sent while that is so."""


class EpochFile:
    """`data/epoch-<lane>`: one decimal number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.highest = self._read()

    def see(self, epoch: int) -> None:
        """Keep a higher epoch; durable when this returns. Raises `EpochError`."""
        if epoch <= self.highest:
            return
        try:
            write_durably(self._path, f"{epoch}\n".encode("ascii"))
        except OSError as error:
            raise EpochError(f"{self._path}: {error.strerror}, try freeing the disk") from error
        self.highest = epoch

    def _read(self) -> int:
        try:
            return int(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise EpochError(
                f"{self._path}: {error}; it holds the highest epoch seen, try writing the ledger's there"
            ) from error
