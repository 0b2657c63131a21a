"""The data contract of a model as pandera schemas built from its params, and the one report of all that breaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

import pandas as pd

from evermix.config import ModelParams
from evermix.core import quality
from evermix.core.findings import RULES, Finding, Reading
from evermix.core.panel import (
    WEEKDAYS,
    held_back_weeks,
    label_weekday,
    not_launched,
    panel_of,
    parse_dates,
    type_rows,
    value_columns,
    weekly_grid,
)
from evermix.records import Fault, ValidationReport

if TYPE_CHECKING:
    import pandera.pandas as pa

Mask = Callable[[pd.Series], pd.Series | bool]


@dataclass(frozen=True)
class Outcome:
    """What the contract says of a delivery.

    Attributes
    ----------
    grid : DataFrame
        Week by week, as far as it could be read; empty if nothing could.
    marks : set of (str, str)
        Week (ISO) and panel column of each fault, for plots.
    """

    report: ValidationReport
    grid: pd.DataFrame
    panel: pd.DataFrame | None
    marks: set[tuple[str, str]] = field(default_factory=set)


def refuse(name: str, as_of: date, format: str, file: str, reason: str) -> Outcome:
    """Return the outcome of bytes that cannot be read as their format."""
    what, _, action = reason.rpartition(". ")
    fault = RULES["unreadable_file"].fault(
        "unreadable_file", f"file {file}", what, {"format": format, "action": action}
    )
    return Outcome(_report(name, as_of, [fault], [], pd.DataFrame(), [], []), pd.DataFrame(), None)


def check(frame: pd.DataFrame, name: str, params: ModelParams, as_of: date, before: pd.DataFrame | None) -> Outcome:
    """Hold a text table against the contract; every rule is asked, whatever the others found.

    Parameters
    ----------
    frame : DataFrame of text
        The delivery, labelled by row number.
    before : DataFrame or None
        The last accepted panel: rules of degree are asked of cells that it does not have.
    """
    used = frame.loc[:, frame.columns.isin(list(params.roles().values()))]
    single = used.loc[:, ~used.columns.duplicated()]
    rows = type_rows(single, params.columns, params.source)
    grid = weekly_grid(rows, params.columns, params.source, as_of)
    reading = Reading(params, as_of, tuple(frame.columns), rows, grid, before)
    findings = _run(_header_schema(), used.head(0), "row") + _run(_row_schema(params, as_of), single, "row")
    findings += _weekly_findings(reading, findings)
    faults, warnings = reading.records(findings)
    late = grid.index[grid["target"].isna() & (grid["rows"] > 0)].get_level_values("week").unique()
    report = _report(name, as_of, faults, warnings, grid, held_back_weeks(rows, params.source, as_of), _iso(late))
    return Outcome(report, grid, None if faults else panel_of(grid), reading.marks(findings))


def _report(
    name: str,
    as_of: date,
    faults: list[Fault],
    warnings: list[Fault],
    grid: pd.DataFrame,
    held_back: list[str],
    late: list[str],
) -> ValidationReport:
    weeks = _iso(grid.index[grid["rows"] > 0].get_level_values("week").unique()) if len(grid) else []
    return ValidationReport(
        model=name,
        as_of=as_of.isoformat(),
        status="quarantined" if faults else "accepted",
        faults=faults,
        warnings=warnings,
        weeks=len(weeks),
        first_week=weeks[0] if weeks else None,
        last_week=weeks[-1] if weeks else None,
        held_back=held_back,
        late_targets=late,
    )


def _header_schema() -> pa.DataFrameSchema:
    import pandera.pandas as pa

    return pa.DataFrameSchema(unique_column_names=True)


def _row_schema(params: ModelParams, as_of: date) -> pa.DataFrameSchema:
    """Rules of single cells, on text, so that a report shows what the file shows."""
    import pandera.pandas as pa

    source, columns = params.source, params.columns
    on_weekday = WEEKDAYS.index(label_weekday(source))
    rules: dict[str, dict[str, Mask]] = {columns.date: {"unreadable_date": quality.is_date}}
    if source.frequency == "weekly":
        rules[columns.date]["off_weekday"] = lambda text: (d := parse_dates(text)).isna() | (d.dt.weekday == on_weekday)
    if columns.geo is not None:
        rules[columns.geo] = {"missing_geo": quality.is_filled}
    for name, (column, _) in value_columns(columns).items():
        rules[column] = {"not_a_number": quality.is_plain_number, "not_finite": quality.is_finite}
        if name.startswith(("spend.", "exposure.")):
            rules[column]["negative"] = quality.is_not_negative
        if name.startswith(("control.", "event.")):
            rules[column]["missing_value"] = quality.is_filled
    absent = not_launched(columns, as_of)
    fields = {
        column: pa.Column(checks=_checks(masks), required=column not in absent) for column, masks in rules.items()
    }
    return pa.DataFrameSchema(fields)


def _weekly_findings(reading: Reading, found: list[Finding]) -> list[Finding]:
    """Rules of weeks, asked only of what was not already found broken cell by cell."""
    grid, columns = reading.grid, reading.params.columns
    broken = {f.column for f in found if f.rule in ("missing_column", "duplicate_column")}
    dates_are_bad = any(f.rule == "unreadable_date" for f in found)
    if columns.date in broken:
        return []
    if grid.empty:
        return [] if dates_are_bad else [Finding("no_rows", "delivery", None, None, "no row")]
    rules = _calendar_rules(reading) if not dates_are_bad else {}
    if columns.target.column not in broken:
        rules["target"] = _target_rules(reading)
    for name, (column, _) in value_columns(columns).items():
        if name.startswith("spend.") and column not in broken:
            rules[name] = _spend_rules(reading, name)
    import pandera.pandas as pa

    fields = {name: pa.Column(nullable=True, checks=_checks(masks)) for name, masks in rules.items()}
    history = {
        "lost_history": lambda _: reading.lost_weeks <= quality.MAX_LOST_WEEKS,
        "shorter_history": lambda _: not 0 < reading.lost_weeks <= quality.MAX_LOST_WEEKS,
    }
    schema = pa.DataFrameSchema(fields, checks=_checks(history))
    rows, asked = reading.rows, value_columns(columns)
    spoilt = {(rows.at[f.label, "week"], rows.at[f.label, "geo"], f.column) for f in found if f.label is not None}
    return [
        f
        for f in _run(schema, grid.reset_index(drop=True), "week")
        if f.label is None or (*grid.index[f.label], asked.get(str(f.column), ("",))[0]) not in spoilt
    ]


def _calendar_rules(reading: Reading) -> dict[str, dict[str, Mask]]:
    grid, daily = reading.grid, reading.params.source.frequency == "daily"
    told = grid["rows"] > 0
    some_geo_told = told.groupby(level="week").transform("any")
    rules = {
        "rows": {
            "missing_week": _fixed(some_geo_told),
            "missing_geo_week": _fixed(told | ~some_geo_told),
            "duplicate_row": _fixed(grid["rows"] <= (grid["days"] if daily else 1)),
        }
    }
    return rules | ({"days": {"missing_days": _fixed(~told | (grid["days"] == 7))}} if daily else {})


def _target_rules(reading: Reading) -> dict[str, Mask]:
    grid, params, limits = reading.grid, reading.params, reading.params.validation
    target, told = grid["target"], grid["rows"] > 0
    new = quality.changed_weeks(grid, reading.before, "target")
    late = quality.late_weeks(grid, reading.as_of, params.label_delay_weeks)
    enough = reading.before is not None or reading.weeks_with_target >= limits.min_weeks
    return {
        "missing_target": _fixed(~told | target.notna() | late),
        "below_minimum": _fixed(~(target < limits.target_min)),
        "target_slip": _fixed(~new | quality.target_keeps_scale(target, limits.target_jump)),
        "sudden_zero": _fixed(quality.is_not_suddenly_zero(target)),
        "zero_target_share": lambda _: quality.zero_target_share(target) <= limits.max_zero_target_share,
        "too_few_weeks": lambda _: enough,
    }


def _spend_rules(reading: Reading, name: str) -> dict[str, Mask]:
    spend, total = reading.grid[name], reading.grid.filter(like="spend.").sum(axis=1)
    new = quality.changed_weeks(reading.grid, reading.before, name)
    return {
        "spend_slip": _fixed(~new | quality.spend_keeps_scale(spend, total, reading.params.validation.spend_jump)),
        "sudden_zero": _fixed(quality.is_not_suddenly_zero(spend)),
    }


def _fixed(mask: pd.Series) -> Mask:
    """A mask that needed the whole grid, as a function of one of its columns."""
    return lambda column: pd.Series(mask.to_numpy(bool), index=column.index)


def _checks(masks: dict[str, Mask]) -> list[pa.Check]:
    import pandera.pandas as pa

    return [pa.Check(mask, name=rule, ignore_na=False) for rule, mask in masks.items()]


def _run(schema: pa.DataFrameSchema, table: pd.DataFrame, scope: Literal["row", "week"]) -> list[Finding]:
    """Ask every rule of a schema; return where they fail, in the order of rows."""
    import pandera.pandas as pa

    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as err:
        cases = err.failure_cases
    else:
        return []
    found = []
    for case in cases.itertuples():
        match case.check:
            case "column_in_dataframe":
                found.append(Finding("missing_column", "delivery", case.failure_case, None, "not in the header"))
            case "dataframe_column_labels_unique":
                twice = table.columns[table.columns.duplicated()].unique()
                found += [Finding("duplicate_column", "delivery", name, None, name) for name in twice]
            case rule if rule in RULES:
                whole = pd.isna(case.index)
                label = None if whole else int(case.index)
                found.append(Finding(rule, "delivery" if whole else scope, case.column, label, case.failure_case))
            case other:
                # A check that itself broke is a bug of ours, never a pass.
                raise RuntimeError(f"contract: check {other!r} of column {case.column!r} broke: {case.failure_case}")
    return found


def _iso(weeks: Iterable[pd.Timestamp]) -> list[str]:
    return [week.date().isoformat() for week in weeks]
