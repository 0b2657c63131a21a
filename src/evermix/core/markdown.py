"""Tables in Markdown, as questions, reviews and pages have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table_lines(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return a table as lines, with an empty one after it; a cell is one line, and a ``|`` in it ends no cell."""
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows), ""]


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(cell: Any) -> str:
    return " ".join(str(cell).split()).replace("|", "\\|")
