"""Ingest: store the source's answer for a week as an immutable snapshot, or say that the week is waiting."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

import pandas as pd

from evermix.config import Environment, ModelParams, SourceParams
from evermix.core.panel import (
    GRID_LIMIT,
    grid_cells,
    is_waiting,
    parse_dates,
    type_rows,
    week_of,
    weekly_grid,
    whole_weeks,
)
from evermix.core.past import REWRITTEN_SHARE, is_told_again
from evermix.core.personal import without_personal_data
from evermix.engines.sources import Delivery, fetch, keep_rows, read_table, table_bytes
from evermix.engines.store import fresh_folder, hash_bytes, read_json, write_bytes, write_json
from evermix.errors import ConfigError, NotDelivered
from evermix.records import Record


class SnapshotSummary(Record):
    """What ingest did.  ``waiting``: the source has no whole week ``as_of`` yet, and nothing was written.

    ``first_week`` and ``last_week`` are the first and the last whole week of the source, None without a readable date.
    """

    status: Literal["taken", "unchanged", "waiting"]
    as_of: str
    sha256: str
    rows: int | None
    cut_rows: int
    files: list[str]
    first_week: str | None
    last_week: str | None


def plan_place(env: Environment, source: SourceParams) -> str | None:
    """Return where a model's plan is: a path as for the source or, in a database, a query; None without a plan."""
    return source.plan if source.plan is None or source.format == "sql" else env.source_path(source.plan)


def take_snapshot(
    params: ModelParams,
    source: str,
    as_of: date,
    folder: Path,
    plan: str | None = None,
    today: date | None = None,
    accepted: pd.DataFrame | None = None,
) -> SnapshotSummary:
    """Write ``data.csv`` or ``data.parquet`` and ``about.json`` into a folder, at once or not at all.

    A plan of the weeks to come, where one was delivered, is written beside them as ``plan.csv``.

    Of a column that looks personal no value is kept: why it does stands in each cell, and validate refuses it.
    Rows of weeks after ``as_of`` are cut, so that a past week sees what it could have seen; rows without a readable
    date stay, for validate to report, and so do targets of weeks that have not begun on the day of arrival.  A folder
    that already holds the same bytes is left alone.

    Parameters
    ----------
    source : str
        Path, glob or URL with ``{home}`` filled in (`Environment.source_path`).
    as_of : date
        Monday of the week being closed.
    plan : str or None
        From `plan_place`.
    today : date or None
        The day of arrival (UTC); None asks nothing of the future.
    accepted : DataFrame or None
        The last accepted panel: a source that ends before it, or tells its weeks otherwise, is not late but wrong.

    Raises
    ------
    ServiceError
        The source is not there or did not answer.
    ConfigError
        ``as_of`` is not a Monday, or the URL cannot be used.
    """
    if as_of.weekday() != 0:
        raise ConfigError(f"as_of: got {as_of} ({as_of:%A}), expected a Monday. Weeks are named by their Monday.")
    delivery = _fetch(params, source, params.source.query)
    planned = _plan_bytes(params, source, plan)
    data, cut_rows, waiting, weeks = _cut(delivery, params, as_of, today, accepted)
    rows = None if delivery.rows is None else delivery.rows - cut_rows
    told = {"sha256": hash_bytes(data), "rows": rows, "cut_rows": cut_rows, "files": list(delivery.files)}
    about = {"format": delivery.format} | told
    if planned is not None:
        about["plan_sha256"] = hash_bytes(planned)
    file = folder / "about.json"
    if waiting:
        return SnapshotSummary(status="waiting", as_of=as_of.isoformat(), **told, **weeks)
    if file.is_file() and read_json(file) == about:
        return SnapshotSummary(status="unchanged", as_of=as_of.isoformat(), **told, **weeks)
    with fresh_folder(folder) as draft:
        write_bytes(draft / f"data.{delivery.format}", data)
        write_json(draft / "about.json", about)
        if planned is not None:
            write_bytes(draft / "plan.csv", planned)
    return SnapshotSummary(status="taken", as_of=as_of.isoformat(), **told, **weeks)


def _fetch(params: ModelParams, source: str, query: str | None) -> Delivery:
    sort_by = [column for column in (params.columns.date, params.columns.geo) if column is not None]
    return fetch(source, params.source.format, query, sort_by)


def _plan_bytes(params: ModelParams, source: str, plan: str | None) -> bytes | None:
    """Return the plan as CSV; None where none was delivered: no place named, nothing there, or no row in it."""
    if plan is None:
        return None
    is_query = params.source.format == "sql"
    try:
        delivery = _fetch(params, source, plan) if is_query else _fetch(params, plan, None)
    except NotDelivered:
        return None
    if delivery.rows is None or delivery.format == "csv":
        return delivery.data if delivery.rows != 0 else None
    return read_table(delivery.data, delivery.format).frame.to_csv(index=False, lineterminator="\n").encode("utf-8")


def _cut(
    delivery: Delivery, params: ModelParams, as_of: date, today: date | None, accepted: pd.DataFrame | None
) -> tuple[bytes, int, bool, dict[str, str | None]]:
    """Return the bytes without later weeks, how many rows that cost, whether the week waits, and the source's span."""
    unknown: dict[str, str | None] = {"first_week": None, "last_week": None}
    if delivery.rows is None:
        return delivery.data, 0, False, unknown
    table = read_table(delivery.data, delivery.format)
    private = without_personal_data(table.frame, params.validation.personal_data_allowed)
    column = params.columns.date
    if list(table.frame.columns).count(column) != 1:
        data = delivery.data if private is None else table_bytes(private, delivery.format)
        return data, 0, False, unknown
    dates = parse_dates(table.frame[column])
    weeks = week_of(dates, params.source.week_start)
    keep = ~(weeks > pd.Timestamp(as_of)) | _is_from_the_future(table.frame, weeks, params, today)
    if private is None:
        data = keep_rows(delivery.data, delivery.format, table, keep)
    else:
        data = table_bytes(private[keep], delivery.format)
    # A date told twice may be the one waited for, mistyped.
    waiting = is_waiting(dates, params.source, as_of) and not table.frame.duplicated(_keys(table.frame, params)).any()
    waiting = waiting and (accepted is None or _goes_on_from(accepted, table.frame, params))
    return data, int((~keep).sum()), waiting, whole_weeks(dates, params.source)


def _goes_on_from(accepted: pd.DataFrame, frame: pd.DataFrame, params: ModelParams) -> bool:
    """Return whether a delivery without the week tells the accepted ones as they were accepted."""
    last = accepted["week"].max().date()
    rows = type_rows(frame.loc[:, ~frame.columns.duplicated()], params.columns, params.source)
    if grid_cells(rows, last) > GRID_LIMIT:
        return False
    limit = params.validation.max_rewritten_share or REWRITTEN_SHARE
    grid = weekly_grid(rows, params.columns, params.source, last)
    return is_told_again(accepted.set_index(["week", "geo"]), grid, limit)


def _keys(frame: pd.DataFrame, params: ModelParams) -> list[str]:
    """Return the columns that tell rows apart, as far as they are there."""
    return [c for c in (params.columns.date, params.columns.geo) if c is not None and c in frame]


def _is_from_the_future(frame: pd.DataFrame, weeks: pd.Series, params: ModelParams, today: date | None) -> pd.Series:
    """Return which rows have a target although their week had not begun when they arrived.

    Planned rows have none, and rows of past weeks may be a replay's later ones.  One day more than today, for clocks
    east of UTC.
    """
    target = params.columns.target.column
    if today is None or list(frame.columns).count(target) != 1:
        return pd.Series(False, index=frame.index)
    this_week = week_of(pd.Series([pd.Timestamp(today) + pd.Timedelta(days=1)]), params.source.week_start).iloc[0]
    return (weeks > this_week) & frame[target].str.strip().ne("")
