"""What a delivery does to what was accepted before: histories rewritten, columns swapped, weeks repeated.

Panels in, places out; ``core/rules.py`` words them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
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
_NEAR_SD = 2.0
_RECENT_WEEKS = 4
# Of logs: a column that never moved is known to two percent.
_LEAST_SD = 0.02
# Two columns that tell weeks apart do not both repeat by chance.
_TELLING_COLUMNS = 2
_TELLING_SHARE = 0.9
# As many exchanged cells may be a correction; of more, somebody would write.
_FEW_CELLS = 2
# In sd of the two columns; the neighbours of a week are no better known than that.
_CLEARLY_WORSE = 1.0


@dataclass(frozen=True)
class Exchange:
    """Two columns that exchanged values of the past.

    Attributes
    ----------
    cells : int
        How many weeks prove it.
    is_correction : bool
        Whether so few cells changed, and to values that fit no worse, that the older telling may be the wrong one.
    """

    cells: int
    is_correction: bool


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


def exchanged_past(accepted: pd.DataFrame, grid: pd.DataFrame) -> dict[tuple[str, str], Exchange]:
    """Return pairs of columns that exchanged values of the past.

    One or two cells may be somebody's correction of an exchange that nobody saw: they are told as one where the values
    fit their columns at least as well as before, each held against the median of the eight weeks around it.
    """
    old, new = _shared(accepted, grid)
    names = [str(name) for name in old if not str(name).startswith("event.")]
    # One pass finds the few columns that changed at all; most weeks there are none.
    moved = [n for n in names if not np.allclose(old[n], new[n], rtol=_TOLERANCE, atol=0.0, equal_nan=True)]
    out = {}
    for a, b in combinations(moved, 2):
        told = (old[a] != 0) & (old[b] != 0) & ~np.isclose(old[a], old[b], rtol=_TOLERANCE, atol=0.0)
        proof = told & np.isclose(new[a], old[b], rtol=1e-6) & np.isclose(new[b], old[a], rtol=1e-6)
        if proof.any():
            cells = int(proof.sum())
            out[a, b] = Exchange(cells, cells <= _FEW_CELLS and _fits_no_worse(old, new, [a, b], proof))
    return out


def _fits_no_worse(old: pd.DataFrame, new: pd.DataFrame, names: list[str], cells: pd.Series) -> bool:
    """Return whether new values of some cells lie no further from the weeks around them than the old ones did."""
    worse = 0.0
    for name in names:
        wide = old[name].where(~cells).unstack("geo")
        around = wide.rolling(9, center=True, min_periods=4).median()
        usual, scale = pd.Series(around.stack()).reindex(old.index)[cells], float(np.nanstd(wide.to_numpy(float)))
        distance = (new[name][cells] - usual).abs() - (old[name][cells] - usual).abs()
        worse += float(distance.sum(skipna=False)) / scale if scale > 0 else np.nan
    # Without weeks around them nobody can tell: that is no correction.
    return bool(worse < _CLEARLY_WORSE)


def misplaced_weeks(accepted: pd.DataFrame, grid: pd.DataFrame) -> list[tuple[pd.Timestamp, str, pd.Timestamp]]:
    """Return past weeks that now hold what another week of their geo held: ``(week, geo, that week)``.

    Asked of weeks in which at least two columns that tell weeks apart changed, each to the other week's value.
    """
    old, new = _shared(accepted, grid)
    telling = [n for n in _telling(old) if n in new]
    if len(telling) < _TELLING_COLUMNS:
        return []
    old, new = old[telling], new[telling]
    changed = ~np.isclose(old, new, rtol=_TOLERANCE, atol=0.0, equal_nan=True) & new.notna() & (new != 0)
    moved = new[changed.sum(axis=1) >= _TELLING_COLUMNS]
    places: dict[tuple[object, ...], pd.Timestamp] = {}
    for (week, geo), values in zip(old.index, old.to_numpy(float), strict=True):
        places.setdefault((geo, *values), week)
    out = []
    for (week, geo), values in zip(moved.index, moved.to_numpy(float), strict=True):
        told = places.get((geo, *values))
        if told is not None and told != week:
            out.append((week, str(geo), told))
    return out


def _telling(panel: pd.DataFrame) -> list[str]:
    """Return the columns whose values hardly ever come twice, so that one of them names its week."""
    out = []
    for name in panel:
        values = panel[name].to_numpy(float)
        used = values[~np.isnan(values) & (values != 0)]
        if len(used) >= _MIN_HISTORY_WEEKS and len(np.unique(used)) >= _TELLING_SHARE * len(used):
            out.append(str(name))
    return out


def exchanged_now(past: pd.DataFrame, now: pd.Series) -> list[tuple[str, str]]:
    """Return pairs of columns whose new values belong to each other, by the distribution of the weeks before.

    By the year: both values lie outside the range of their own column, 3 sd of its logs away from its mean, and inside
    the range of the other.  Or by the last weeks, for columns that follow the season: both lie 3 sd of their column's
    usual moves from the median of its last four weeks, and within 2 sd of the other's.  So two channels of the same
    size can be swapped for a week and nobody can tell.

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
    logs = year[usable].where(year[usable] > 0).apply(np.log)
    centre, spread = logs.mean(), logs.std().clip(lower=_LEAST_SD)

    def is_far(column: str, value: float) -> bool:
        if low[column] <= value <= high[column]:
            return False
        return value == 0 or abs(np.log(value) - centre[column]) > _FAR_SD * spread[column]

    far = {c for c in usable if is_far(c, now[c])}
    usual = logs.rolling(_RECENT_WEEKS).median()
    moves = (logs - usual.shift(1)).std().clip(lower=_LEAST_SD)
    recent = usual.iloc[-1]
    steps = {c: (np.log(now[c]) - recent) / moves for c in usable if now[c] > 0}
    astray = {c for c in steps if abs(steps[c][c]) > _FAR_SD}
    out = []
    for a, b in combinations(usable, 2):
        by_year = {a, b} <= far and low[a] <= now[b] <= high[a] and low[b] <= now[a] <= high[b]
        by_month = {a, b} <= astray and abs(steps[a][b]) < _NEAR_SD and abs(steps[b][a]) < _NEAR_SD
        if by_year or by_month:
            out.append((a, b))
    return out


def is_own_week(grid: pd.DataFrame, columns: Collection[str] | None = None) -> pd.Series:
    """Return False where a week repeats an earlier one of its geo in every column that usually moves.

    Two of them at least must tell weeks apart (hardly a value comes twice) and not be 0: budgets that are planned in
    round numbers repeat, and so do pauses.

    Parameters
    ----------
    columns : collection of str or None
        Columns to look at; None for all of the panel but its events.
    """
    values = [str(c) for c in grid if c not in ("rows", "days", "row") and not str(c).startswith("event.")]
    values = values if columns is None else [c for c in values if c in columns]
    own = pd.Series(True, index=grid.index)
    for _, rows in grid[values].groupby(level="geo"):
        moving = [name for name in values if rows[name].nunique() > 1]
        telling = _telling(rows[moving])
        if len(telling) < _TELLING_COLUMNS:
            continue
        tells = rows[telling].notna() & (rows[telling] != 0)
        repeats = rows[moving].duplicated() & (tells.sum(axis=1) >= _TELLING_COLUMNS)
        own[rows.index[repeats]] = False
    return own


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
