"""Numbers that a challenger is judged by: predictive checks, coverage, holdout skill, contributions and their overlap.

Pure: predictive distributions and contributions come in, numbers and tables go out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.baselines import Forecast, gaussian_crps, ridge, seasonal_naive
from evermix.core.predictive import Predictive

Floats = NDArray[np.float64]

WINDOW_WEEKS = 52  # contributions and ROAS are totals of the last year
INTERVAL = 0.9


def predictive_p_values(predictive: Predictive, rows: pd.DataFrame, seed: int) -> dict[str, float]:
    """Return posterior predictive p-values P(T(replicated) >= T(observed)) (Gelman, Meng and Stern 1996).

    T is the mean, the standard deviation around each geo's mean, and the lag-1 autocorrelation of
    each geo, averaged.  Near 0 or 1 the model does not make data like these; the autocorrelation
    is for information, since a model without memory fails it in ways that harm little.

    Parameters
    ----------
    predictive : Predictive
        Of exactly these rows, shapes (draw, row).
    rows : DataFrame
        Panel rows with a target, sorted by week and geo.
    """
    groups = [np.flatnonzero(rows["geo"].to_numpy() == geo) for geo in sorted(set(rows["geo"]))]
    observed = rows["target"].to_numpy(float)[None, :]
    replicated = predictive.sample(seed)
    tests: dict[str, Callable[[Floats, list[NDArray[np.intp]]], Floats]] = {
        "ppc_mean_p": _mean,
        "ppc_sd_p": _spread,
        "ppc_lag1_p": _lag1,
    }
    return {name: float(np.mean(test(replicated, groups) >= test(observed, groups))) for name, test in tests.items()}


def coverage(predictive: Predictive, observed: Floats, level: float) -> float:
    """Return the share of rows whose central interval of this probability holds the observed value."""
    low, high = predictive.interval(level)
    return float(np.mean((low <= observed) & (observed <= high)))


def interval_table(predictive: Predictive, rows: pd.DataFrame) -> pd.DataFrame:
    """Return week, geo, observed, predictive mean and 50 and 90 % bounds of each row, to be plotted."""
    (low_50, high_50), (low_90, high_90) = predictive.interval(0.5), predictive.interval(0.9)
    return pd.DataFrame(
        {
            "week": rows["week"].dt.strftime("%Y-%m-%d").to_numpy(),
            "geo": rows["geo"].to_numpy(),
            "observed": rows["target"].to_numpy(float),
            "mean": predictive.expected(),
            "low_50": low_50,
            "high_50": high_50,
            "low_90": low_90,
            "high_90": high_90,
        }
    )


def is_held_out(panel: pd.DataFrame, holdout_weeks: int) -> NDArray[np.bool_]:
    """Return which rows with a target lie in the last ``holdout_weeks`` weeks that have one, shape (row,)."""
    known = panel["target"].notna()
    weeks = panel.loc[known, "week"].drop_duplicates().sort_values()
    return np.asarray(known & (panel["week"] >= weeks.iloc[-holdout_weeks]))


def unseen_launch(panel: pd.DataFrame, held: NDArray[np.bool_]) -> tuple[pd.Timestamp, str] | None:
    """Return the first held-out week with spend of a channel that never spent before, and the channel; None without.

    From that week on, a fit that did not see the held-out weeks forecasts the channel from its prior alone: it
    would be a score of the prior, so those weeks are not scored.
    """
    before = panel["week"] < panel.loc[held, "week"].min()
    launches = []
    for column in (str(c) for c in panel if str(c).startswith(("spend.", "exposure."))):
        spends = panel[column] > 0
        if not (spends & before).any() and (spends & ~before).any():
            launches.append((panel.loc[spends, "week"].min(), column.split(".", 1)[1]))
    return min(launches) if launches else None


def scored_rows(panel: pd.DataFrame, holdout_weeks: int) -> tuple[NDArray[np.bool_], str | None]:
    """Return which held-out rows a fit without them is scored on, shape (row,), and why it is not all of them."""
    held = is_held_out(panel, holdout_weeks)
    launch = unseen_launch(panel, held)
    if launch is None:
        return held, None
    week, channel = launch
    why = f"scored before {week:%Y-%m-%d}: {channel} was launched then, unseen"
    return held & (panel["week"] < week).to_numpy(), why


def holdout_skill(
    predictive: Predictive, panel: pd.DataFrame, held: NDArray[np.bool_], season_weeks: int, seed: int
) -> tuple[dict[str, float], dict[str, str], pd.DataFrame]:
    """Compare the model fitted without the held-out weeks with two baselines that see the same training weeks.

    Parameters
    ----------
    predictive : Predictive
        Of the held-out rows, by the fit that did not see them.
    held : ndarray (row,) of bool
        The held-out rows of the panel.

    Returns
    -------
    values : dict
        ``holdout_crps``, ``holdout_log_score``, ``holdout_coverage_50`` and ``_90``, CRPS per baseline, and
        ``holdout_crps_ratio``: the model's mean CRPS over the better baseline's; below 1 the model wins;
        ``holdout_crps_excess``: by how many standard errors the model's CRPS is the larger one.
    not_applicable : dict
        Why a baseline could not be made; without any baseline the ratio is missing, which the gate does not pass.
    table : DataFrame
        One row per held-out row, with the baselines' means.
    """
    rows = panel[held]
    if rows.empty:
        return {}, {}, interval_table(predictive, rows).assign(seasonal_naive=[], ridge=[])
    observed = rows["target"].to_numpy(float)
    train = panel[panel["week"] < rows["week"].min()]
    values = {
        "holdout_crps": float(predictive.crps(observed, seed).mean()),
        "holdout_log_score": float(predictive.log_score(observed).mean()),
        "holdout_coverage_50": coverage(predictive, observed, 0.5),
        "holdout_coverage_90": coverage(predictive, observed, 0.9),
    }
    table, reasons = interval_table(predictive, rows), dict[str, str]()
    baselines: dict[str, Forecast | None] = {
        "seasonal_naive": seasonal_naive(train, rows, season_weeks),
        "ridge": ridge(train, rows),
    }
    own = predictive.crps(observed, seed)
    others: list[Floats] = []
    for name, forecast in baselines.items():
        if forecast is None:
            reasons[f"{name}_crps"] = "the training weeks are too few for this baseline"
            continue
        table[name] = forecast.mean
        others.append(gaussian_crps(forecast.mean, forecast.sd, observed))
        values[f"{name}_crps"] = float(others[-1].mean())
    if others:
        best = min(others, key=lambda scores: float(scores.mean()))
        values["holdout_crps_ratio"] = float(own.mean() / best.mean())
        values["holdout_crps_excess"] = excess_in_errors(own - best, rows["week"])
    return values, reasons, table


def excess_in_errors(difference: Floats, weeks: pd.Series) -> float:
    """Return a mean score difference in its standard errors, weeks as the unit (Diebold and Mariano 1995).

    Geos of one week share its luck, so they are averaged first.  NaN below three weeks, or when the weeks do not
    differ: then the data do not say how sure the difference is.
    """
    weekly = pd.Series(difference).groupby(weeks.to_numpy()).mean().to_numpy()
    if len(weekly) < 3 or weekly.std(ddof=1) == 0:
        return float("nan")
    return float(weekly.mean() / (weekly.std(ddof=1) / np.sqrt(len(weekly))))


def total_contributions(contributions: xr.DataArray, since: Mapping[str, str]) -> xr.DataArray:
    """Return totals over the last weeks and all geos, dims (draw, component), from (draw, week, geo, component).

    Parameters
    ----------
    since : mapping
        By component the first week that counts, where that is not the window's.
    """
    recent = contributions.isel(week=slice(-WINDOW_WEEKS, None))
    for name, week in since.items():
        counts = (recent["component"] != name) | (recent["week"] >= np.datetime64(week, "s"))
        recent = recent.where(counts, 0.0)
    return recent.sum(("week", "geo"))


def weekly_contributions(contributions: xr.DataArray) -> pd.DataFrame:
    """Return week, geo, component and posterior mean in target units, one row each, to be plotted."""
    mean = contributions.mean("draw").transpose("week", "geo", "component").reset_coords(drop=True)
    table = mean.rename("mean").to_dataframe().reset_index()
    return table.assign(week=pd.to_datetime(table["week"]).dt.strftime("%Y-%m-%d"))


def contribution_table(totals: xr.DataArray, champion: xr.DataArray | None, spend: Mapping[str, float]) -> pd.DataFrame:
    """Return per component the total, its 90 % interval, the champion's, their overlap, and the spend.

    Parameters
    ----------
    totals, champion : DataArray (draw, component)
        Totals over the same weeks, target units; the champion's may be missing.
    spend : mapping
        Spend over those weeks by channel, money.

    Returns
    -------
    DataFrame
        Index component; NaN where a number does not apply.
    """
    mine = _ends(totals)
    theirs = _ends(champion) if champion is not None else mine.iloc[:0]
    table = mine.join(theirs.add_prefix("champion_"), how="left")
    bounds = table[["low_90", "high_90", "champion_low_90", "champion_high_90"]].to_numpy(float)
    table["overlap"] = [interval_overlap((a, b), (c, d)) for a, b, c, d in bounds]
    table["spend"] = pd.Series(spend, dtype=float).reindex(table.index)
    return table


def roas_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the return on ad spend of each channel that spent, by champion and challenger, with 90 % intervals.

    All of the window's contribution, the part that comes from earlier spend too, is credited to the
    window's spend.
    """
    out = []
    for channel, row in table[table["spend"] > 0].to_dict("index").items():
        for version, prefix in (("champion", "champion_"), ("challenger", "")):
            ends = [float(row[f"{prefix}{name}"] / row["spend"]) for name in ("mean", "low_90", "high_90")]
            if np.isfinite(ends).all():
                out.append({"channel": channel, "version": version, "mean": ends[0], "low": ends[1], "high": ends[2]})
    return out


def interval_overlap(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return the length that two intervals share over the length of the shorter one: 0 apart, 1 nested.

    The overlap coefficient of Szymkiewicz and Simpson: a challenger that only became more certain
    is no disagreement, as it would be over the length of the union.  A point counts as inside (1)
    or outside (0).  NaN if a bound is.
    """
    if not np.isfinite([*one, *other]).all():
        return float("nan")
    shared = min(one[1], other[1]) - max(one[0], other[0])
    shorter = min(one[1] - one[0], other[1] - other[0])
    if shorter > 0:
        return max(0.0, shared) / shorter
    return 1.0 if shared >= 0 else 0.0


def champion_overlap(table: pd.DataFrame, channels: Sequence[str]) -> float | None:
    """Return the smallest overlap over the channels that both versions know, None if they share none.

    A channel to which the champion gives exactly nothing was not in use when it was fitted: it knows
    nothing of it, and that is no disagreement.
    """
    known = table["champion_high_90"] > table["champion_low_90"]
    shared = table.loc[known, "overlap"].reindex(list(channels)).dropna()
    return float(shared.min()) if len(shared) else None


def recent_spend(panel: pd.DataFrame, since: Mapping[str, str]) -> dict[str, float]:
    """Return spend by channel over the last weeks of the panel, or since a channel's own first week; money."""
    recent = panel[panel["week"].isin(panel["week"].drop_duplicates().sort_values().iloc[-WINDOW_WEEKS:])]
    out = {}
    for name in (c.removeprefix("spend.") for c in map(str, panel) if c.startswith("spend.")):
        counts = recent["week"] >= pd.Timestamp(since[name]) if name in since else slice(None)
        out[name] = float(recent.loc[counts, f"spend.{name}"].sum())
    return out


def finite_values(values: Mapping[str, Any]) -> dict[str, float | None]:
    """Return numbers for JSON: what is not finite is None, which is missing evidence and never passes."""
    return {name: float(v) if v is not None and np.isfinite(v) else None for name, v in values.items()}


def _ends(totals: xr.DataArray) -> pd.DataFrame:
    values = totals.transpose("draw", "component").to_numpy()
    low, high = np.quantile(values, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    columns = {"mean": values.mean(axis=0), "low_90": low, "high_90": high}
    return pd.DataFrame(columns, index=[str(name) for name in totals["component"].to_numpy()])


def _mean(values: Floats, groups: list[NDArray[np.intp]]) -> Floats:
    return np.asarray(values.mean(axis=1))


def _spread(values: Floats, groups: list[NDArray[np.intp]]) -> Floats:
    within = np.concatenate([values[:, g] - values[:, g].mean(axis=1, keepdims=True) for g in groups], axis=1)
    return np.asarray(np.sqrt(np.mean(within**2, axis=1)))


def _lag1(values: Floats, groups: list[NDArray[np.intp]]) -> Floats:
    parts = []
    for g in groups:
        apart = values[:, g] - values[:, g].mean(axis=1, keepdims=True)
        parts.append((apart[:, 1:] * apart[:, :-1]).sum(axis=1) / np.maximum((apart**2).sum(axis=1), 1e-300))
    return np.asarray(np.mean(parts, axis=0))
