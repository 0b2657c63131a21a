"""Data quality over time: one number a week, measure and column.  Whether it is usual: ``core/quality_limits.py``.

Some measures can be read off every week that a delivery tells of (completeness, outliers, tracking); the others are of
the delivery itself (freshness, duplicates, refusals, restatements, label delay) and have no past but the recorded one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import ModelParams
from evermix.core.changes import masked_mondays
from evermix.core.diff import diff_panels
from evermix.core.panel import last_day, panel_of, parse_numbers, value_columns
from evermix.records import SnapshotDiff

ALL = "all"
Key = tuple[str, str]
"""Measure and column."""
Floats = NDArray[np.float64]

_YEAR_WEEKS = 52
_MIN_ACTIVE_WEEKS = 8
# Below a twentieth of its usual week a channel is as good as off: what few clicks cost says nothing of tracking.
_ACTIVE_SHARE = 0.05
_FLOOR_SHARE = 0.01


@dataclass(frozen=True)
class Measure:
    """What a series measures, on which side it can be bad, and where its limit comes from.

    ``spread``: its own robust spread.  ``worst``: that, and the worst that its past has seen.  ``none``: the contract
    allows none.
    """

    unit: str
    meaning: str
    side: Literal["low", "high", "both"]
    limit: Literal["spread", "worst", "none"]


MEASURES: dict[str, Measure] = {
    "completeness": Measure("share", "cells of the newest week that hold a value, of those due", "low", "worst"),
    "freshness_days": Measure("days", "from the end of the week to the arrival of its delivery", "high", "worst"),
    "label_delay_weeks": Measure(
        "weeks", "from the end of a week to its target: the longest that came or is still due", "high", "worst"
    ),
    "restated_share": Measure("share", "past cells that the delivery tells differently", "high", "worst"),
    "restated_size": Measure("share", "what was restated, of the column's past amount", "high", "worst"),
    "duplicates": Measure("rows", "rows that tell of a date and geo again", "high", "none"),
    "refusals": Measure("deliveries", "deliveries of the week that broke the contract", "high", "none"),
    "outlier": Measure("column", "the newest value, against its level of the weeks before", "both", "spread"),
    "tracking": Measure("ratio", "one count of a channel per unit of another, or of spend", "both", "spread"),
}


@dataclass(frozen=True)
class Delivered:
    """One delivery as far as it could be read, accepted or refused.

    Attributes
    ----------
    frame : DataFrame of text
        The source's columns, labelled by row; empty where nothing could be read.
    rows, grid : DataFrame
        From ``core/panel.py``: `type_rows` and `weekly_grid`.
    before : DataFrame or None
        The last accepted panel.
    diff : SnapshotDiff or None
        Of an accepted delivery; of a refused one it is made here.
    arrived : date or None
        Day of arrival (UTC); None where it says nothing of the source: not recorded, or a past week rebuilt.
    number : int
        1 for the first delivery of the week; those before it were refused.
    """

    as_of: date
    number: int
    frame: pd.DataFrame
    rows: pd.DataFrame
    grid: pd.DataFrame
    before: pd.DataFrame | None
    diff: SnapshotDiff | None
    accepted: bool
    arrived: date | None


def told_series(seen: Delivered, params: ModelParams) -> pd.DataFrame:
    """Return completeness, outlier and tracking of every week that the delivery tells of.

    Geos are added up (controls: averaged), so a break in one geo must be large to be seen.

    Returns
    -------
    DataFrame
        Index: weeks; columns: measure and column; NaN where a week cannot be measured.
    """
    if seen.grid.empty:
        return pd.DataFrame()
    cells = _cells(seen, params)
    wide = _totals(seen, cells)
    typical = wide.where(wide > 0).shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_ACTIVE_WEEKS).median()
    out = {("completeness", name): share for name, share in _completeness(seen, cells, params).items()}
    values, usual = (dict(zip(map(str, wide), table.to_numpy().T, strict=True)) for table in (wide, typical))
    for name in value_columns(params.columns):
        if not name.startswith("event."):
            out["outlier", name] = _outlier(name, values[name], usual[name])
    for channel in params.columns.channels:
        for over, under in _pairs(channel, params):
            out["tracking", f"{over} per {under}"] = _ratio(values, usual, over, under)
    table = pd.DataFrame(np.column_stack(list(out.values())), index=wide.index)
    table.columns = pd.MultiIndex.from_tuples(list(out), names=["measure", "column"])
    return table


def delivery_values(seen: Delivered, params: ModelParams) -> dict[Key, float | None]:
    """Return what is measured of the delivery itself; None where it cannot be."""
    keys = [c for c in (params.columns.date, params.columns.geo) if c in seen.frame]
    out: dict[Key, float | None] = {
        ("freshness_days", ALL): _freshness(seen, params),
        ("refusals", ALL): float(seen.number - seen.accepted),
        ("duplicates", ALL): float(seen.frame.duplicated(keys).sum()) if keys else None,
    }
    if seen.grid.empty:
        return out | {("completeness", ALL): 0.0}
    now = panel_of(seen.grid)
    masked = masked_mondays(params.masked_weeks, seen.as_of.isoformat())
    diff = seen.diff if seen.diff is not None else diff_panels(seen.before, now, masked)
    out["label_delay_weeks", ALL] = _label_delay(seen, now, diff, masked)
    return out | _restated(seen.before, now, diff)


def _cells(seen: Delivered, params: ModelParams) -> pd.DataFrame:
    """Return the typed rows with the counts that are watched and not modelled; NaN where such a column is gone."""
    names = [name for names in params.validation.tracked.values() for name in names]
    there = list(map(str, seen.frame.columns))
    tracked = {name: parse_numbers(seen.frame[name]) if there.count(name) == 1 else np.nan for name in names}
    return seen.rows.assign(**tracked)


def _totals(seen: Delivered, cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per week: amounts of all geos together, NaN where a geo is not told; controls averaged."""
    columns = [str(c) for c in seen.grid if c not in ("rows", "days", "row")]
    groups = seen.grid[columns].groupby(level="week")
    wide = groups.sum(skipna=False)
    levels = [c for c in columns if c.startswith("control.")]
    if levels:
        wide[levels] = groups[levels].mean(skipna=False)
    tracked = [c for c in cells if c not in seen.rows]
    sums = cells.groupby("week")[tracked].sum(min_count=1).reindex(wide.index)
    return wide.join(sums)


def _counts(channel: str, params: ModelParams) -> list[str]:
    """Return the columns that count what a channel delivered: its exposure, and what is watched and not modelled."""
    exposure = [f"exposure.{channel}"] if params.columns.channels[channel].exposure is not None else []
    return [*exposure, *params.validation.tracked.get(channel, [])]


def _pairs(channel: str, params: ModelParams) -> list[tuple[str, str]]:
    """Return which columns of a channel are compared: each count per spend, and each further count per first."""
    counts = _counts(channel, params)
    return [(count, f"spend.{channel}") for count in counts] + [(count, counts[0]) for count in counts[1:]]


def _ratio(values: Mapping[str, Floats], usual: Mapping[str, Floats], over: str, under: str) -> Floats:
    """Return one column per unit of another in weeks in which either is in use.

    A side that is 0 while the other runs is the break one looks for: it counts as a hundredth of its usual week.
    """
    is_on = (values[over] >= _ACTIVE_SHARE * usual[over]) | (values[under] >= _ACTIVE_SHARE * usual[under])
    ratio = np.maximum(values[over], _FLOOR_SHARE * usual[over]) / np.maximum(
        values[under], _FLOOR_SHARE * usual[under]
    )
    return np.where(is_on, ratio, np.nan)


def _outlier(name: str, values: Floats, usual: Floats) -> Floats:
    """Return a column's values where they are to be judged: of media only in weeks in which they are in use."""
    if name.startswith(("spend.", "exposure.")):
        return np.where(values >= _ACTIVE_SHARE * usual, values, np.nan)
    return values if (values < 0).any() else np.maximum(values, _FLOOR_SHARE * np.nan_to_num(usual))


def _completeness(seen: Delivered, cells: pd.DataFrame, params: ModelParams) -> dict[str, Floats]:
    """Return the share of due cells that hold a value, by week and column, and of all columns that are due.

    A target is due after its delay, a count of a channel where money was spent, and spend wherever there is a row: a
    blank cell of it stands for 0.
    """
    columns = value_columns(params.columns)
    told = {"rows": cells["week"].notna(), "target": cells["target"].notna()}
    told |= {name: cells[name].notna() for name in columns if name.startswith(("control.", "event."))}
    paid_for: dict[str, str] = {}
    for channel in params.columns.channels:
        paid = cells[f"spend.{channel}"] > 0
        for name in _counts(channel, params):
            told |= {name: cells[name].notna() & paid, f"spend.{channel}": paid}
            paid_for[name] = f"spend.{channel}"
    weeks = seen.grid.index.get_level_values("week").unique()
    counted = pd.DataFrame(told).groupby(cells["week"]).sum().reindex(weeks, fill_value=0).astype(float)
    due = seen.grid.index.get_level_values("geo").nunique() * (7.0 if params.source.frequency == "daily" else 1.0)
    shares = {}
    for name in told:
        if name in paid_for:
            paid_rows = counted[paid_for[name]].to_numpy()
            shares[name] = counted[name].to_numpy() / np.where(paid_rows > 0, paid_rows, np.nan)
        elif not name.startswith("spend."):
            shares[name] = np.minimum(counted[name].to_numpy() / due, 1.0)
    late = weeks > pd.Timestamp(seen.as_of - timedelta(weeks=params.label_delay_weeks))
    masked = weeks.isin(pd.to_datetime(masked_mondays(params.masked_weeks, seen.as_of.isoformat())))
    shares["target"] = np.where(late | masked, np.nan, shares["target"])
    return {ALL: np.nanmean(np.column_stack(list(shares.values())), axis=1)} | {
        name: share for name, share in shares.items() if name != "rows"
    }


def _freshness(seen: Delivered, params: ModelParams) -> float | None:
    if seen.arrived is None:
        return None
    return float((seen.arrived - last_day(seen.as_of, params.source.week_start)).days - 1)


def _label_delay(seen: Delivered, now: pd.DataFrame, diff: SnapshotDiff, masked: list[str]) -> float | None:
    """Return the longest way of a target that came with this delivery, or that has not come yet.

    Of a first delivery only what is still missing is known: when the rest came was not seen.
    """
    came = {cell.week for cell in diff.completed if cell.column == "target"}
    missing = {week.date().isoformat() for week in now.loc[now["target"].isna(), "week"]}
    new = set(diff.new_weeks) if seen.before is not None else {seen.as_of.isoformat()}
    weeks = (came | missing | new) - set(masked)
    return max(((seen.as_of - date.fromisoformat(week)).days / 7 for week in weeks), default=None)


def _restated(before: pd.DataFrame | None, now: pd.DataFrame, diff: SnapshotDiff) -> dict[Key, float | None]:
    """Return how many past cells were restated, and how much of the past amount that is, by column and of all."""
    if before is None:
        return {}
    old = before.set_index(["week", "geo"])
    old = old.loc[old.index.isin(pd.MultiIndex.from_frame(now[["week", "geo"]]))]
    known = old[[c for c in map(str, now) if c in old]]
    if known.empty:
        return {}
    cells, amounts = known.notna().sum(), known.abs().sum()
    changed = dict.fromkeys(map(str, known), 0)
    moved = dict.fromkeys(map(str, known), 0.0)
    for cell in (cell for cell in diff.restated if cell.column in changed):
        changed[cell.column] += 1
        moved[cell.column] += abs((cell.new or 0.0) - (cell.old or 0.0))
    out: dict[Key, float | None] = {("restated_share", ALL): sum(changed.values()) / float(cells.sum())}
    for name in changed:
        out["restated_share", name] = _share(changed[name], cells[name])
        out["restated_size", name] = _share(moved[name], amounts[name])
    return out


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None
