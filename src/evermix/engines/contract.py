"""The data contract of a model as pandera schemas built from its params, and the one report of all that breaks it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

import pandas as pd

from evermix.config import ModelParams
from evermix.core import quality
from evermix.core.changes import masked_mondays
from evermix.core.findings import Finding, Reading
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
    weekly_grid,
)
from evermix.core.past_findings import past_findings
from evermix.core.personal import currencies, personal_columns
from evermix.core.rules import RULES
from evermix.core.week_rules import Mask, calendar_rules, input_rules, media_rules, target_rules
from evermix.records import Fault, ValidationReport

if TYPE_CHECKING:
    import pandera.pandas as pa

_MEDIA = ("spend.", "exposure.")


@dataclass(frozen=True)
class Outcome:
    """What the contract says of a delivery.

    Attributes
    ----------
    grid : DataFrame
        Week by week, as far as it could be read; empty if nothing could.
    marks : set of (str, str)
        Week (ISO) and panel column of each fault, for plots.
    frame, rows : DataFrame
        The delivery as text, and typed; empty if nothing could be read.
    """

    report: ValidationReport
    grid: pd.DataFrame
    panel: pd.DataFrame | None
    marks: set[tuple[str, str]] = field(default_factory=set)
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)


def refuse(name: str, as_of: date, format: str, file: str, reason: str) -> Outcome:
    """Return the outcome of bytes that cannot be read as their format."""
    what, _, action = reason.rpartition(". ")
    fault = RULES["unreadable_file"].fault(
        "unreadable_file", f"file {file}", what, {"format": format, "action": action}
    )
    return Outcome(_report(name, as_of, [fault], [], pd.DataFrame(), [], []), pd.DataFrame(), None)


def check(
    frame: pd.DataFrame,
    name: str,
    params: ModelParams,
    as_of: date,
    before: pd.DataFrame | None,
    waived: Collection[str] = (),
    is_cut: bool = False,
) -> Outcome:
    """Hold a text table against the contract; every rule is asked, whatever the others found.

    The target of masked weeks is blank in grid and panel, so no rule of weeks asks for it.

    Parameters
    ----------
    frame : DataFrame of text
        The delivery, labelled by row number.
    before : DataFrame or None
        The last accepted panel: rules of degree are asked of cells that it does not have.
    waived : collection of str
        Rules that a person has waived for this delivery; of those in `WAIVABLE` faults become warnings.
    is_cut : bool
        Whether ingest has cut the weeks after ``as_of``: what it left of them is from the future.
    """
    single = frame.loc[:, frame.columns.isin(list(params.roles().values())) & ~frame.columns.duplicated()]
    rows = type_rows(single, params.columns, params.source)
    cells = grid_cells(rows, as_of)
    grid = weekly_grid(rows if cells <= GRID_LIMIT else rows.head(0), params.columns, params.source, as_of)
    masked = masked_mondays(params.masked_weeks, as_of.isoformat())
    grid.loc[grid.index.get_level_values("week").isin(pd.to_datetime(masked)), "target"] = float("nan")
    reading = Reading(params, as_of, tuple(map(str, frame.columns)), rows, grid, before)
    findings = _cell_findings(frame, single, params, as_of) + (_future_findings(rows, params, as_of) if is_cut else [])
    if cells > GRID_LIMIT:
        findings.append(Finding("too_large", "delivery", None, None, f"{cells} cells"))
    else:
        findings += _weekly_findings(reading, findings)
        findings += past_findings(reading, findings)
    faults, warnings = reading.records(findings, waived)
    report = _report(name, as_of, faults, warnings, grid, held_back_weeks(rows, params.source, as_of), masked)
    return Outcome(report, grid, None if faults else panel_of(grid), reading.marks(findings), frame, rows)


def _cell_findings(frame: pd.DataFrame, single: pd.DataFrame, params: ModelParams, as_of: date) -> list[Finding]:
    """Rules of header, cells and whole columns."""
    used = frame.loc[:, frame.columns.isin(list(params.roles().values()))].head(0)
    found = _run(_header_schema(), used, "row") + _run(_row_schema(params, as_of), single, "row")
    return found + _column_findings(frame, params)


def _column_findings(frame: pd.DataFrame, params: ModelParams) -> list[Finding]:
    """Rules of all columns, used or not."""
    personal = personal_columns(frame, params.validation.personal_data_allowed)
    found = [Finding("personal_data", "delivery", column, None, why) for column, why in personal.items()]
    mixed = currencies(frame, params.columns.geo)
    found += [Finding("mixed_currency", "delivery", column, None, seen) for column, seen in mixed.items()]
    for place, column in enumerate(map(str, frame.columns)):
        is_nameless = column == "" or column.startswith("Unnamed: ")
        if is_nameless and (count := int(frame.iloc[:, place].str.strip().ne("").sum())):
            found.append(Finding("unnamed_column", "delivery", column, None, f"{count} values in column {place + 1}"))
    return found


def _future_findings(rows: pd.DataFrame, params: ModelParams, as_of: date) -> list[Finding]:
    """Ingest cuts later weeks, save those that have not begun and yet have a target."""
    late = rows.index[(rows["week"] > pd.Timestamp(as_of)) & rows["target"].notna()]
    column = params.columns.target.column
    return [Finding("future_target", "row", column, label, float(rows.at[label, "target"])) for label in late]


def _report(
    name: str,
    as_of: date,
    faults: list[Fault],
    warnings: list[Fault],
    grid: pd.DataFrame,
    held_back: list[str],
    masked: list[str],
) -> ValidationReport:
    told = grid[grid["rows"] > 0] if len(grid) else grid
    weeks = _iso(told.index.get_level_values("week").unique()) if len(grid) else []
    blank = _iso(told.index[told["target"].isna()].get_level_values("week").unique()) if len(grid) else []
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
        late_targets=[week for week in blank if week not in masked],
        masked=[week for week in weeks if week in masked],
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
        rules[column]["rounded_by_spreadsheet"] = quality.keeps_digits
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
    rules = calendar_rules(reading) if not dates_are_bad else {}
    if columns.target.column not in broken:
        rules["target"] = target_rules(reading)
    for name, (column, _) in value_columns(columns).items():
        if column not in broken and name != "target":
            rules[name] = media_rules(reading, name) if name.startswith(_MEDIA) else input_rules(reading, name)
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
