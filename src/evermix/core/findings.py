"""What breaks the data contract, in words: where, what, value, rule, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal

import pandas as pd

from evermix.config import ModelParams
from evermix.core.changes import masked_mondays
from evermix.core.panel import GRID_LIMIT, WEEKDAYS, label_weekday, last_day, value_columns
from evermix.core.past import REWRITTEN_SHARE
from evermix.core.personal import hide_addresses
from evermix.core.quality import zero_target_share
from evermix.core.rules import CORRECT, RULES, WAIVABLE
from evermix.records import Fault

_SHOWN = 5
_LONGEST_VALUE = 60
_LONGEST_READ = 500
_NAMES_READ = 200


@dataclass(frozen=True)
class Finding:
    """One broken rule at one place.

    Attributes
    ----------
    scope : str
        ``row``: ``label`` is a row number of the delivery; ``week``: a place in the weekly grid;
        ``delivery``: no label.
    column : str or None
        Source column, for rows; panel column, for weeks.
    """

    rule: str
    scope: Literal["row", "week", "delivery"]
    column: str | None
    label: int | None
    value: Any


def number_hint(text: str) -> str:
    """Return what to do about a cell that is no plain number."""
    bare = text.strip()
    if bare.lower() in {"na", "n/a", "null", "none", "-", "#n/a"}:
        return "Leave the cell blank where the value is unknown."
    if "," in bare:
        return "Write it without thousands separators and with a decimal point."
    if bare.lower() in {"true", "false"}:
        return "Write 1 or 0."
    if any(c.isdigit() for c in bare):
        return "Write the bare number, without currency, unit or percent sign."
    return CORRECT


@dataclass(frozen=True)
class Reading:
    """A delivery as it could be read, and so all that is needed to say where a finding lies.

    Attributes
    ----------
    header : tuple of str
        All columns of the delivery.
    rows, grid : DataFrame
        From ``core/panel.py``: `type_rows` and `weekly_grid`.
    before : DataFrame or None
        The last accepted panel.
    """

    params: ModelParams
    as_of: date
    header: tuple[str, ...]
    rows: pd.DataFrame
    grid: pd.DataFrame
    before: pd.DataFrame | None

    @property
    def lost_weeks(self) -> int:
        """Weeks of the last accepted panel that lie before this delivery's first."""
        if self.before is None or self.grid.empty:
            return 0
        return int((self.before["week"].unique() < self.grid.index[0][0]).sum())

    @property
    def weeks_with_target(self) -> int:
        """Weeks that have a target in some geo."""
        return int(self.grid["target"].notna().groupby(level="week").any().sum())

    @property
    def is_masked(self) -> pd.Series:
        """Rows of the grid whose target is masked."""
        masked = pd.to_datetime(masked_mondays(self.params.masked_weeks, self.as_of.isoformat()))
        return pd.Series(self.grid.index.get_level_values("week").isin(masked), index=self.grid.index)

    @cached_property
    def accepted_panel(self) -> pd.DataFrame | None:
        """The last accepted panel by week and geo."""
        return None if self.before is None else self.before.set_index(["week", "geo"])

    def accepted(self, column: str) -> pd.Series | None:
        """Return a column of the last accepted panel by week and geo, None if it has none."""
        return None if self.accepted_panel is None else self.accepted_panel.get(column)

    def records(self, findings: Iterable[Finding], waived: Collection[str] = ()) -> tuple[list[Fault], list[Fault]]:
        """Return faults and warnings: per rule and column the first five places, then how many more.

        A waived fault of degree is a warning that says so.
        """
        groups: dict[tuple[str, str | None], list[Finding]] = {}
        for finding in findings:
            groups.setdefault((finding.rule, finding.column), []).append(finding)
        faults: list[Fault] = []
        warnings: list[Fault] = []
        for (name, column), members in groups.items():
            is_waived = name in WAIVABLE and name in waived
            out = faults if RULES[name].severity == "fault" and not is_waived else warnings
            shown = [self._record(finding) for finding in members[:_SHOWN]]
            out += [f.model_copy(update={"what": f"{f.what} (waived)"}) for f in shown] if is_waived else shown
            if len(members) > _SHOWN:
                more = {"where": f"{len(members) - _SHOWN} more places{self._in_column(column)}", "value": "not listed"}
                out.append(out[-1].model_copy(update=more))
        return faults, warnings

    def marks(self, findings: Iterable[Finding]) -> set[tuple[str, str]]:
        """Return week (ISO) and panel column of each finding, for plots."""
        panel_column = {source: name for name, (source, _) in value_columns(self.params.columns).items()}
        out: set[tuple[str, str]] = set()
        for f in findings:
            if f.label is None:
                continue
            week = self.rows["week"].loc[f.label] if f.scope == "row" else self.grid.index[f.label][0]
            if not pd.isna(week):
                out.add((week.date().isoformat(), panel_column.get(str(f.column), str(f.column))))
        return out

    def _record(self, f: Finding) -> Fault:
        return RULES[f.rule].fault(f.rule, self._where(f), self._value(f), self._facts(f))

    def _where(self, f: Finding) -> str:
        if f.label is None:
            return "the delivery" if f.column is None else f"column {short(self._source(f.column))}"
        if f.scope == "row":
            return f"{self._row(f.label)}{self._in_column(f.column)}"
        week, geo = self.grid.index[f.label]
        row = self.grid["row"].iloc[f.label]
        if self.params.source.frequency == "weekly" and not pd.isna(row) and f.rule != "missing_geo_week":
            return f"{self._row(int(row))}{self._in_column(f.column)}"
        named = "" if self.params.columns.geo is None or f.rule == "missing_week" else f", geo {short(geo)}"
        return f"week {week.date().isoformat()}{named}{self._in_column(f.column)}"

    def _row(self, label: int) -> str:
        day, geo = self.rows["date"].loc[label], self.rows["geo"].loc[label]
        named = "" if self.params.columns.geo is None else f", {short(geo) or 'no geo'}"
        return f"row {label}" if pd.isna(day) else f"row {label} ({day.date().isoformat()}{named})"

    def _in_column(self, column: str | None) -> str:
        return "" if column in (None, "rows", "days") else f", column {short(self._source(str(column)))}"

    def _source(self, column: str) -> str:
        """Return the source's name of a panel column; other names are the source's own."""
        return value_columns(self.params.columns).get(column, (column, ""))[0]

    def _value(self, f: Finding) -> str:
        match f.rule:
            case "zero_target_share":
                return f"{zero_target_share(self.grid['target']):.2g}"
            case "too_few_weeks":
                return f"{self.weeks_with_target} weeks"
            case "lost_history" | "shorter_history":
                return f"{self.lost_weeks} weeks lost"
            case "missing_week" | "missing_geo_week":
                return "no row"
            case "duplicate_row" | "missing_days":
                return f"{f.value} {'rows' if f.rule == 'duplicate_row' else 'days'}"
        if isinstance(f.value, float):
            return "blank" if pd.isna(f.value) else f"{f.value:.10g}"
        text = short(hide_addresses(str(f.value)[:_LONGEST_READ]), len(str(f.value)))
        return repr(text) if f.scope == "row" else text

    def _facts(self, f: Finding) -> dict[str, object]:
        source, limits = self.params.source, self.params.validation
        facts: dict[str, object] = {
            "as_of": self.as_of.isoformat(),
            "column": f.column,
            "role": {column: role for role, column in self.params.roles().items()}.get(str(f.column), ""),
            "hint": self._column_hint(str(f.column)),
            "date_example": self._date_example(),
            "number_hint": number_hint(str(f.value)),
            "weekday": label_weekday(source),
            "label": source.label,
            "week_start": source.week_start,
            "delay": self.params.label_delay_weeks,
            "low_jump": 100 * limits.target_jump,
            "max_zero": limits.max_zero_target_share,
            "input_low": f"1/{limits.target_jump:g}",
            "input_high": f"{limits.target_jump:g}",
            "grid_limit": GRID_LIMIT,
            "geos": "" if self.before is None else ", ".join(map(short, sorted(self.before["geo"].unique())[:12])),
            "retired": self._retired(str(f.column)),
        }
        return facts | limits.model_dump() | {"rewritten_share": self.rewritten_share} | self._weekday_facts(f)

    @property
    def rewritten_share(self) -> float:
        """Share of a column's past cells from which a change of them is no restatement any more."""
        told = self.params.validation.max_rewritten_share
        return REWRITTEN_SHARE if told is None else told

    def _retired(self, column: str) -> str | None:
        channel = self.params.columns.channels.get(column.partition(".")[2])
        return None if channel is None else channel.retired

    def _date_example(self) -> str:
        return (last_day(self.as_of, self.params.source.week_start) - timedelta(days=6)).isoformat()

    def _weekday_facts(self, f: Finding) -> dict[str, object]:
        if f.rule != "off_weekday" or f.label is None:
            return {}
        found = self.rows["date"].loc[f.label].weekday()
        ends = f"label: end, week_start: {WEEKDAYS[(found + 1) % 7]}"
        return {
            "found_weekday": WEEKDAYS[found],
            "suggestion": f"source.label: start, week_start: {WEEKDAYS[found]} (or {ends})",
        }

    def _column_hint(self, column: str) -> str:
        if len(self.header) == 1 and any(mark in self.header[0] for mark in (";", "\t", "|")):
            return "The file is not separated by commas."
        # A header may be anything: hundreds of names, or a name as long as a book.
        folded = {name.casefold(): name for name in self.header[:_NAMES_READ] if len(name) <= _LONGEST_VALUE}
        near = difflib.get_close_matches(column.casefold(), folded, n=1)
        there = ", ".join(short(name) for name in self.header[:12])
        return f"Did you mean {folded[near[0]]!r}?" if near else f"There are: {there}."


def short(text: str, length: int | None = None) -> str:
    """Return a text that fits into a report, with its length where it was cut."""
    length = len(text) if length is None else length
    return text if length <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({length} characters)"
