"""Series tables of a recording in the window's place for them: made when a frame names them, never encoded."""

from collections.abc import Callable, Iterator

from bus.frames import SeriesTable
from historian.recording.told import Told
from rules.window.tables import Key, Tables


class RecordedTables(Tables):
    """What was recorded, beside what is made during the replay. Labels are read for metrics that somebody needs."""

    def __init__(self, needs: Callable[[str], object]) -> None:
        """`needs` is asked when a table is made, and tells what anybody needs of a metric."""
        super().__init__()
        self._needs = needs
        self._recorded: dict[Key, tuple[Told, int]] = {}

    def keep(self, told: Told) -> Iterator[SeriesTable]:
        """Remember tables; those that frames have been waiting for are to be learnt at once."""
        waited_for = {(frame.source, frame.layout) for frame in self._parked}
        for place, key in enumerate(told.keys):
            self._recorded[key] = told, place
            if key in waited_for:
                yield told.table(place)

    def find(self, source: str, layout: int) -> SeriesTable | None:
        """The table of a layout, if it was told."""
        known = self._recorded.get((source, layout))
        return super().find(source, layout) if known is None else known[0].table(known[1], self._needs)
