"""Tables in the manner of kubectl: columns three blanks apart, nothing cut off."""

from collections.abc import Sequence

GAP = "   "


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The heads and the rows, aligned to the left."""
    widths = [max(len(line[column]) for line in (heads, *rows)) for column in range(len(heads))]
    lines = [GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (heads, *rows)]
    return "\n".join(line.rstrip() for line in lines)
