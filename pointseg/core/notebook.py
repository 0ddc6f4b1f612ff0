"""What notebooks show of our objects: small tables in HTML; all text is escaped and nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

#: Rows that a table has at most; the rest is counted.
MAX_ROWS = 25


def html_table(
    title: str,
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    swatches: Sequence[tuple[int, int, int]] | None = None,
) -> str:
    """A table with a title; the first column is text, the others are aligned as numbers.

    Args:
        title: a line above it.
        headings: names of the columns.
        rows: as many texts or numbers each; of many the first ones are shown.
        swatches: a colour before each row.
    """
    lines = [f"<div><strong>{escape(title)}</strong>"]
    if rows:
        head = "".join(_cell("th", heading, place) for place, heading in enumerate(headings))
        lines.append(f"<table><thead><tr>{head}</tr></thead><tbody>")
        for number, row in enumerate(rows[:MAX_ROWS]):
            mark = "" if swatches is None else _swatch(swatches[number])
            cells = "".join(_cell("td", value, place, mark) for place, value in enumerate(row))
            lines.append(f"<tr>{cells}</tr>")
        lines.append("</tbody></table>")
    if len(rows) > MAX_ROWS:
        lines.append(f"<small>and {len(rows) - MAX_ROWS} more</small>")
    return "".join([*lines, "</div>"])


def share(value: float | None) -> str:
    """A share as percent, a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f}"


def _cell(tag: str, value: object, place: int, mark: str = "") -> str:
    side = "left" if place == 0 else "right"
    return f'<{tag} style="text-align:{side}">{mark if place == 0 else ""}{escape(str(value))}</{tag}>'


def _swatch(color: tuple[int, int, int]) -> str:
    red, green, blue = (int(channel) for channel in color)
    size = "display:inline-block;width:0.8em;height:0.8em;border-radius:0.2em;margin-right:0.5em"
    return f'<span style="{size};background:rgb({red},{green},{blue})"></span>'
