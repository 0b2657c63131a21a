"""How a table's rows stand in time: which column dates them, which tells geos apart, which day of a week is meant."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evermix.core import roles
from evermix.core.panel import PLAIN_NUMBER, WEEKDAYS, parse_dates
from evermix.engines.onboard.table import Table
from evermix.errors import ConfigError


def find_date(table: Table) -> tuple[str, pd.Series]:
    """Return the column that holds dates, and the dates: one named so before one that is not."""
    tried = []
    named = sorted(table.frame, key=lambda column: not roles.has_word(column, roles.DATE_WORDS))
    for column in named:
        text = table.frame[column]
        dates = parse_dates(text)
        by_name = roles.has_word(column, roles.DATE_WORDS)
        # Eight bare digits are a date only where the name says so.
        if dates.notna().mean() >= 0.95 and dates.nunique() > 1 and (by_name or not text.str.isdigit().any()):
            form = f"dates from {dates.min().date()} to {dates.max().date()}"
            table.roles[column] = f"date: {form}" + (", named like one" if by_name else "")
            return column, dates
        tried.append(f"{column} ({text.iloc[0][:20]!r})")
    raise table.error(
        f"no column holds dates; tried {', '.join(tried[:8])}, expected dates like 2026-01-05. "
        "Give each row its day, or the first or last day of its week."
    )


def find_geo(table: Table, dates: pd.Series) -> str | None:
    """Return the column that tells rows of one date apart; None where dates are unique."""
    if not dates.dropna().duplicated().any():
        return None
    texts = [c for c in table.open_columns() if 1 < table.frame[c].nunique() < len(table.frame) / 2]
    for column in sorted(texts, key=lambda c: not roles.has_word(c, roles.GEO_WORDS)):
        pairs = pd.DataFrame({"date": dates, "geo": table.frame[column]}).dropna()
        by_name = roles.has_word(column, roles.GEO_WORDS)
        numeric = table.frame[column].str.fullmatch(PLAIN_NUMBER).all()
        if pairs.duplicated().any() or (numeric and not by_name):
            continue
        geos, days = pairs["geo"].nunique(), pairs["date"].nunique()
        if len(pairs) == geos * days:
            table.roles[column] = f"geo: {geos} of them, each with all {days} dates"
            return column
        raise table.error(
            f"column {column}: {geos} geos over {days} dates give {len(pairs)} rows, expected {geos * days}. "
            "Deliver every geo for every date."
        )
    raise table.error(
        "several rows share a date and no column tells them apart, expected one row per date, or per date and geo. "
        "Add the rows up, or name the geo in a column called geo."
    )


def find_rhythm(table: Table, date: str, dates: pd.Series, label: str | None) -> dict[str, Any]:
    """Return ``frequency``, ``label`` and ``week_start``, and say of a weekly label what was assumed."""
    days = dates.dropna().drop_duplicates().sort_values()
    steps = days.diff().dt.days.dropna()
    usual = int(steps.mode().iloc[0])
    if usual not in (1, 7) or (steps == usual).mean() < 0.9:
        raise table.error(
            f"column {date}: rows are usually {usual} days apart, expected daily (1) or weekly (7) rows. "
            "Deliver days or weeks; months are too coarse for carry-over effects."
        )
    if usual == 1:
        if label is not None:
            raise ConfigError(f"--label: got {label}, and the rows are daily: each is its own day. Leave it out.")
        return {"frequency": "daily", "label": "start", "week_start": "MON"}
    weekday = int(days.dt.weekday.mode().iloc[0])
    label = label or _label_of(date, weekday)
    starts = {"start": WEEKDAYS[weekday], "end": WEEKDAYS[(weekday + 1) % 7]}
    other = "start" if label == "end" else "end"
    taken, opposite = (f"{'first' if way == 'start' else 'last'} day of its week" for way in (label, other))
    table.roles[date] += (
        f"; a row dated {days.iloc[-1].date()} ({WEEKDAYS[weekday]}) is taken as the {taken} (label {label}, "
        f"week_start {starts[label]}); if it is the {opposite}, say --label {other}"
    )
    return {"frequency": "weekly", "label": label, "week_start": starts[label]}


def _label_of(date: str, weekday: int) -> str:
    """Return which day of its week a row is dated by: as the column's name says, else as is usual for the weekday.

    Weeks start on Monday or on Sunday, and so end on Sunday or on Saturday; a Sunday alone could be either.  It is
    taken for the end, as in ISO weeks and as pandas and most databases label a weekly sum.
    """
    if roles.has_word(date, roles.END_WORDS):
        return "end"
    if roles.has_word(date, roles.START_WORDS):
        return "start"
    return "end" if WEEKDAYS[weekday] in ("SAT", "SUN") else "start"
