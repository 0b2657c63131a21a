"""Whether new weeks look like weeks of their own: swapped, copied, repeated, short or frozen ones do not.

Panels in, places out; ``core/rules.py`` words them.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd

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
TELLING_COLUMNS = 2
_TELLING_SHARE = 0.9
# Two columns that were one value in so many weeks are one by nature; in fewer, the copy began a few weeks ago.
_CHANCE = 0.1
# Of 525 true weeks of five brands, the week whose columns all fell most kept 0.53 of the usual in one of them.
SHORT_WEEK = 0.45
_SHORT_COLUMNS = 3
# Of 498 true weeks of six brands (each geo by itself), all media fell at most to 0.53 of what they were.
SHORT_MEDIA = 0.2


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
    if past.empty:
        return []
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
    for a, b in combinations([c for c in usable if c in far or c in astray], 2):
        by_year = {a, b} <= far and low[a] <= now[b] <= high[a] and low[b] <= now[a] <= high[b]
        by_month = {a, b} <= astray and abs(steps[a][b]) < _NEAR_SD and abs(steps[b][a]) < _NEAR_SD
        if by_year or by_month:
            out.append((a, b))
    return out


def copied_columns(past: pd.DataFrame, now: pd.Series) -> list[tuple[str, str]]:
    """Return pairs of columns that hold one value in a new week and never did before.

    Only of columns whose values hardly ever come twice.

    Parameters
    ----------
    past, now : DataFrame, Series
        As for `exchanged_now`.
    """
    telling = [c for c in telling_columns(past) if now[c] != 0 and np.isfinite(now[c])]
    return [(a, b) for a, b in combinations(telling, 2) if now[a] == now[b] and (past[a] == past[b]).mean() < _CHANCE]


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
        telling = telling_columns(rows[moving])
        if len(telling) < TELLING_COLUMNS:
            continue
        tells = rows[telling].notna() & (rows[telling] != 0)
        repeats = rows[moving].duplicated() & (tells.sum(axis=1) >= TELLING_COLUMNS)
        own[rows.index[repeats]] = False
    return own


def is_whole_week(grid: pd.DataFrame) -> pd.Series:
    """Return False where target and all media are below `SHORT_WEEK` of the median of their last four weeks.

    So looks a week of which some days are missing.  Asked where three columns at least had a usual week and are not 0.
    """
    return _stands(grid, ["target", *_media(grid)], SHORT_WEEK, _SHORT_COLUMNS)


def has_whole_media(grid: pd.DataFrame) -> pd.Series:
    """Return False where all media are below `SHORT_MEDIA` of the median of their last four weeks, whatever the target.

    Asked where two columns at least had a usual week and are not 0.
    """
    return _stands(grid, _media(grid), SHORT_MEDIA, TELLING_COLUMNS)


def _media(grid: pd.DataFrame) -> list[str]:
    return [str(c) for c in grid if str(c).startswith(("spend.", "exposure."))]


def _stands(grid: pd.DataFrame, names: list[str], share: float, fewest: int) -> pd.Series:
    """Return False where so many columns at least, and all that can be asked, fell below a share of what is usual."""
    stands = pd.Series(True, index=grid.index)
    for _, rows in grid[names].groupby(level="geo"):
        ratio = rows.where(rows > 0) / rows.rolling(_RECENT_WEEKS).median().shift(1).where(lambda usual: usual > 0)
        fell = (ratio.max(axis=1) < share) & (ratio.notna().sum(axis=1) >= fewest)
        stands[rows.index[fell]] = False
    return stands


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


def telling_columns(panel: pd.DataFrame) -> list[str]:
    """Return the columns whose values hardly ever come twice, so that one of them names its week."""
    out = []
    for name in panel:
        values = panel[name].to_numpy(float)
        used = values[~np.isnan(values) & (values != 0)]
        if len(used) >= _MIN_HISTORY_WEEKS and len(np.unique(used)) >= _TELLING_SHARE * len(used):
            out.append(str(name))
    return out


def _stacked(wide: pd.DataFrame, index: pd.Index) -> pd.Series:
    return pd.Series(wide.stack(), dtype=bool).reindex(index, fill_value=False)
