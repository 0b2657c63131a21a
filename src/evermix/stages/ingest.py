"""Ingest: store the source's answer for a week as an immutable snapshot, or say that the week is waiting."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal

import pandas as pd

from evermix.config import ModelParams
from evermix.core.panel import is_waiting, parse_dates, week_of, whole_weeks
from evermix.engines.sources import Delivery, fetch, keep_rows, read_table
from evermix.engines.store import fresh_folder, hash_bytes, read_json, write_bytes, write_json
from evermix.errors import ConfigError
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


def take_snapshot(params: ModelParams, source: str, as_of: date, folder: Path) -> SnapshotSummary:
    """Write ``data.csv`` or ``data.parquet`` and ``about.json`` into a folder, at once or not at all.

    Rows of weeks after ``as_of`` are cut, so that a past week sees what it could have seen; rows without a readable
    date stay, for validate to report.  A folder that already holds the same bytes is left alone.

    Parameters
    ----------
    source : str
        Path, glob or URL with ``{home}`` filled in (`Environment.source_path`).
    as_of : date
        Monday of the week being closed.

    Raises
    ------
    ServiceError
        The source is not there or did not answer.
    ConfigError
        ``as_of`` is not a Monday, or the URL cannot be used.
    """
    if as_of.weekday() != 0:
        raise ConfigError(f"as_of: got {as_of} ({as_of:%A}), expected a Monday. Weeks are named by their Monday.")
    delivery = fetch(source, params.source.format)
    data, cut_rows, waiting, weeks = _cut(delivery, params, as_of)
    rows = None if delivery.rows is None else delivery.rows - cut_rows
    told = {"sha256": hash_bytes(data), "rows": rows, "cut_rows": cut_rows, "files": list(delivery.files)}
    about = {"format": delivery.format} | told
    file = folder / "about.json"
    if waiting:
        return SnapshotSummary(status="waiting", as_of=as_of.isoformat(), **told, **weeks)
    if file.is_file() and read_json(file) == about:
        return SnapshotSummary(status="unchanged", as_of=as_of.isoformat(), **told, **weeks)
    with fresh_folder(folder) as draft:
        write_bytes(draft / f"data.{delivery.format}", data)
        write_json(draft / "about.json", about)
    return SnapshotSummary(status="taken", as_of=as_of.isoformat(), **told, **weeks)


def _cut(delivery: Delivery, params: ModelParams, as_of: date) -> tuple[bytes, int, bool, dict[str, str | None]]:
    """Return the bytes without later weeks, how many rows that cost, whether the week waits, and the source's span."""
    unknown: dict[str, str | None] = {"first_week": None, "last_week": None}
    if delivery.rows is None:
        return delivery.data, 0, False, unknown
    table = read_table(delivery.data, delivery.format)
    column = params.columns.date
    if list(table.frame.columns).count(column) != 1:
        return delivery.data, 0, False, unknown
    dates = parse_dates(table.frame[column])
    keep = ~(week_of(dates, params.source.week_start) > pd.Timestamp(as_of))
    data = keep_rows(delivery.data, delivery.format, table, keep)
    return data, int((~keep).sum()), is_waiting(dates, params.source, as_of), whole_weeks(dates, params.source)
