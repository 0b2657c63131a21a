"""How far the inputs go beyond what a response curve was fitted on: what matters most to a marketing-mix model.

A curve is known where it was seen.  Carry-over makes a month's mean what a response answers to, so a month is
compared with the largest month of training, per channel and geo.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from evermix.core.drift_scan import window_sums
from evermix.records import Record

MONTH = 4  # weeks


class Reach(Record):
    """One channel in one geo.

    Attributes
    ----------
    column : str
        Its exposure where the panel has one, else its spend.
    ratio : float
        Mean of the last 4 weeks over the largest 4-week mean of training; above 1 is extrapolation.
    share_beyond : float
        Share of the last 4 weeks above the largest single week of training.
    """

    column: str
    geo: str
    ratio: float
    share_beyond: float


def measure_reach(panel: pd.DataFrame, fitted_through: pd.Timestamp) -> list[Reach]:
    """Return how far each channel's last month reaches beyond its training weeks, farthest first.

    A channel without any training week above 0 has no curve and is left out, since a launch asks for a refit.
    Fewer than 4 weeks since the fit say nothing yet: the list is empty.
    """
    columns = response_columns([str(c) for c in panel])
    out = []
    for geo, rows in panel.sort_values("week").groupby("geo", observed=True, sort=True):
        since = rows["week"].to_numpy() > fitted_through.to_datetime64()
        values = rows[columns].to_numpy(float).T
        past, recent = values[:, ~since], values[:, since][:, -MONTH:]
        if recent.shape[1] < MONTH or past.shape[1] < MONTH:
            continue
        month, week = window_sums(past, MONTH).max(axis=1) / MONTH, past.max(axis=1)
        for row, column in enumerate(columns):
            if month[row] > 0.0:
                ratio = float(recent[row].mean() / month[row])
                beyond = float(np.mean(recent[row] > week[row]))
                out.append(Reach(column=column, geo=str(geo), ratio=ratio, share_beyond=beyond))
    return sorted(out, key=lambda reach: -reach.ratio)


def response_columns(columns: list[str]) -> list[str]:
    """Return the column that drives each channel's response: its exposure where there is one, else its spend."""
    exposed = {c.removeprefix("exposure.") for c in columns if c.startswith("exposure.")}
    spends = [c for c in columns if c.startswith("spend.") and c.removeprefix("spend.") not in exposed]
    return [*spends, *(c for c in columns if c.startswith("exposure."))]
