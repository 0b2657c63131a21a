"""Public holidays of a market as an event of the panel, by the library ``holidays``.

The library's knowledge grows: a newer one that counts a past week otherwise shows up as a restatement of that week.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import pandas as pd

from evermix.config import ColumnParams, HolidayCalendar
from evermix.core.panel import last_day
from evermix.errors import ConfigError


def check_calendars(columns: ColumnParams) -> None:
    """Raise one ConfigError that names every calendar or subdivision that the library does not know."""
    faults = [
        fault
        for name, calendar in columns.holiday_calendars().items()
        if (fault := _fault(f"columns.events.{name}", calendar))
    ]
    if faults:
        raise ConfigError("\n".join(faults))


def add_holidays(panel: pd.DataFrame, columns: ColumnParams, week_start: str) -> pd.DataFrame:
    """Return the panel with a column ``event.<name>`` for each calendar: the holidays that fall into the source's week.

    Holidays are counted as days: one that is also observed on another day counts on both, and two on one day once.

    Parameters
    ----------
    panel : DataFrame
        With ``week``, a Monday; its rows may lie in the future.
    week_start : str
        First day of the source's week, ``MON`` to ``SUN``.

    Returns
    -------
    DataFrame
        Event columns last, in the order of ``columns.events``.
    """
    calendars = columns.holiday_calendars()
    if not calendars:
        return panel
    check_calendars(columns)
    weeks = {week: last_day(week.date(), week_start) for week in panel["week"].unique().tolist()}
    counted = panel.copy()
    for name, calendar in calendars.items():
        counted[f"event.{name}"] = panel["week"].map(_counts(calendar, weeks)).astype("float64")
    events = [f"event.{name}" for name in columns.events]
    return counted[[*(c for c in counted if c not in events), *events]]


def _counts(calendar: HolidayCalendar, weeks: Mapping[pd.Timestamp, date]) -> dict[pd.Timestamp, float]:
    import holidays

    years = {day.year for end in weeks.values() for day in (end - timedelta(days=6), end)}
    days = holidays.country_holidays(calendar.calendar, subdiv=calendar.subdivision, years=sorted(years))
    return {week: float(sum(end - timedelta(days=6) <= day <= end for day in days)) for week, end in weeks.items()}


def _fault(where: str, calendar: HolidayCalendar) -> str | None:
    import holidays

    known: Mapping[str, Any] = holidays.list_supported_countries(include_aliases=True)
    if calendar.calendar not in known:
        return (
            f"{where}.calendar: got {calendar.calendar!r}, expected a country code, {_near(calendar.calendar, known)}."
        )
    parts = known[calendar.calendar]
    if calendar.subdivision is not None and calendar.subdivision not in parts:
        expected = (
            f"a subdivision of it or null, {_near(calendar.subdivision, parts)}" if parts else "null: it has none"
        )
        return f"{where}.subdivision: got {calendar.subdivision!r} of {calendar.calendar}, expected {expected}."
    return None


def _near(got: str, known: Any) -> str:
    folded = {str(name).casefold(): str(name) for name in known}
    near = difflib.get_close_matches(got.casefold(), folded, n=3, cutoff=0.5)
    return "such as " + ", ".join([folded[name] for name in near] or list(folded.values())[:5])
