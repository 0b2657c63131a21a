"""The plan: what is known of the weeks after ``as_of`` - planned spend, regressors known ahead - and no target.

A plan touches no model, so what is wrong with one is a warning, and a plan with a fault is not used at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import pandas as pd

from evermix.config import ModelParams
from evermix.core import quality
from evermix.core.panel import (
    GRID_LIMIT,
    WEEKDAYS,
    grid_cells,
    held_back_weeks,
    label_weekday,
    not_launched,
    panel_of,
    parse_dates,
    type_rows,
    value_columns,
    week_of,
    weekly_grid,
)
from evermix.records import Fault

_SHOWN = 5


def plan_panel(
    frame: pd.DataFrame, params: ModelParams, as_of: date, geos: Sequence[str]
) -> tuple[pd.DataFrame | None, list[Fault]]:
    """Return a plan as a panel of the weeks after ``as_of``, and what is wrong with it; None with any fault.

    Rows up to ``as_of`` are left alone, so that one table may hold both.  The columns are those of the model's panel
    with an empty target; those of a retired or not yet launched channel may be absent.

    Parameters
    ----------
    frame : DataFrame of text
        The plan, labelled by row number.
    geos : sequence of str
        Of the model's panel; the plan must have each in every week.
    """
    columns, source = params.columns, params.source
    absent = [name for name in (columns.date, columns.geo) if name is not None and name not in frame]
    if absent or frame.columns.has_duplicates:
        what = f"no column {', '.join(absent)}" if absent else "a column name stands twice"
        return None, [
            _fault("header", what, ", ".join(map(str, frame.columns[:12])), "the source's columns, each once")
        ]
    dates = parse_dates(frame[columns.date])
    unread = [
        _cell(columns.date, label, frame, "not a date", "dates, all alike") for label in dates.index[dates.isna()]
    ]
    future = frame[week_of(dates, source.week_start) > pd.Timestamp(as_of)]
    if unread or future.empty:
        none = _fault("rows", "no week after as_of", f"{len(frame)} row(s)", f"rows of weeks after {as_of}")
        return None, _first(unread) or [none]
    faults = _first(list(_cell_faults(future, params)))
    if faults:
        return None, faults
    rows = type_rows(future, columns, source)
    last = rows["week"].max().date()
    if grid_cells(rows, last) > GRID_LIMIT:
        return None, [_fault("rows", "the last date is too far ahead", str(last), "the weeks to come")]
    grid = weekly_grid(rows, columns, source, last)
    held_back = pd.to_datetime(held_back_weeks(rows, source, last))
    grid = grid[~grid.index.get_level_values("week").isin(held_back)]
    faults = _first(list(_week_faults(grid, params, as_of, geos)))
    return (None, faults) if faults else (panel_of(grid), [])


def _cell_faults(frame: pd.DataFrame, params: ModelParams) -> Iterator[Fault]:
    columns, source = params.columns, params.source
    dates = parse_dates(frame[columns.date])
    if source.frequency == "weekly":
        on = label_weekday(source)
        for label in dates.index[dates.dt.weekday != WEEKDAYS.index(on)]:
            yield _cell(columns.date, label, frame, "a weekly row on another day", f"{on}, as in the source")
    may_lack = not_launched(columns, dates.max().date()) | {
        column for c in columns.channels.values() if c.retired for column in (c.spend, c.exposure) if column is not None
    }
    for name, (column, _) in value_columns(columns).items():
        if name == "target":
            continue
        if column not in frame:
            if column not in may_lack:
                yield _fault("header", f"no column {column} ({name})", "not there", "every input of the model")
            continue
        text, is_media = frame[column], name.startswith(("spend.", "exposure."))
        masks = {"not a plain finite number": quality.is_plain_number(text) & quality.is_finite(text)}
        masks |= (
            {"a negative amount": quality.is_not_negative(text)} if is_media else {"blank": quality.is_filled(text)}
        )
        for what, kept in masks.items():
            for label in text.index[~kept]:
                yield _cell(column, label, frame, what, "0 or more" if is_media else "a number in every row")


def _week_faults(grid: pd.DataFrame, params: ModelParams, as_of: date, geos: Sequence[str]) -> Iterator[Fault]:
    weeks = grid.index.get_level_values("week")
    found = sorted(set(grid.index.get_level_values("geo")))
    if found != sorted(geos):
        yield _fault("rows", "other geos than the data", ", ".join(found), ", ".join(sorted(geos)))
    first = pd.Timestamp(as_of) + pd.Timedelta(weeks=1)
    if grid.empty or weeks.min() != first:
        began = "none whole" if grid.empty else f"{weeks.min():%Y-%m-%d}"
        yield _fault("rows", "the first planned week does not follow as_of", began, f"{first:%Y-%m-%d}")
    most = grid["days"] if params.source.frequency == "daily" else 1
    is_daily = params.source.frequency == "daily"
    told = (grid["rows"] > 0) & (grid["rows"] <= most) & ((grid["days"] == 7) | (not is_daily))
    for (week, geo), rows in zip(grid.index[~told], grid["rows"][~told].tolist(), strict=True):
        expected = "7 days, once each" if is_daily else "one row"
        where = f"week {pd.Timestamp(week).date()}, geo {geo!s}"
        yield _fault(where, "missing or repeated", f"{rows} row(s)", expected)


def _first(faults: list[Fault]) -> list[Fault]:
    more = len(faults) - _SHOWN
    return faults[:_SHOWN] + ([_fault(f"{more} more places", "not listed", "", "")] if more > 0 else [])


def _cell(column: str, label: int, frame: pd.DataFrame, what: str, expected: str) -> Fault:
    return _fault(f"row {label}, column {column}", what, repr(str(frame.at[label, column])[:60]), expected)


def _fault(where: str, what: str, value: str, expected: str) -> Fault:
    action = "Correct the plan; until then nothing is forecast from it. The model is not touched."
    return Fault(rule="bad_plan", where=f"plan, {where}", what=what, value=value, expected=expected, action=action)
