"""The champion questioned by each new week: scores, the surprise they add up to, and what else has changed.

Everything is judged with the champion's own spec, basis and columns.  A week and geo is scored
once, by the version in use before it came; what was scored is never scored again.  Pure:
predictions come in, records go out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evermix.core.predictive import Predictive
from evermix.errors import FitError
from evermix.records import Score

# One week may say no more than this many sd about a change that lasts.
MAX_SD = 3.0
# z of a PIT at the clip is 7: far beyond any rule's threshold, and still a finite number.
PIT_CLIP = 1e-12
# Weeks ahead that are scored when their target comes, beside the one week of the alarms.
LONG_HORIZONS = (4, 13)
# Stands for the sum over geos in the log; brackets, since a geo may be called total.
TOTAL_GEO = "(total)"


def rows_to_score(
    panel: pd.DataFrame, before: pd.DataFrame | None, fitted_through: str, log: Sequence[Score]
) -> NDArray[np.bool_]:
    """Return which panel rows have a target that the champion has not seen and nobody has scored, shape (row,).

    Unseen are weeks after the champion's training data, and earlier ones whose target was still
    late in the last accepted panel.
    """
    known = np.isfinite(panel["target"].to_numpy(float))
    unseen = (panel["week"] > pd.Timestamp(fitted_through)).to_numpy()
    if before is not None:
        late = before.loc[before["target"].isna(), ["week", "geo"]]
        unseen = unseen | _keys(panel).isin(_keys(late)).to_numpy()
    scored = pd.Series([f"{row.week} {row.geo}" for row in one_step(log)], dtype=str)
    return np.asarray(known & unseen & ~_keys(panel).isin(scored).to_numpy())


def one_step(log: Sequence[Score]) -> list[Score]:
    """Return the rows of single geos a week ahead: those that alarms look at."""
    return [row for row in log if row.horizon == 1 and row.geo != TOTAL_GEO]


def score_rows(
    predictive: Predictive, rows: pd.DataFrame, as_of: str, version: str, seed: int, horizon: int = 1
) -> list[Score]:
    """Return one score per row.

    Parameters
    ----------
    predictive : Predictive
        What the champion says of exactly these rows, shapes (draw, row), target units.
    rows : DataFrame
        Panel rows with a target, in the order of ``predictive``.

    Raises
    ------
    FitError
        If the champion predicts something that is no number: its draws do not fit this panel.
    """
    if rows.empty:
        return []
    observed = rows["target"].to_numpy(float)
    pit = np.clip(predictive.pit(observed), PIT_CLIP, 1 - PIT_CLIP)
    (low_50, high_50), (low_90, high_90) = predictive.interval(0.5), predictive.interval(0.9)
    numbers = {
        "observed": observed,
        "mean": predictive.expected(),
        "low_50": low_50,
        "high_50": high_50,
        "low_90": low_90,
        "high_90": high_90,
        "log_score": predictive.log_score(observed),
        "crps": predictive.crps(observed, seed),
        "pit": pit,
        "z": special.ndtri(pit),
    }
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            raise FitError(f"{version}: {name} of a new week is not finite, expected a number. Refit or roll back.")
    weeks = rows["week"].dt.strftime("%Y-%m-%d")
    return [
        Score(
            week=week,
            geo=geo,
            as_of=as_of,
            version=version,
            horizon=horizon,
            **{n: float(v[i]) for n, v in numbers.items()},
        )
        for i, (week, geo) in enumerate(zip(weeks, rows["geo"], strict=True))
    ]


def weekly_z(log: Sequence[Score], reset_after: str | None) -> dict[tuple[str, str], float]:
    """Return one z per arrival of a week since the last reset, by (as_of, week) in order of arrival.

    Geos are averaged.  Their sum over sqrt(n) would be standard normal only if geos did not
    depend on each other; the average has a standard deviation of at most 1 whatever they do, so
    the false-alarm rate of the CUSUM holds and power is lost where they are independent.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for row in one_step(log):
        if reset_after is None or row.week > reset_after:
            found.setdefault((row.as_of, row.week), []).append(row.z)
    return {arrival: float(np.mean(found[arrival])) for arrival in sorted(found)}


def cusum(z: NDArray[np.float64], slack: float) -> NDArray[np.float64]:
    """Return the two-sided CUSUM after each value (Page 1954): the larger of the upward and the downward sum.

    S+ = max(0, S+ + z - k), S- = max(0, S- - z - k), both from 0, with z cut off at `MAX_SD`: one outlier, for which
    there is a rule of its own, shall not pass for a level that has moved.

    Parameters
    ----------
    z : ndarray (week,)
        Standard normal while the champion's predictive distribution holds.
    slack : float
        k, in sd of z: half the shift that is to be found fastest.
    """
    up = down = 0.0
    path = np.empty(len(z))
    for i, value in enumerate(np.clip(z, -MAX_SD, MAX_SD)):
        up = max(0.0, up + value - slack)
        down = max(0.0, down - value - slack)
        path[i] = max(up, down)
    return path


def surprise(log: Sequence[Score], new: Sequence[Score], slack: float, reset_after: str | None) -> dict[str, float]:
    """Return the ``surprise.*`` evidence: largest |z| of the new rows, CUSUM with them, number of new weeks.

    With nothing new, the largest |z| is 0 and the CUSUM stays where it was: it is reset only
    when ``reset_after`` moves, which closing does when a review is closed or the model re-based.
    Several weeks in one delivery count by the highest point they reach.
    """
    new = one_step(new)
    path = cusum(np.array([*weekly_z([*log, *new], reset_after).values()]), slack)
    counted = len({row.week for row in new if reset_after is None or row.week > reset_after})
    recent = path[-max(counted, 1) :]
    return {
        "surprise.max_abs_z": max((abs(row.z) for row in new), default=0.0),
        "surprise.cusum": float(recent.max()) if recent.size else 0.0,
        "surprise.weeks_scored": float(len({row.week for row in new})),
    }


def log_table(log: Sequence[Score], slack: float, reset_after: str | None) -> pd.DataFrame:
    """Return the log a week ahead as a table with the CUSUM after each arrival (NaN before the last reset)."""
    log = one_step(log)
    table = pd.DataFrame([row.model_dump() for row in log], columns=list(Score.model_fields))
    if not log:
        return table.assign(cusum=pd.Series(dtype=float))
    z = weekly_z(log, reset_after)
    path = dict(zip(z, cusum(np.array([*z.values()]), slack), strict=True))
    table["cusum"] = [path.get((row.as_of, row.week), np.nan) for row in log]
    return table


def log_summary(log: Sequence[Score]) -> dict[str, float]:
    """Return means over the whole log: CRPS, log score, and the shares of rows inside their intervals.

    A week ahead and by geo under plain names; ``_4`` and ``_13`` are the horizons, ``_total`` is the sum over geos.
    """
    out: dict[str, float] = {}
    for horizon in (1, *LONG_HORIZONS):
        for is_total in (False, True):
            rows = [row for row in log if row.horizon == horizon and (row.geo == TOTAL_GEO) == is_total]
            suffix = ("_total" if is_total else "") + ("" if horizon == 1 else f"_{horizon}")
            out |= {f"{name}{suffix}": value for name, value in _means(rows).items()}
    return out


def _means(log: Sequence[Score]) -> dict[str, float]:
    if not log:
        return {}
    return {
        "crps_mean": float(np.mean([row.crps for row in log])),
        "log_score_mean": float(np.mean([row.log_score for row in log])),
        "coverage_50": float(np.mean([row.low_50 <= row.observed <= row.high_50 for row in log])),
        "coverage_90": float(np.mean([row.low_90 <= row.observed <= row.high_90 for row in log])),
    }


def complete_inputs(
    panel: pd.DataFrame, before: pd.DataFrame | None, columns: Mapping[str, Any]
) -> tuple[pd.DataFrame, list[str]]:
    """Return the panel with every column the champion needs, and what cannot be had.

    A channel that params no longer name keeps its history from the last accepted panel and is 0
    after it, as retired means.  A control or an event has no such value, and neither has a geo
    that the champion does not know: those are named, and nothing is scored.
    """
    needed = champion_inputs(columns)
    lost = [c for c in needed if c not in panel]
    if before is None:
        return panel, lost
    missing = [f"geo {geo}" for geo in sorted(set(panel["geo"]) ^ set(before["geo"]))]
    missing += [c for c in lost if c not in before or not c.startswith(("spend.", "exposure."))]
    if missing or not lost:
        return panel, missing
    filled = panel.merge(before[["week", "geo", *lost]], on=["week", "geo"], how="left", validate="1:1")
    return filled.fillna(dict.fromkeys(lost, 0.0)), []


def champion_inputs(columns: Mapping[str, Any]) -> list[str]:
    """Return the panel columns that a version reads, from its ``columns``."""
    channels = columns["channels"]
    return [
        *(f"spend.{name}" for name in channels),
        *(f"exposure.{name}" for name, channel in channels.items() if channel["exposure"] is not None),
        *(f"control.{name}" for name in columns["controls"]),
        *(f"event.{name}" for name in columns["events"]),
    ]


def _keys(rows: pd.DataFrame) -> pd.Series:
    keys: pd.Series = rows["week"].dt.strftime("%Y-%m-%d") + " " + rows["geo"].astype(str)
    return keys
