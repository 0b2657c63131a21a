"""The feed of a simulated brand: what the file held when each week was delivered, flaws included."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from evermix.core.simulate_events import Corrupt, Event, Flaw, LateTarget, NewChannel, Restatement, describe_event
from evermix.errors import ConfigError

Rows = list[list[str]]
"""Header and rows of a CSV file, as text."""


@dataclass(frozen=True)
class Delivery:
    """One file as it was delivered.

    Attributes
    ----------
    as_of : str
        The Monday of the newest week in it.
    attempt : int
        1, or 2 for the correction of a broken one.
    content : bytes
        The whole file.
    planted : tuple of dict
        Events that begin with this delivery.
    """

    as_of: str
    attempt: int
    content: bytes
    planted: tuple[dict[str, object], ...]


@dataclass(frozen=True)
class Feed:
    """All weeks of a simulated brand, as published first, and what happened to the file.

    Attributes
    ----------
    mondays : tuple of date
    geos : tuple of str
        ``("all",)`` means that the file has no geo column.
    target : str
    columns : dict of str to ndarray, shape (week, geo)
        In the file's order, the target first; numbers already rounded as they are written.
    decimals : dict of str to int
        Decimals of each column in the file.
    history_weeks : int
        Weeks before the first one that is played.
    """

    mondays: tuple[date, ...]
    geos: tuple[str, ...]
    target: str
    columns: dict[str, NDArray[np.float64]]
    decimals: dict[str, int]
    events: tuple[Event, ...]
    history_weeks: int

    def name_week(self, number: int) -> str:
        """Return the Monday of a week counted from 1."""
        return self.mondays[number - 1].isoformat()

    def number_week(self, as_of: str) -> int:
        """Return the number, counted from 1, of a week named by its Monday."""
        known = [m.isoformat() for m in self.mondays]
        if as_of not in known:
            raise ConfigError(
                f"simulate: as_of, got {as_of!r}, expected a Monday from {known[0]} to {known[-1]}. "
                "Name one of these weeks."
            )
        return known.index(as_of) + 1

    def deliveries(self) -> Iterator[Delivery]:
        """Yield the deliveries of every week after the history, in order, broken ones before their correction."""
        for number in range(self.history_weeks + 1, len(self.mondays) + 1):
            for attempt in range(1, self.count_attempts(number) + 1):
                yield self.deliver(self.name_week(number), attempt)

    def count_attempts(self, number: int) -> int:
        """Return 2 for a week whose first delivery is broken, else 1."""
        return 2 if self._flaws(number) else 1

    def deliver(self, as_of: str, attempt: int = 1) -> Delivery:
        """Return the file as it looked when week ``as_of`` was delivered.

        Raises
        ------
        ConfigError
            If the week is not in the feed, or was not delivered so many times.
        """
        number = self.number_week(as_of)
        attempts = self.count_attempts(number)
        if not 1 <= attempt <= attempts:
            raise ConfigError(
                f"simulate: attempt of {as_of}, got {attempt}, expected 1 to {attempts}. Ask for one of these."
            )
        flaws = self._flaws(number) if attempt == 1 else []
        content = break_file(self._rows(number), flaws, self._spend_columns(), len(self.geos))
        begun = [e for e in self.events if e.week == number and (attempt == 1 or not isinstance(e, Corrupt))]
        return Delivery(as_of, attempt, content, tuple(describe_event(e, self.name_week) for e in begun))

    def _flaws(self, number: int) -> list[Flaw]:
        return [e.flaw for e in self.events if isinstance(e, Corrupt) and e.week == number]

    def _spend_columns(self) -> list[str]:
        return [c for c in self.columns if c.endswith("_spend")]

    def _launches(self) -> dict[str, NewChannel]:
        return {e.channel.column: e for e in self.events if isinstance(e, NewChannel)}

    def _rows(self, number: int) -> Rows:
        launches = self._launches()
        shown = [c for c in self.columns if c not in launches or launches[c].week <= number]
        cells = {c: self._column(c, number) for c in shown}
        has_geo = self.geos != ("all",)
        rows = [["week", *(["geo"] if has_geo else []), *shown]]
        for i in range(number):
            for j, geo in enumerate(self.geos):
                rows.append([self.name_week(i + 1), *([geo] if has_geo else []), *(cells[c][i][j] for c in shown)])
        return rows

    def known_values(self, column: str, number: int) -> NDArray[np.float64]:
        """Return a column as known when week ``number`` was delivered, shape (week, geo); NaN where it was blank."""
        values = self.columns[column][:number].copy()
        for event in self.events:
            if isinstance(event, Restatement) and event.column == column and event.week <= number:
                past = slice(event.first - 1, event.last)
                values[past] = np.round(values[past] * event.factor, self.decimals[column])
        values[self._blank_weeks(column, number)] = np.nan
        return values

    def _column(self, column: str, number: int) -> list[list[str]]:
        """Return a column's text, week by geo, as known when week ``number`` was delivered."""
        decimals = self.decimals[column]
        known = self.known_values(column, number)
        return [["" if np.isnan(value) else f"{value:.{decimals}f}" for value in week] for week in known]

    def _blank_weeks(self, column: str, number: int) -> list[int]:
        blank: list[int] = []
        for event in self.events:
            if isinstance(event, LateTarget) and column == self.target:
                blank += [event.week - 1] if event.week <= number < event.week + event.delay_weeks else []
            if isinstance(event, NewChannel) and column == event.channel.column and event.blank:
                blank += range(event.week - 1)
        return blank


def break_file(rows: Rows, flaws: list[Flaw], spends: list[str], n_geos: int) -> bytes:
    """Return a CSV file with these flaws in its newest week; without flaws, the file as it should be.

    Parameters
    ----------
    rows : list of list of str
        Header and rows, the newest last.
    spends : list of str
        Columns that hold spend; without any, the columns right after the keys are taken.
    """
    for flaw in flaws:
        if flaw != "truncated_file":
            rows = _BREAKERS[flaw](rows, spends, n_geos)
    content = _to_csv(rows)
    if "truncated_file" in flaws:
        # Ends inside a number, so that even the last cell that is there is wrong.
        last = _to_csv(rows[-1:])
        content = content[: len(content) - len(last) + len(last) // 2]
    return content


def _to_csv(rows: Rows) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _first_number(rows: Rows) -> int:
    return 2 if rows[0][1] == "geo" else 1


def _put_text_in_number(rows: Rows, spends: list[str], n_geos: int) -> Rows:
    at = _first_number(rows)
    last = [*rows[-1][:at], f"{rows[-1][at]} EUR", *rows[-1][at + 1 :]]
    return [*rows[:-1], last]


def _duplicate_week(rows: Rows, spends: list[str], n_geos: int) -> Rows:
    return [*rows, *rows[-n_geos:]]


def _negate_spend(rows: Rows, spends: list[str], n_geos: int) -> Rows:
    last = list(rows[-1])
    places = [rows[0].index(c) for c in spends if c in rows[0]] or [_first_number(rows)]
    # The largest spend: the negative of an off week would be no flaw.
    at = max(places, key=lambda i: float(last[i] or 0.0))
    last[at] = f"-{last[at]}"
    return [*rows[:-1], last]


def _drop_column(rows: Rows, spends: list[str], n_geos: int) -> Rows:
    at = rows[0].index(spends[0]) if spends else _first_number(rows) + 1
    return [[*row[:at], *row[at + 1 :]] for row in rows]


_BREAKERS: dict[str, Callable[[Rows, list[str], int], Rows]] = {
    "text_in_number": _put_text_in_number,
    "duplicated_week": _duplicate_week,
    "negative_spend": _negate_spend,
    "missing_column": _drop_column,
}
