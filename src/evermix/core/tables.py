"""What a model says, as tidy tables for BI: one row per fact, with model, version and ``as_of`` in each.

Pure: contributions, predictions, scores and the ledger come in, tables come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from evermix.core.diagnostics import WINDOW_WEEKS
from evermix.core.predictive import Predictive
from evermix.core.prequential import TOTAL_GEO
from evermix.records import Score

Kind = Literal["text", "date", "number", "count", "flag"]

_STAMP: dict[str, Kind] = {"model": "text", "version": "text", "as_of": "date"}
_INTERVALS = ("mean", "low_50", "high_50", "low_90", "high_90")

TABLES: dict[str, dict[str, Kind]] = {
    # What each part of the model adds to the target, week by week; the parts of a week sum up to its mean.
    "contributions": {
        **_STAMP,
        "week": "date",
        "geo": "text",
        "component": "text",
        "role": "text",
        "mean": "number",
        "low_90": "number",
        "high_90": "number",
    },
    # Contribution over spend in a window of weeks; geo 'all' is all geos together.
    "roas": {
        **_STAMP,
        "geo": "text",
        "channel": "text",
        "first_week": "date",
        "last_week": "date",
        "weeks": "count",
        "spend": "number",
        "mean": "number",
        "median": "number",
        "low_90": "number",
        "high_90": "number",
    },
    # kind 'plan': planned weeks; 'one_step': what was said of a week before it came, and what it brought;
    # '4_weeks_ahead', '13_weeks_ahead': the same, said so many weeks before.
    "forecasts": {
        **_STAMP,
        "kind": "text",
        "week": "date",
        "geo": "text",
        "observed": "number",
        **dict.fromkeys(_INTERVALS, "number"),
    },
    # One row per decided week; version is the one in use after it.
    "decisions": {
        **_STAMP,
        "decision": "text",
        "reasons": "text",
        "verdict": "text",
        "approval": "text",
        "approved_by": "text",
        "challenger": "text",
        "healed": "flag",
        "reconstructed": "flag",
        "decided_at": "text",
    },
}
"""Type of each column by table."""


def contribution_rows(contributions: xr.DataArray, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return mean and 90 % interval of each part of each week and geo, target units.

    Parameters
    ----------
    contributions : DataArray
        Dims (draw, week, geo, component).
    columns : mapping
        The version's columns: they say which component is a channel, a control or an event; all others are ``base``.
    """
    values = contributions.transpose("draw", "week", "geo", "component")
    low, high = np.quantile(values.to_numpy(), [0.05, 0.95], axis=0)
    names = ("week", "geo", "component")
    index = pd.MultiIndex.from_product([values[name].to_numpy() for name in names], names=names)
    numbers = {"mean": values.mean("draw").to_numpy().ravel(), "low_90": low.ravel(), "high_90": high.ravel()}
    table = pd.DataFrame(numbers, index=index).reset_index()
    named = {name: role[:-1] for role in ("channels", "controls", "events") for name in columns[role]}
    return table.assign(role=[named.get(str(name), "base") for name in table["component"]])


def roas_rows(
    contributions: xr.DataArray, panel: pd.DataFrame, channels: Sequence[str], since: Mapping[str, str]
) -> pd.DataFrame:
    """Return the return on ad spend of each channel that spent in the last weeks, per geo and for all geos together.

    All of the window's contribution, the part that comes from earlier spend too, is credited to the window's spend.

    Parameters
    ----------
    since : mapping
        The Monday since which a channel's effect is what it is, where it changed: its window begins there, and what
        came before is a row of its own, ``<channel> before <week>``.
    """
    recent = contributions.isel(week=slice(-WINDOW_WEEKS, None))
    geos = [str(geo) for geo in recent["geo"].to_numpy()]
    groups = {geo: [geo] for geo in geos} | ({"all": geos} if len(geos) > 1 else {})
    rows = []
    for geo, members in groups.items():
        for name, channel, within in _windows(recent, channels, since):
            weeks = pd.DatetimeIndex(within["week"].to_numpy())
            totals = within.sel(geo=members).sum(("week", "geo"))
            spent = panel[panel["week"].isin(weeks)].groupby("geo").sum(numeric_only=True)
            spend = float(spent.loc[members, f"spend.{channel}"].sum()) if f"spend.{channel}" in spent else 0.0
            if spend <= 0:
                continue
            ratio = totals.sel(component=channel).to_numpy() / spend
            low, median, high = np.quantile(ratio, [0.05, 0.5, 0.95])
            window = {"first_week": weeks.min(), "last_week": weeks.max(), "weeks": len(weeks), "spend": spend}
            ends = {"mean": float(ratio.mean()), "median": median, "low_90": low, "high_90": high}
            rows.append({"geo": geo, "channel": name, **window, **ends})
    return pd.DataFrame(rows)


def _windows(
    recent: xr.DataArray, channels: Sequence[str], since: Mapping[str, str]
) -> Iterator[tuple[str, str, xr.DataArray]]:
    """Yield the name of a row of ROAS, its channel, and the contributions of its weeks."""
    for channel in channels:
        changed = recent["week"] >= np.datetime64(since.get(channel, "0001-01-01"), "s")
        yield channel, channel, recent.isel(week=changed.to_numpy())
        if not changed.all():
            yield f"{channel} before {since[channel]}", channel, recent.isel(week=~changed.to_numpy())


def plan_rows(predictive: Predictive, planned: pd.DataFrame) -> pd.DataFrame:
    """Return the predictive mean and intervals of planned weeks, in the order of the plan."""
    (low_50, high_50), (low_90, high_90) = predictive.interval(0.5), predictive.interval(0.9)
    bounds = (predictive.expected(), low_50, high_50, low_90, high_90)
    table = planned[["week", "geo"]].reset_index(drop=True)
    return table.assign(kind="plan", **dict(zip(_INTERVALS, bounds, strict=True)))


def one_step_rows(log: Sequence[Score]) -> pd.DataFrame:
    """Return what was predicted of each week and geo before it came, 1, 4 and 13 weeks ahead.

    ``version`` is that of the prediction, ``as_of`` the week in which the target came.
    """
    wanted = ("version", "as_of", "week", "geo", "observed", *_INTERVALS)
    return pd.DataFrame(
        [
            {name: getattr(row, name) for name in wanted}
            | {"kind": "one_step" if row.horizon == 1 else f"{row.horizon}_weeks_ahead"}
            for row in log
            if row.geo != TOTAL_GEO
        ]
    )


def decision_rows(weeks: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per decided week from the folded ledger."""
    return pd.DataFrame(
        [
            {
                **{key: week[key] for key in ("version", "as_of", "decision", "verdict", "healed", "reconstructed")},
                "reasons": "; ".join(week["reasons"]),
                "approval": (week["approval"] or {}).get("state"),
                "approved_by": (week["approval"] or {}).get("by"),
                "challenger": week.get("challenger"),
                "decided_at": week["at"],
            }
            for week in weeks
        ]
    )


def tidy(name: str, rows: pd.DataFrame, model: str, version: str | None, as_of: str) -> list[dict[str, Any]]:
    """Return rows as plain values in the table's columns: dates as dates, missing ones as None; stamped where not yet.

    Numbers that are not finite are None: missing evidence, in a database as in JSON.
    """
    stamped = {"model": model, "version": version, "as_of": as_of}
    records = [stamped | dict(record) for record in rows.to_dict("records")]
    return [{key: _plain(record.get(key), kind) for key, kind in TABLES[name].items()} for record in records]


def _plain(value: Any, kind: Kind) -> Any:
    if value is None or value is pd.NaT or (isinstance(value, float) and not np.isfinite(value)):
        return None
    match kind:
        case "date":
            return date.fromisoformat(value) if isinstance(value, str) else pd.Timestamp(value).date()
        case "number":
            return float(value)
        case "count":
            return int(value)
        case "flag":
            return bool(value)
    return str(value)
