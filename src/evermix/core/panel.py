"""The canonical weekly table: how source rows get their week, their numbers and their place in it.

Text in, panel out.  Whether the text may be believed is not asked here: ``core/quality.py`` has the rules.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np
import pandas as pd

from evermix.config import ColumnParams, SourceParams

WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
ALL_GEOS = "all"
GRID_LIMIT = 500_000
"""Cells of week and geo that a history may have: 40 years of 240 geos."""
PLAIN_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"

# One format must hold for a whole column, so that 03/04 and 04/03 cannot be mixed up row by row.
_DATE_FORMATS = {
    "%Y-%m-%d": r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}",
    "%Y/%m/%d": r"[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}",
    "%Y%m%d": r"[0-9]{8}",
    "%d.%m.%Y": r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}",
    "%d/%m/%Y": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%m/%d/%Y": r"[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%d-%m-%Y": r"[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}",
    "%d %b %Y": r"[0-9]{1,2} [A-Za-z]{3} [0-9]{4}",
    "%d-%b-%Y": r"[0-9]{1,2}-[A-Za-z]{3}-[0-9]{4}",
}
_MIDNIGHT = r"[T ]00:00(:00(\.0+)?)?(Z|[+-][0-9][0-9]:?[0-9][0-9])?$"


def date_format(text: pd.Series) -> str:
    """Return the one date format that reads most values of a column; the first of equals, ISO before all."""
    bare = _bare_dates(text)
    counts: dict[str, int] = {}
    for form in _DATE_FORMATS:
        counts[form] = int(_read_dates(bare, form).notna().sum())
        if counts[form] == len(bare):
            break
    return max(counts, key=lambda form: counts[form])


def parse_dates(text: pd.Series) -> pd.Series:
    """Return dates (datetime64[s]) of a text column, NaT where a value is not of the column's one format.

    Midnight is cut off; any other time of day, and a year outside 1990 to 2100, is unreadable.
    """
    bare = _bare_dates(text)
    return _read_dates(bare, date_format(text))


def _bare_dates(text: pd.Series) -> pd.Series:
    return text.str.strip().str.replace(_MIDNIGHT, "", regex=True)


def _read_dates(bare: pd.Series, form: str) -> pd.Series:
    shaped = bare.where(bare.str.fullmatch(_DATE_FORMATS[form]).astype(bool))
    dates = pd.to_datetime(shaped, format=form, errors="coerce").astype("datetime64[s]")
    return dates.where(dates.dt.year.between(1990, 2100))


def parse_numbers(text: pd.Series) -> pd.Series:
    """Return floats of a text column: NaN where blank, and where it is not a plain finite number."""
    plain = re.compile(PLAIN_NUMBER)
    values = [float(cell) if plain.fullmatch(cell) else np.nan for cell in text.str.strip()]
    numbers = pd.Series(values, index=text.index, dtype=float)
    return numbers.where(np.isfinite(numbers))


def week_of(dates: pd.Series, week_start: str) -> pd.Series:
    """Return the Monday that names the source week of each date.

    A source week of seven days holds exactly one Monday, whatever day it starts on.

    Parameters
    ----------
    dates : Series of datetime64
    week_start : str
        First day of the source's week, ``MON`` to ``SUN``.
    """
    start = WEEKDAYS.index(week_start)
    since_start = (dates.dt.weekday - start) % 7
    to_monday = (7 - start) % 7
    weeks: pd.Series = dates - pd.to_timedelta(since_start, unit="D") + pd.Timedelta(days=to_monday)
    return weeks


def last_day(week: date, week_start: str) -> date:
    """Return the last day of the source week that a Monday names."""
    return week - timedelta(days=(7 - WEEKDAYS.index(week_start)) % 7) + timedelta(days=6)


def is_waiting(dates: pd.Series, source: SourceParams, as_of: date) -> bool:
    """Return whether the source has not come to week ``as_of``, or not to its last day where rows are daily.

    A date that cannot be read, lies on another day of the week than the others should, or leaves a week out might be
    the one waited for, mistyped: then the week is not waiting but faulty.
    """
    if dates.empty or bool(dates.isna().any()):
        return False
    weeks = week_of(dates, source.week_start)
    if bool((weeks.drop_duplicates().sort_values().diff() > pd.Timedelta(weeks=1)).any()):
        return False
    if source.frequency == "daily":
        return bool(dates.max() < pd.Timestamp(last_day(as_of, source.week_start)))
    if bool((dates.dt.weekday != WEEKDAYS.index(label_weekday(source))).any()):
        return False
    return bool(weeks.max() < pd.Timestamp(as_of))


def whole_weeks(dates: pd.Series, source: SourceParams) -> dict[str, str | None]:
    """Return ``first_week`` and ``last_week`` of a source, ISO Mondays; None where no date can be read.

    Of daily rows the last week counts when its last day is there.
    """
    known = dates.dropna()
    if known.empty:
        return {"first_week": None, "last_week": None}
    weeks = week_of(known, source.week_start)
    last = weeks.max()
    if source.frequency == "daily" and known.max() < pd.Timestamp(last_day(last.date(), source.week_start)):
        last -= pd.Timedelta(weeks=1)
    return {"first_week": weeks.min().strftime("%Y-%m-%d"), "last_week": last.strftime("%Y-%m-%d")}


def label_weekday(source: SourceParams) -> str:
    """Return the day of the week on which a weekly row of this source is dated."""
    shift = 0 if source.label == "start" else 6
    return WEEKDAYS[(WEEKDAYS.index(source.week_start) + shift) % 7]


def value_columns(columns: ColumnParams) -> dict[str, tuple[str, str]]:
    """Return source column and aggregate by panel column, in the panel's order; money and exposure add up."""
    out: dict[str, tuple[str, str]] = {"target": (columns.target.column, columns.target.aggregate)}
    channels = columns.channels.items()
    out |= {f"spend.{name}": (c.spend, "sum") for name, c in channels}
    out |= {f"exposure.{name}": (c.exposure, "sum") for name, c in channels if c.exposure is not None}
    out |= {f"control.{name}": (c.column, c.aggregate) for name, c in columns.controls.items()}
    out |= {f"event.{name}": (c.column, c.aggregate) for name, c in columns.delivered_events().items()}
    return out


def not_launched(columns: ColumnParams, as_of: date) -> set[str]:
    """Return source columns that may be absent, as their channel is launched after ``as_of``."""
    late = [c for c in columns.channels.values() if c.launched and date.fromisoformat(c.launched) > as_of]
    return {column for c in late for column in (c.spend, c.exposure) if column is not None}


def type_rows(frame: pd.DataFrame, columns: ColumnParams, source: SourceParams) -> pd.DataFrame:
    """Return the rows with typed ``date``, ``week``, ``geo`` and panel columns; unreadable cells are NaT or NaN.

    Parameters
    ----------
    frame : DataFrame of text
        Source columns, blank text where nothing was told.  A column that is not there reads as blank.
    """
    blank = pd.Series("", index=frame.index, dtype="str")
    dates = parse_dates(frame.get(columns.date, blank))
    geo = blank.replace("", ALL_GEOS) if columns.geo is None else frame.get(columns.geo, blank).str.strip()
    values = {name: parse_numbers(frame.get(column, blank)) for name, (column, _) in value_columns(columns).items()}
    return pd.DataFrame({"date": dates, "week": week_of(dates, source.week_start), "geo": geo} | values)


def weekly_grid(rows: pd.DataFrame, columns: ColumnParams, source: SourceParams, as_of: date) -> pd.DataFrame:
    """Return one row per week and geo from the first whole week to ``as_of``, told by the source or not.

    Parameters
    ----------
    rows : DataFrame
        From `type_rows`; rows without a date or after ``as_of`` play no part.

    Returns
    -------
    DataFrame
        Index (week, geo).  ``rows`` counts source rows and ``days`` distinct dates (both 0 in a gap), ``row`` is the
        first row's label in ``rows``; then the panel's columns: blank spend and exposure are 0, as the channel was not
        used; NaN stays in target, controls and events.
    """
    known = rows[rows["week"].notna() & (rows["week"] <= pd.Timestamp(as_of))]
    known = known.assign(row=known.index).sort_values(["week", "geo", "date", "row"], kind="stable")
    known = known[known["week"] >= _first_whole_week(known, source)]
    media = [name for name in value_columns(columns) if name.startswith(("spend.", "exposure."))]
    known[media] = known[media].fillna(0.0)
    groups = known.groupby(["week", "geo"], sort=True)
    parts = {"rows": groups.size(), "days": groups["date"].nunique(), "row": groups["row"].min()}
    for name, (_, aggregate) in value_columns(columns).items():
        how = aggregate if source.frequency == "daily" else "first"
        # A blank day must not pass for a smaller week, so NaN spreads through every aggregate.
        parts[name] = getattr(groups[name], how)(skipna=False)
    grid = pd.DataFrame(parts).reindex(_calendar(known, as_of))
    grid[["rows", "days"]] = grid[["rows", "days"]].fillna(0).astype(int)
    return grid


def grid_cells(rows: pd.DataFrame, as_of: date) -> int:
    """Return how many cells `weekly_grid` would have: one odd date or a geo per row must not fill the memory."""
    known = rows[rows["week"].notna() & (rows["week"] <= pd.Timestamp(as_of))]
    if known.empty:
        return 0
    weeks = (pd.Timestamp(as_of) - known["week"].min()).days // 7 + 1
    return int(weeks * known["geo"].nunique())


def held_back_weeks(rows: pd.DataFrame, source: SourceParams, as_of: date) -> list[str]:
    """Return the incomplete first and last weeks of daily rows, which are not modelled."""
    if source.frequency == "weekly" or rows["date"].notna().sum() == 0:
        return []
    known = rows[rows["week"] <= pd.Timestamp(as_of)]
    out = [] if known.empty or known["week"].min() == _first_whole_week(known, source) else [known["week"].min()]
    latest = known["week"].max()
    if not known.empty and known["date"].max() < pd.Timestamp(last_day(latest.date(), source.week_start)):
        out.append(latest)
    return sorted({week.date().isoformat() for week in out})


def to_panel(frame: pd.DataFrame, columns: ColumnParams, source: SourceParams, as_of: date) -> pd.DataFrame:
    """Return the canonical panel of a text table: sorted by week and geo, incomplete weeks of daily rows held back.

    Returns
    -------
    DataFrame
        ``week`` (datetime64[s]), ``geo`` (str), ``target`` (NaN where late), then spend, exposure, control and event
        columns in the order of params.
    """
    rows = type_rows(frame, columns, source)
    grid = weekly_grid(rows, columns, source, as_of)
    held_back = pd.to_datetime(held_back_weeks(rows, source, as_of))
    return panel_of(grid[~grid.index.get_level_values("week").isin(held_back)])


def panel_of(grid: pd.DataFrame) -> pd.DataFrame:
    """Return the canonical panel of a grid's told weeks."""
    panel = grid[grid["rows"] > 0].drop(columns=["rows", "days", "row"]).reset_index()
    return panel.astype({"week": "datetime64[s]", "geo": "str"})


def _first_whole_week(known: pd.DataFrame, source: SourceParams) -> pd.Timestamp:
    """A daily history that begins in mid-week begins, for us, with the week after."""
    first: pd.Timestamp = known["week"].min()
    if source.frequency == "weekly" or known.empty:
        return first
    starts = pd.Timestamp(last_day(first.date(), source.week_start)) - pd.Timedelta(days=6)
    return first if known["date"].min() <= starts else first + pd.Timedelta(days=7)


def _calendar(known: pd.DataFrame, as_of: date) -> pd.MultiIndex:
    if known.empty:
        weeks, geos = pd.DatetimeIndex([], dtype="datetime64[s]"), pd.Index([], dtype="str")
    else:
        weeks = pd.date_range(known["week"].min(), pd.Timestamp(as_of), freq="7D", unit="s")
        geos = pd.Index(sorted(known["geo"].unique()), dtype="str")
    return pd.MultiIndex.from_product([weeks, geos], names=["week", "geo"])
