"""What a delivery does to what was accepted before: histories rewritten, columns swapped, weeks repeated.

Panels in, places out; ``core/rules.py`` words them.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

# A twentieth of a percent is rounding; a percent is somebody's correction.
_TOLERANCE = 0.01
# Below so many changed cells a short history would be "rewritten" by an ordinary correction.
_MIN_CHANGED = 8
ONE_FACTOR_SHARE = 0.9
# A corrected rate of a supplier moves a channel by a factor like these; pence and thousands move it further.
_ORDINARY_FACTOR = 3.0
_YEAR_WEEKS = 52
_MIN_HISTORY_WEEKS = 26
FROZEN_WEEKS = 3
# Both columns must lie this many sd (of logs) outside what they were, and inside what the other was.
_FAR_SD = 3.0


def rewritten_columns(accepted: pd.DataFrame, grid: pd.DataFrame, limit: float) -> dict[str, str]:
    """Return in words how much of each column's past was changed, where that is too much for a restatement.

    A media column may be restated as a whole block by one factor (a supplier's rate), up to 90 % of its cells.

    Parameters
    ----------
    accepted : DataFrame
        The last accepted panel; index (week, geo), as the grid's.
    grid : DataFrame
        From `weekly_grid`.
    limit : float
        Share of past cells, in (0, 1].
    """
    old, new = _shared(accepted, grid)
    out = {}
    for name in old:
        was, now = old[name].to_numpy(float), new[name].to_numpy(float)
        is_media = str(name).startswith(("spend.", "exposure."))
        # Where most weeks are 0, only the others can tell.
        is_idle = (was == 0) & (now == 0) & str(name).startswith(("spend.", "exposure.", "event."))
        asked = ~np.isnan(was) & ~is_idle
        changed = asked & ~np.isclose(was, now, rtol=_TOLERANCE, atol=0.0)
        if changed.sum() < _MIN_CHANGED:
            continue
        share = changed.sum() / asked.sum()
        due = ONE_FACTOR_SHARE if is_media and _is_one_ordinary_factor(was[changed], now[changed]) else limit
        if share >= due:
            out[str(name)] = f"{changed.sum()} of {asked.sum()} past cells changed"
    return out


def _is_one_ordinary_factor(was: np.ndarray, now: np.ndarray) -> bool:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = now / was
    middle = float(np.median(ratio[np.isfinite(ratio)])) if np.isfinite(ratio).any() else np.inf
    one = np.isclose(ratio, middle, rtol=0.02, atol=0.0).mean() >= ONE_FACTOR_SHARE
    return bool(one and 1 / _ORDINARY_FACTOR < middle < _ORDINARY_FACTOR)


def exchanged_past(accepted: pd.DataFrame, grid: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return pairs of columns that exchanged values of the past, with the number of cells that prove it."""
    old, new = _shared(accepted, grid)
    names = [str(name) for name in old if not str(name).startswith("event.")]
    # One pass finds the few columns that changed at all; most weeks there are none.
    moved = [n for n in names if not np.allclose(old[n], new[n], rtol=_TOLERANCE, atol=0.0, equal_nan=True)]
    out = {}
    for a, b in combinations(moved, 2):
        told = (old[a] != 0) & (old[b] != 0) & ~np.isclose(old[a], old[b], rtol=_TOLERANCE, atol=0.0)
        proof = told & np.isclose(new[a], old[b], rtol=1e-6) & np.isclose(new[b], old[a], rtol=1e-6)
        if proof.any():
            out[a, b] = int(proof.sum())
    return out


def exchanged_now(past: pd.DataFrame, now: pd.Series) -> list[tuple[str, str]]:
    """Return pairs of columns whose new values belong to each other, by the distribution of the year before.

    Both values must lie outside the range of their own column, 3 sd of its logs away from its mean, and inside the
    range of the other; so two channels of the same size can be swapped for a week and nobody can tell.

    Parameters
    ----------
    past : DataFrame
        Weeks of one geo in order, a column per series.
    now : Series
        One new week, indexed by the columns of ``past``.
    """
    year = past.tail(_YEAR_WEEKS)
    names = [str(c) for c in year]
    usable = [c for c in names if year[c].notna().sum() >= _MIN_HISTORY_WEEKS and year[c].min() >= 0 and now[c] >= 0]
    low, high = year[usable].min(), year[usable].max()
    logs = np.log(year[usable].where(year[usable] > 0))
    centre, spread = logs.mean(), logs.std().clip(lower=0.02)

    def is_far(column: str, value: float) -> bool:
        if low[column] <= value <= high[column]:
            return False
        return value == 0 or abs(np.log(value) - centre[column]) > _FAR_SD * spread[column]

    far = [c for c in usable if is_far(c, now[c])]
    return [(a, b) for a, b in combinations(far, 2) if low[a] <= now[b] <= high[a] and low[b] <= now[a] <= high[b]]


def is_own_week(grid: pd.DataFrame) -> pd.Series:
    """Return False where a week repeats the one before of its geo in every column that usually moves."""
    values = [c for c in grid if c not in ("rows", "days", "row") and not str(c).startswith("event.")]
    same, movable = pd.Series(True, index=grid.index), np.zeros(len(grid), int)
    for name in values:
        wide = grid[name].unstack("geo")
        moves = wide.shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_HISTORY_WEEKS).std() > 0
        repeats = wide.eq(wide.shift(1))
        same &= _stacked(repeats | ~moves, grid.index)
        movable += _stacked(moves & wide.ne(0), grid.index).to_numpy(int)
    return ~(same & (movable >= 2))


def is_not_frozen(values: pd.Series, accepted: pd.Series | None) -> pd.Series:
    """Return False where the last week ends a run of one value, in a series that repeated none in the year before.

    A run of which three weeks are in the last accepted panel says nothing new: what was accepted once stays so.

    Parameters
    ----------
    values : Series
        Index (week, geo).
    accepted : Series or None
        The column in the last accepted panel.
    """
    wide = values.unstack("geo")
    known = None if accepted is None else accepted.unstack("geo")
    frozen = pd.DataFrame(False, index=wide.index, columns=wide.columns)
    for geo in wide:
        series = wide[geo].to_numpy(float)
        run = _last_run(series)
        past = series[: len(series) - run][-_YEAR_WEEKS:]
        told = past[~np.isnan(past) & (past != 0)]
        steady = len(told) >= _MIN_HISTORY_WEEKS and bool((np.diff(told) != 0).all())
        was = 0 if known is None or geo not in known else _last_run(known[geo].to_numpy(float))
        frozen.loc[wide.index[-1], geo] = run >= FROZEN_WEEKS and steady and was < FROZEN_WEEKS
    return ~_stacked(frozen, values.index)


def _last_run(series: np.ndarray) -> int:
    """Length of the run of one value, not 0, that ends a series."""
    if not len(series) or np.isnan(series[-1]) or series[-1] == 0:
        return 0
    other = np.flatnonzero(series != series[-1])
    return int(len(series) - 1 - other[-1]) if len(other) else len(series)


def _shared(old: pd.DataFrame, grid: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells that both tell of, aligned."""
    told = grid[grid["rows"] > 0]
    shared = told.index.intersection(old.index)
    names = [c for c in told if c in old]
    return old.loc[shared, names], told.loc[shared, names]


def _stacked(wide: pd.DataFrame, index: pd.Index) -> pd.Series:
    return pd.Series(wide.stack(), dtype=bool).reindex(index, fill_value=False)
