"""How metrics lie in streams and rings: what is worked out for one serves all that lie alike."""

from typing import Final

from rules.window.board import Block, Board, Pattern

PATTERNS: Final = 1_000
"""Patterns that are told apart; beyond, they are found anew."""


class Patterns:
    """One object for each way in which rows lie."""

    def __init__(self) -> None:
        self._known: dict[bytes, Pattern] = {}

    def of(self, block: Block, board: Board, structure: int) -> Pattern:
        """The block's pattern, looked for again when the window's structure is another than last time."""
        if block.pattern is not None and block.pattern[0] == structure:
            return block.pattern[1]
        owners, cells = board.stream[block.span], board.cell[block.span]
        block.first_cell = int(cells.min(initial=block.ring.width))
        cells = cells - block.first_cell
        key = block.ring.slots.to_bytes(8) + owners.tobytes() + cells.tobytes()
        found = self._known.get(key)
        if found is None:
            if len(self._known) > PATTERNS:
                self._known.clear()
            found = self._known[key] = Pattern(owners.copy(), cells)
        block.pattern = structure, found
        return found
