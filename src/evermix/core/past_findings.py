"""What a delivery does to the last accepted one, and whether its new weeks are their own, as findings.

``core/past.py`` and ``core/newest.py`` compare; here it is said where.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from evermix.core.findings import Finding, Reading, short
from evermix.core.newest import copied_columns, exchanged_now
from evermix.core.panel import value_columns
from evermix.core.past import exchanged_past, misplaced_weeks, moved_columns, rewritten_columns


def past_findings(reading: Reading, found: Iterable[Finding]) -> list[Finding]:
    """Return what the delivery does to the last accepted one, asked only of columns that are there."""
    grid, columns = reading.grid, value_columns(reading.params.columns)
    absent = {f.column for f in found if f.rule in ("missing_column", "duplicate_column")}
    if grid.empty or reading.params.columns.date in absent:
        return []
    grid = grid.drop(columns=[name for name, (source, _) in columns.items() if source in absent])
    out = []
    if reading.accepted_panel is not None:
        old = reading.accepted_panel
        if reading.params.columns.geo not in absent:
            known, told = set(old.index.get_level_values("geo")), set(grid.index.get_level_values("geo"))
            out += [Finding("lost_geo", "delivery", None, None, geo) for geo in sorted(known - told)]
            out += [Finding("new_geo", "delivery", None, None, geo) for geo in sorted(told - known - {""})]
        rewritten = rewritten_columns(old, grid, reading.rewritten_share)
        out += [Finding("rewritten_history", "delivery", name, None, seen) for name, seen in rewritten.items()]
        for (a, b), exchange in exchanged_past(old, grid).items():
            seen = f"{exchange.cells} past cell(s) of {columns[a][0]} and {columns[b][0]} exchanged"
            rule = "exchange_corrected" if exchange.is_correction else "swapped_columns"
            out.append(Finding(rule, "delivery", a, None, seen))
        moved = moved_columns(old, grid)
        out += [Finding("misplaced_week", "delivery", name, None, seen) for name, seen in moved.items()]
        place = {key: number for number, key in enumerate(grid.index)}
        for week, geo, other in misplaced_weeks(old, grid):
            seen = f"the values of {other.date().isoformat()}"
            out.append(Finding("misplaced_week", "week", None, place[week, geo], seen))
    names = [str(name) for name in grid if name in columns and not str(name).startswith("event.")]
    weeks = grid.index.get_level_values("week")
    inner = weeks[weeks < weeks.max()] if reading.before is None else pd.DatetimeIndex(reading.before["week"])
    return out + _swapped_now(reading, grid, names, inner) + _swapped_geos(grid, names, inner)


def _swapped_geos(grid: pd.DataFrame, names: list[str], known: pd.DatetimeIndex) -> list[Finding]:
    """Return the new weeks in which two geos hold each other's values of a column, or one value."""
    place = {key: number for number, key in enumerate(grid.index)}
    out = []
    for name in names:
        wide = grid[name].unstack("geo")
        inner = wide.index.isin(known)
        for week, values in wide[~inner].iterrows():
            for a, b in exchanged_now(wide[inner], values):
                seen = f"{values[a]:g}, {short(b)} {values[b]:g}: each fits the other's past year"
                out.append(Finding("swapped_geos", "week", name, place[week, a], seen))
            for a, b in copied_columns(wide[inner], values):
                out.append(Finding("copied_geo", "week", name, place[week, a], f"{values[a]:g}, as {short(b)}"))
    return out


def _swapped_now(reading: Reading, grid: pd.DataFrame, names: list[str], known: pd.DatetimeIndex) -> list[Finding]:
    """Return the new weeks in which two columns hold each other's values, as far as can be told, or one value."""
    columns = value_columns(reading.params.columns)
    place = {key: number for number, key in enumerate(grid.index)}
    out = []
    for _, rows in grid.groupby(level="geo"):
        inner = rows.index.get_level_values("week").isin(known)
        for key, values in rows.loc[~inner & (rows["rows"] > 0).to_numpy(), names].iterrows():
            for a, b in exchanged_now(rows.loc[inner, names], values):
                seen = f"{columns[a][0]} {values[a]:g}, {columns[b][0]} {values[b]:g}: each fits the other's past year"
                out.append(Finding("swapped_columns", "week", str(a), place[key], seen))
            for a, b in copied_columns(rows.loc[inner, names], values):
                out.append(Finding("copied_column", "week", a, place[key], f"{values[a]:g}, as {columns[b][0]}"))
    return out
