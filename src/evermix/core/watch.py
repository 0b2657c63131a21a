"""The weeks that the alarms watch: those scored since the last reset, as the model sees them today."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.core.alarms import (
    AlarmReport,
    channel_patterns,
    level_patterns,
    pattern_moments,
    residual_moments,
    weigh_evidence,
)
from evermix.core.predictive import Predictive
from evermix.core.prequential import one_step, weekly_z
from evermix.records import Score

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Watched:
    """Rows of the panel that count, and the arrivals they came with.

    Attributes
    ----------
    rows : ndarray of bool, shape (row of the panel,)
        Weeks and geos that were scored since the reset and still have a target.
    arrival : ndarray of int, shape (row that counts,)
        The arrival of each row that counts, in panel order.
    weeks : tuple of str
        ISO Monday of each arrival, in order of arrival.
    z : ndarray, shape (arrival,)
        As scored when it came; geos averaged.
    """

    rows: NDArray[np.bool_]
    arrival: NDArray[np.int64]
    weeks: tuple[str, ...]
    z: Floats


def watched_rows(log: Sequence[Score], panel: pd.DataFrame, reset_after: str | None) -> Watched:
    """Return what is watched of a panel, by the log with the newest scores in it."""
    z = weekly_z(log, reset_after)
    place = {week: i for i, (_, week) in enumerate(z)}
    scored = {(row.week, row.geo) for row in one_step(log)}
    keys = list(zip(panel["week"].dt.strftime("%Y-%m-%d"), panel["geo"].astype(str), strict=True))
    known = np.isfinite(panel["target"].to_numpy(float))
    rows = np.array([key in scored and key[0] in place for key in keys], dtype=bool) & known
    return Watched(
        rows=rows,
        arrival=np.array([place[key[0]] for key, counts in zip(keys, rows, strict=True) if counts], dtype=np.int64),
        weeks=tuple(week for _, week in z),
        z=np.array([*z.values()], dtype=float),
    )


def judge_watched(
    watched: Watched,
    unseen: NDArray[np.bool_],
    panel: pd.DataFrame,
    predictive: Predictive,
    contributions: Floats,
    channels: Sequence[str],
) -> AlarmReport:
    """Return the evidence of the weeks watched against "nothing has changed".

    Parameters
    ----------
    unseen : ndarray of bool, shape (row of the panel,)
        Rows with a target that the fit behind the draws did not see.
    predictive : Predictive
        Of every row of the panel, shapes (draw, row), by draws of the fit.
    contributions : ndarray, shape (row of the panel, channel)
        Posterior mean of what each channel adds, target units.
    """
    if not watched.rows.any():
        return weigh_evidence([], [], [], np.zeros(0))
    known = watched.rows | unseen
    among = watched.rows[known]
    noise_sd = predictive.sd.mean(axis=0)[watched.rows]
    patterns = level_patterns([str(geo) for geo in panel["geo"][watched.rows]])
    patterns += channel_patterns(contributions[watched.rows], noise_sd, channels)
    residuals = predictive.rows(known).residuals(panel["target"].to_numpy(float)[known])
    mean, covariance = residual_moments(residuals, unseen[known])
    mean, covariance = mean[among], covariance[np.ix_(among, among)]
    found = [pattern_moments(mean, covariance, pattern.shift, watched.arrival) for pattern in patterns]
    return weigh_evidence(watched.weeks, patterns, found, watched.z)
