"""What breaks the data contract, in words: where, what, value, rule, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

import pandas as pd

from evermix.config import ModelParams
from evermix.core.panel import WEEKDAYS, label_weekday, last_day, value_columns
from evermix.core.quality import MAX_LOST_WEEKS, STEADY_WEEKS, zero_target_share
from evermix.records import Fault

_SHOWN = 5
_LONGEST_VALUE = 60


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


@dataclass(frozen=True)
class Rule:
    """Wording of a rule; ``{...}`` is filled with the numbers of params and of the delivery."""

    what: str
    expected: str
    action: str
    severity: Literal["fault", "warning"] = "fault"

    def fault(self, name: str, where: str, value: str, facts: dict[str, object]) -> Fault:
        """Return the record of one place where the rule is broken."""
        texts = {key: getattr(self, key).format(**facts).strip() for key in ("what", "expected", "action")}
        return Fault(rule=name, where=where, value=value, **texts)


_CORRECT = "Correct the cell in the source and deliver again."

RULES = {
    "unreadable_file": Rule("the file cannot be read", "a whole {format} file", "{action}"),
    "missing_column": Rule(
        "a column that params name is not there",
        "column {column!r} ({role})",
        "Deliver it, or mend columns in params. {hint}",
    ),
    "duplicate_column": Rule(
        "a column name stands twice in the header", "each name once", "Rename or drop one of them."
    ),
    "no_rows": Rule(
        "no row has a readable week up to as_of", "rows from the first week to {as_of}", "Deliver the history."
    ),
    "unreadable_date": Rule(
        "not a date of the column's format", "a date like {date_example}, all rows alike", _CORRECT
    ),
    "off_weekday": Rule(
        "a weekly row is dated on {found_weekday}",
        "{weekday} (label {label}, week_start {week_start})",
        "Correct the date; if all rows are so, set {suggestion} in params.",
    ),
    "missing_geo": Rule("the geo is blank", "the name of a geo", _CORRECT),
    "not_a_number": Rule("text where a number is due", "a plain number such as 1234.5", "{number_hint}"),
    "not_finite": Rule("not a finite number", "a finite number, or blank if unknown", _CORRECT),
    "missing_value": Rule("the value is blank", "a number in every row", "Fill the cell (0 where nothing happened)."),
    "negative": Rule("a negative amount", "0 or more", "Book credits outside the feed, or correct the sign."),
    "missing_week": Rule(
        "no row tells of this week",
        "a row for every week up to {as_of}",
        "Deliver the week (zeros, if nothing happened).",
    ),
    "missing_geo_week": Rule("a geo lacks a week that others have", "a row for every geo and week", "Deliver the row."),
    "duplicate_row": Rule(
        "several rows tell of the same date and geo", "one row", "Keep the right one, drop the others."
    ),
    "missing_days": Rule(
        "days of the week are missing", "7 days", "Deliver the missing days (zeros, if nothing happened)."
    ),
    "missing_target": Rule(
        "the target is blank", "a number, except in the last {delay} week(s) (label_delay_weeks)", "Deliver the value."
    ),
    "below_minimum": Rule("the target is too small", "at least {target_min:g} (target_min)", _CORRECT),
    "target_slip": Rule(
        "the target leaves its scale",
        "less than {target_jump:g} times the 52-week median (target_jump), or twice the 52-week maximum; "
        "if not 0, more than 1/{low_jump:g} of that median",
        "Check the unit (pence or pounds, thousands); if it is true, raise validation.target_jump.",
    ),
    "spend_slip": Rule(
        "the spend leaves its scale",
        "at most {spend_jump:g} times the channel's 52-week maximum (spend_jump), or what all channels usually cost",
        "Check the unit (pence or pounds, thousands); if it is true, raise validation.spend_jump.",
    ),
    "too_few_weeks": Rule(
        "too few weeks for a first fit",
        "at least {min_weeks} weeks with a target (min_weeks)",
        "Deliver a longer history.",
    ),
    "zero_target_share": Rule(
        "too many of the last 13 weeks have no target at all",
        "a share of at most {max_zero:g} (max_zero_target_share)",
        "Check the target's export.",
    ),
    "lost_history": Rule(
        "weeks of the last accepted delivery are gone", f"at most {MAX_LOST_WEEKS} lost", "Deliver the whole history."
    ),
    "shorter_history": Rule(
        "the oldest weeks of the last accepted delivery are gone", "the whole history", "Deliver it.", "warning"
    ),
    "sudden_zero": Rule(
        f"zero after {STEADY_WEEKS} weeks that all had more", "more than 0", "Check that this is so.", "warning"
    ),
}


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
    return _CORRECT


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

    def records(self, findings: Iterable[Finding]) -> tuple[list[Fault], list[Fault]]:
        """Return faults and warnings: per rule and column the first five places, then how many more."""
        groups: dict[tuple[str, str | None], list[Finding]] = {}
        for finding in findings:
            groups.setdefault((finding.rule, finding.column), []).append(finding)
        faults: list[Fault] = []
        warnings: list[Fault] = []
        for (name, column), members in groups.items():
            out = faults if RULES[name].severity == "fault" else warnings
            out += [self._record(finding) for finding in members[:_SHOWN]]
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
            return f"column {f.column}" if f.column in self.params.roles().values() else "the delivery"
        if f.scope == "row":
            return f"{self._row(f.label)}{self._in_column(f.column)}"
        week, geo = self.grid.index[f.label]
        row = self.grid["row"].iloc[f.label]
        if self.params.source.frequency == "weekly" and not pd.isna(row) and f.rule != "missing_geo_week":
            return f"{self._row(int(row))}{self._in_column(f.column)}"
        named = "" if self.params.columns.geo is None or f.rule == "missing_week" else f", geo {geo}"
        return f"week {week.date().isoformat()}{named}{self._in_column(f.column)}"

    def _row(self, label: int) -> str:
        day, geo = self.rows["date"].loc[label], self.rows["geo"].loc[label]
        named = "" if self.params.columns.geo is None else f", {geo or 'no geo'}"
        return f"row {label}" if pd.isna(day) else f"row {label} ({day.date().isoformat()}{named})"

    def _in_column(self, column: str | None) -> str:
        source = value_columns(self.params.columns).get(str(column), (column, ""))[0]
        return "" if source is None or source in ("rows", "days") else f", column {source}"

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
        text = str(f.value)
        if f.scope != "row":
            return text
        return repr(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}... ({len(text)} characters)")

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
        }
        return facts | limits.model_dump() | self._weekday_facts(f)

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
        folded = {name.casefold(): name for name in self.header}
        near = difflib.get_close_matches(column.casefold(), folded, n=1)
        return f"Did you mean {folded[near[0]]!r}?" if near else f"There are: {', '.join(self.header[:12])}."
