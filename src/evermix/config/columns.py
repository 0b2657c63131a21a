"""Where a model's data come from, and which column is what."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from evermix.config.fields import Aggregate, Monday, Name, Strict


class SourceParams(Strict):
    """Where a model's data come from and how its rows are dated."""

    path: str
    format: Literal["csv", "parquet", "sql"]
    frequency: Literal["weekly", "daily"]
    label: Literal["start", "end"]
    week_start: Literal["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
    query: str | None = None
    plan: str | None = None

    @model_validator(mode="after")
    def _sql_has_a_query(self) -> SourceParams:
        if (self.format == "sql") != (self.query is not None):
            raise ValueError("query is due with format sql, and with no other")
        return self


class TargetColumn(Strict):
    """The column to be explained, and how days become weeks."""

    column: str
    aggregate: Aggregate


class ChannelColumns(Strict):
    """The columns of one channel.

    ``launched`` is the Monday of its first week, None: always there; ``retired`` the Monday of the first week
    without it; ``bursty``: weeks without spend are usual, so that a sudden zero says nothing.
    """

    spend: str
    exposure: str | None
    launched: Monday | None
    retired: Monday | None = None
    bursty: bool = False


class InputColumn(Strict):
    """One column of a control or event, and how days become weeks."""

    column: str
    aggregate: Aggregate


class HolidayCalendar(Strict):
    """An event made of a market's public holidays: how many fall into each week.  No column of the source."""

    calendar: str
    subdivision: str | None


class ColumnParams(Strict):
    """Which source column plays which role."""

    date: str
    geo: str | None
    target: TargetColumn
    channels: dict[Name, ChannelColumns]
    controls: dict[Name, InputColumn]
    events: dict[Name, InputColumn | HolidayCalendar]

    def delivered_events(self) -> dict[str, InputColumn]:
        """Return the events that are columns of the source."""
        return {name: event for name, event in self.events.items() if isinstance(event, InputColumn)}

    def holiday_calendars(self) -> dict[str, HolidayCalendar]:
        """Return the events that are made from a calendar."""
        return {name: event for name, event in self.events.items() if isinstance(event, HolidayCalendar)}
