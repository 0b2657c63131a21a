"""What a delivery does to what was accepted before: histories rewritten, columns exchanged, weeks misplaced.

Panels in, places out; ``core/rules.py`` words them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from evermix.core.newest import TELLING_COLUMNS, telling_columns

# A twentieth of a percent is rounding; a percent is somebody's correction.
_TOLERANCE = 0.01
# Below so many changed cells a short history would be "rewritten" by an ordinary correction.
_MIN_CHANGED = 8
# Three cells times ten are no chance.
_MIN_SCALED = 3
_MIN_MOVED = 3
_MOVED_SHARE = 0.8
ONE_FACTOR_SHARE = 0.9
# A returns window of a quarter in the shortest history of a year is a fourth.
REWRITTEN_SHARE = 0.3
# A corrected rate of a supplier moves a channel by a factor like these; pence and thousands move it further.
_ORDINARY_FACTOR = 3.0
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
        # A millionth of the usual value is a rounded zero.
        dust = 1e-6 * float(np.nanmedian(np.abs(was[was != 0]))) if (was[~np.isnan(was)] != 0).any() else 0.0
        changed = asked & ~np.isclose(was, now, rtol=_TOLERANCE, atol=dust)
        if (power := _power_of_ten(was[changed], now[changed])) is not None:
            out[str(name)] = f"{changed.sum()} of {asked.sum()} past cells times {power:g}"
            continue
        if changed.sum() < _MIN_CHANGED:
            continue
        if (emptied := int((changed & (now == 0)).sum())) >= _MIN_CHANGED:
            out[str(name)] = f"{emptied} of {asked.sum()} past cells became 0"
            continue
        share = changed.sum() / asked.sum()
        due = ONE_FACTOR_SHARE if is_media and _is_one_ordinary_factor(was[changed], now[changed]) else limit
        if share >= due:
            out[str(name)] = f"{changed.sum()} of {asked.sum()} past cells changed"
    return out


def _power_of_ten(was: np.ndarray, now: np.ndarray) -> float | None:
    """Return 10, 100, 0.1 ... where that is what changed cells were multiplied by: a unit, and no correction."""
    usable = (was > 0) & (now > 0)
    if usable.sum() < _MIN_SCALED or usable.sum() < ONE_FACTOR_SHARE * len(was):
        return None
    exponents = np.log10(now[usable] / was[usable])
    power = round(float(np.median(exponents)))
    is_one = np.isclose(exponents, power, rtol=0.0, atol=_TOLERANCE / 2).mean() >= ONE_FACTOR_SHARE
    return 10.0**power if power and is_one else None


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
    """Return weeks that hold what another week of their geo held when it was accepted: ``(week, geo, that week)``.

    Asked of weeks, new ones too, in which at least two columns that tell weeks apart have another value than then.
    """
    new = grid[grid["rows"] > 0]
    telling = [n for n in telling_columns(accepted) if n in new]
    if len(telling) < TELLING_COLUMNS:
        return []
    old, new = accepted[telling], new[telling]
    was = old.reindex(new.index)
    changed = ~np.isclose(was, new, rtol=_TOLERANCE, atol=0.0, equal_nan=True) & new.notna() & (new != 0)
    moved = new[changed.sum(axis=1) >= TELLING_COLUMNS]
    places: dict[tuple[object, ...], pd.Timestamp] = {}
    for (week, geo), values in zip(old.index, old.to_numpy(float), strict=True):
        places.setdefault((geo, *values), week)
    out = []
    for (week, geo), values in zip(moved.index, moved.to_numpy(float), strict=True):
        told = places.get((geo, *values))
        if told is not None and told != week:
            out.append((week, str(geo), told))
    return out


def moved_columns(accepted: pd.DataFrame, grid: pd.DataFrame) -> dict[str, str]:
    """Return in words which columns now tell, in weeks of the past, what they told of the week before or after."""
    old, new = _shared(accepted, grid)
    out = {}
    for name in (n for n in telling_columns(old) if n in new):
        was, now = old[name].unstack("geo"), new[name].unstack("geo")
        changed = ~np.isclose(was, now, rtol=_TOLERANCE, atol=0.0, equal_nan=True) & now.ne(0).to_numpy()
        changed &= now.notna().to_numpy()
        for weeks, where in ((1, "before"), (-1, "after")):
            moved = int((changed & np.isclose(now, was.shift(weeks), rtol=1e-9, atol=0.0)).sum())
            if moved >= _MIN_MOVED and moved >= _MOVED_SHARE * changed.sum():
                out[name] = f"{moved} past cells hold the value of the week {where}"
    return out


def is_told_again(accepted: pd.DataFrame, grid: pd.DataFrame, limit: float) -> bool:
    """Return whether a delivery that brings no new week tells the accepted ones as they were, up to restatements.

    One that does not is no late delivery: all its dates may be a week early.

    Parameters
    ----------
    accepted, grid : DataFrame
        As for `rewritten_columns`; the grid ends with the last accepted week.
    """
    is_whole = bool((grid.groupby(level="week")["rows"].sum().iloc[-1:] > 0).any())
    return is_whole and not rewritten_columns(accepted, grid, limit) and not moved_columns(accepted, grid)


def _shared(old: pd.DataFrame, grid: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the cells that both tell of, aligned."""
    told = grid[grid["rows"] > 0]
    shared = told.index.intersection(old.index)
    names = [c for c in told if c in old]
    return old.loc[shared, names], told.loc[shared, names]
