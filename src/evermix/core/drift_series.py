"""Which series of a panel drift is asked of: levels of inputs, the mix of spend, and how often a channel is on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Ints = NDArray[np.intp]

HARMONICS = 2
WEEKS_PER_YEAR = 365.25 / 7
MIN_ON_WEEKS = 26  # a column with fewer active reference weeks has no distribution to compare with
STEADY_SHARE = 0.95  # on in so many reference weeks: part of the mix; on or off less often than that: has an activity


class Series(NamedTuple):
    """The tested series of one panel, all weeks; the first ``n_reference`` are the champion's.

    Attributes
    ----------
    names : list of (column, aspect)
        ``level`` is the log of an input, ``mix`` a spend's log relative to the geometric mean of all steady ones.
    values, on : ndarray, shape (series, week)
        ``values`` mean nothing where not ``on``.
    switched : dict of str to ndarray, shape (week,)
        On and off weeks of the columns that are switched.
    not_tested : dict of str to str
        Why a column is left out.
    """

    names: list[tuple[str, str]]
    values: Floats
    on: Bools
    switched: dict[str, Bools]
    not_tested: dict[str, str]
    n_reference: int


def weekly_inputs(panel: pd.DataFrame) -> pd.DataFrame:
    """Return spend, exposure and control columns per week: spend and exposure summed over geos, controls averaged."""
    columns = [c for c in map(str, panel) if c.startswith(("spend.", "exposure.", "control."))]
    how = {c: "mean" if c.startswith("control.") else "sum" for c in columns}
    if not columns:
        return pd.DataFrame(index=pd.Index(panel["week"].unique()))
    return panel.groupby("week", sort=True).agg(how)


def season_design(weeks: pd.Index) -> Floats:
    """Return (week, 1 + 2 * HARMONICS): a constant and the yearly Fourier terms, by calendar."""
    days = (pd.DatetimeIndex(weeks) - pd.Timestamp("1970-01-05")).days.to_numpy(float)
    angle = 2 * np.pi * np.outer(days / (7 * WEEKS_PER_YEAR), np.arange(1, HARMONICS + 1))
    return np.hstack([np.ones((len(days), 1)), np.cos(angle), np.sin(angle)])


def list_series(table: pd.DataFrame, n_reference: int) -> Series:
    """Return the series to test in a table of inputs by week, and why the other columns are not tested."""
    levels: dict[str, tuple[Floats, Bools]] = {}
    reasons: dict[str, str] = {}
    for column in map(str, table.columns):
        found = _level(table[column].to_numpy(float), n_reference)
        if isinstance(found, str):
            reasons[column] = found
        else:
            levels[column] = found
    share = {column: on[:n_reference].mean() for column, (_, on) in levels.items()}
    switched = {c: levels[c][1] for c in levels if 1 - STEADY_SHARE <= share[c] <= STEADY_SHARE}
    steady = [c for c in levels if c.startswith("spend.") and share[c] >= STEADY_SHARE]
    rows = {(column, "level"): level for column, level in levels.items()} | _mix({c: levels[c] for c in steady})
    shape = (0, len(table))
    values = np.array([x for x, _ in rows.values()]) if rows else np.empty(shape)
    on = np.array([active for _, active in rows.values()]) if rows else np.empty(shape, bool)
    return Series(list(rows), values, on, switched, reasons, n_reference)


def _level(x: Floats, n_reference: int) -> tuple[Floats, Bools] | str:
    """Return a column on a log scale with its on weeks, or why it cannot be tested."""
    past = x[:n_reference]
    if np.isin(past, (0.0, 1.0)).all():
        return "only 0 and 1 in the reference: an indicator, or not launched"
    if np.ptp(past) == 0.0:
        return "constant in the reference: nothing to compare the window with"
    if past.min() < 0.0:
        return x, np.ones(x.size, bool)
    typical = float(np.median(past[past > 0.0]))
    # A hundredth of the usual amount is a channel switched off, whatever the last cents say.
    active = x > 0.01 * typical
    if active[:n_reference].sum() < MIN_ON_WEEKS:
        return f"active in fewer than {MIN_ON_WEEKS} reference weeks"
    return np.log1p(np.maximum(x, 0.0) / (0.1 * typical)), active


def _mix(steady: dict[str, tuple[Floats, Bools]]) -> dict[tuple[str, str], tuple[Floats, Bools]]:
    """Return centred log-ratios (Aitchison 1986) of the steady spends, in weeks in which all of them are on."""
    if len(steady) < 2:
        return {}
    values = np.array([x for x, _ in steady.values()])
    on = np.logical_and.reduce([active for _, active in steady.values()])
    ratios = values - values.mean(axis=0)
    # Of two channels, one ratio says what the other does.
    kept = list(steady)[: 1 if len(steady) == 2 else None]
    return {(column, "mix"): (ratio, on) for column, ratio in zip(kept, ratios, strict=False)}
