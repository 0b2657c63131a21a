"""The rules of the data contract as masks over columns: True where a cell or week keeps the rule.

``core/findings.py`` words them.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from evermix.core.diff import differs
from evermix.core.panel import PLAIN_NUMBER, parse_dates, parse_numbers

_YEAR_WEEKS = 52
# Below so many weeks of history a maximum says little: a launch would pass for a slip.
_MIN_HISTORY_WEEKS = 8
STEADY_WEEKS = 26
_ZERO_SHARE_WEEKS = 13
# A source that keeps a rolling window loses a week at a time; a truncated one loses many.
MAX_LOST_WEEKS = 4
_MIN_ACTIVE_WEEKS = 13
_WILD_JUMP = 50.0
_UNSTEADY = 5.0
# Of 3,300 true weeks of 64 series that never paused for half a year and never exceeded four times their usual week, the
# largest leap was to 2.6 times the maximum of the year before (docs/methods.md says of which).
EVEN_JUMP = 4.0


def is_after(grid: pd.DataFrame, retired: str | None) -> pd.Series:
    """Return which rows lie in or after the week in which a channel was retired."""
    weeks = grid.index.get_level_values("week")
    return pd.Series(False if retired is None else weeks >= pd.Timestamp(retired), index=grid.index)


def is_date(text: pd.Series) -> pd.Series:
    """Cells that are dates of the column's one format."""
    return parse_dates(text).notna()


def is_plain_number(text: pd.Series) -> pd.Series:
    """Cells that are blank or written as a plain number; NaN and infinity are for `is_finite`."""
    bare = text.str.strip()
    return bare.eq("") | bare.str.fullmatch(PLAIN_NUMBER).astype(bool) | _says_not_finite(bare)


def is_finite(text: pd.Series) -> pd.Series:
    """Cells that do not stand for NaN or infinity, by name or by overflow."""
    bare = text.str.strip()
    overflows = bare.str.fullmatch(PLAIN_NUMBER).astype(bool) & parse_numbers(text).isna()
    return ~(_says_not_finite(bare) | overflows)


def is_not_negative(text: pd.Series) -> pd.Series:
    """Cells that are no negative number."""
    return ~(parse_numbers(text) < 0)


def keeps_digits(text: pd.Series) -> pd.Series:
    """Cells that are not in a short scientific form, which drops digits: a spreadsheet's (1.03E+05), or any other.

    With a small e it may be as exact as 1e+05 is in R: then the column's other cells must usually have two digits more.
    """
    bare = text.str.strip()
    short = bare.str.fullmatch(r"[+-]?[0-9](\.[0-9]{1,5})?[Ee](\+[0-9]{2,3}|-0[1-3])").astype(bool)
    digits = bare.str.lower().str.replace(r"e.*|[^0-9]", "", regex=True).str.strip("0").str.len()
    others = digits[~short & digits.gt(0)]
    usual = others.median() if len(others) else np.inf
    return ~(short & (bare.str.contains("E", regex=False) | (digits + 2 <= usual)))


def is_filled(text: pd.Series) -> pd.Series:
    """Cells that are not blank."""
    return text.str.strip().ne("")


def _says_not_finite(bare: pd.Series) -> pd.Series:
    return bare.str.lower().str.fullmatch(r"nan|[+-]?inf(inity)?").astype(bool)


def changed_cells(values: pd.Series, accepted: pd.Series | None) -> pd.Series:
    """Return which cells of a column are new or differ from the last accepted panel.

    What was accepted once must not block later weeks, so rules of degree are asked of these cells alone.
    """
    if accepted is None:
        return pd.Series(True, index=values.index)
    return differs(accepted.reindex(values.index), values)


def newest_cells(changed: pd.Series, accepted: pd.Series | None) -> pd.Series:
    """Return the changed cells, and of a first delivery those of the last week: its past is nobody's news."""
    if accepted is not None:
        return changed
    weeks = changed.index.get_level_values("week")
    return pd.Series(weeks == weeks.max(), index=changed.index)


def target_keeps_scale(target: pd.Series, jump: float) -> pd.Series:
    """Return where the target is on the scale of the weeks around it.

    A unit slip is a clear break: above ``jump`` times the median of the year before and after *and* above twice the
    maximum of the year before, or below 1 / (100 ``jump``) of that median and half the minimum (true weeks of a small
    geo were seen at 1 / 160), or, where the year before was steady, below 1 / ``jump`` of its minimum.  The median
    looks both ways, so that growth in a long history is no break; the maximum looks back, so that the first week of a
    slip that lasts is one.

    Parameters
    ----------
    target : Series
        Index (week, geo).
    """
    wide = target.unstack("geo")
    median = wide.rolling(2 * _YEAR_WEEKS + 1, center=True, min_periods=_MIN_HISTORY_WEEKS).median()
    above = (wide > jump * median) & (wide > 2.0 * _reference(wide, "max"))
    positive = wide.where(wide > 0)
    least = _reference(positive, "min")
    below = (positive < median / (100.0 * jump)) & (2.0 * positive < least)
    below |= (positive < least / jump) & (least > median / jump)
    return _stacked(~((above | below) & (median > 0)), target)


def _reference(wide: pd.DataFrame, how: str) -> pd.DataFrame:
    """Extreme of the year before; of the year after where too little came before."""
    before = getattr(wide.shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_HISTORY_WEEKS), how)()
    ahead = wide.iloc[::-1].shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_HISTORY_WEEKS)
    extreme: pd.DataFrame = before.fillna(getattr(ahead, how)().iloc[::-1])
    return extreme


def spend_keeps_scale(spend: pd.Series, total: pd.Series, jump: float) -> pd.Series:
    """Return where a channel's spend or exposure is on its own scale.

    A unit slip is more than ``jump`` times the maximum of the year before, in a channel that has run for 8 weeks of it,
    and more than all channels together usually cost: small channels leap when somebody begins to use them.  In a
    channel that never paused for half a year the first is enough, and four times, where it was even: its maximum below
    four medians.  So is less than 1 / ``jump`` of the minimum of its active weeks, where those are of one size (true
    cuts to 1 / 14 of the minimum were seen).

    Parameters
    ----------
    spend, total : Series
        Of the channel and of all channels; index (week, geo).
    """
    wide = spend.unstack("geo")
    past = wide.shift(1).rolling(_YEAR_WEEKS, min_periods=1)
    active_weeks = wide.gt(0).astype(float).shift(1).rolling(_YEAR_WEEKS, min_periods=1).sum()
    usual = total.unstack("geo").shift(1).rolling(_YEAR_WEEKS, min_periods=1).median()
    steady = wide.shift(1).rolling(STEADY_WEEKS, min_periods=STEADY_WEEKS).min() > 0
    slip = (wide > jump * past.max()) & ((wide > usual) | steady) & (active_weeks >= _MIN_HISTORY_WEEKS)
    active = wide.where(wide > 0).shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_ACTIVE_WEEKS)
    low = (wide > 0) & (wide < active.min() / jump) & (active.min() > active.median() / _UNSTEADY)
    is_even = steady & (active.max() < EVEN_JUMP * active.median())
    leap = is_even & (wide > min(jump, EVEN_JUMP) * active.max())
    return _stacked(~(slip | low | leap), spend)


def spend_holds(spend: pd.Series) -> pd.Series:
    """Return False where a channel that is even and never paused falls below a quarter of its least week of the year.

    A tenth of the spend may be a slip of the export or a cut: of true weeks some were seen to fall so.
    """
    wide = spend.unstack("geo")
    steady = wide.shift(1).rolling(STEADY_WEEKS, min_periods=STEADY_WEEKS).min() > 0
    active = wide.where(wide > 0).shift(1).rolling(_YEAR_WEEKS, min_periods=_MIN_ACTIVE_WEEKS)
    is_even = steady & (active.max() < EVEN_JUMP * active.median())
    return _stacked(~(is_even & (wide > 0) & (EVEN_JUMP * wide < active.min())), spend)


def input_keeps_scale(values: pd.Series, jump: float) -> pd.Series:
    """Return where a control or event is on the scale of the weeks before it.

    Steady positive series (prices, indices: maximum below ``jump`` times the minimum) must stay within ``jump`` times
    their range, series that are seldom 0 within ``jump`` widths of it, others within fifty times the largest ever;
    flags remain 0 or 1.
    """
    wide = values.unstack("geo")
    past = wide.shift(1).rolling(_YEAR_WEEKS, min_periods=STEADY_WEEKS)
    low, high = past.min(), past.max()
    # An event may rest for a year; what it ever was counts.
    ever = wide.isin([0.0, 1.0]) | wide.isna()
    is_flag = ever.shift(1, fill_value=True).cummin() & (wide.shift(1).cummax() == 1) & low.notna()
    is_steady = (low > 0) & (high < jump * low)
    steady_slip = is_steady & ((wide > jump * high) | (wide < low / jump))
    # Small counts may well leap; fifty times the largest is no weather.
    largest = wide.abs().shift(1).cummax().where(low.notna())
    is_dense = wide.ne(0).astype(float).shift(1).rolling(_YEAR_WEEKS, min_periods=STEADY_WEEKS).mean() > 0.5
    reach = jump * (high - low)
    dense_slip = is_dense & ~is_steady & (high > low) & ((wide > high + reach) | (wide < low - reach))
    other_slip = ~is_flag & ~is_steady & (largest > 0) & (wide.abs() > _WILD_JUMP * largest)
    flag_slip = is_flag & ~wide.isin([0.0, 1.0]) & wide.notna()
    return _stacked(~(steady_slip | dense_slip | other_slip | flag_slip), values)


def has_wound_down(values: pd.Series) -> pd.Series:
    """Return where a zero is no surprise: the channel has paused before, or was being stopped the week before.

    A channel stopped in mid-week leaves a small last week; of 10 true stops on real brands each was so, or had paused
    before.  A channel's pauses count in all geos, from its first spend on.
    """
    wide = values.unstack("geo")
    used = wide.gt(0).cummax()
    # Of weeks before the one asked about, in any geo.
    paused = (used & wide.eq(0)).any(axis=1).cummax().shift(1, fill_value=False)
    usual = wide.shift(2).rolling(4, min_periods=4).median()
    small = wide.shift(1) < usual / 3
    return _stacked(small.apply(lambda column: column | paused), values)


def is_not_suddenly_zero(values: pd.Series) -> pd.Series:
    """Return False where a week is zero after half a year of weeks above zero, True elsewhere."""
    wide = values.unstack("geo")
    steady = wide.shift(1).rolling(STEADY_WEEKS, min_periods=STEADY_WEEKS).min() > 0
    return _stacked(~(wide.eq(0) & steady), values)


def _stacked(wide: pd.DataFrame, like: pd.Series) -> pd.Series:
    return pd.Series(wide.stack(), dtype=bool).reindex(like.index)


def zero_target_share(target: pd.Series) -> float:
    """Return the share of zeros among the last 13 weekly totals that are told; 0 if none is."""
    totals = target.groupby(level="week").sum(min_count=1).dropna().tail(_ZERO_SHARE_WEEKS)
    return float(np.mean(totals == 0)) if len(totals) else 0.0


def late_weeks(grid: pd.DataFrame, as_of: date, delay_weeks: int) -> pd.Series:
    """Return which rows lie in the last weeks, whose target may still be on its way."""
    weeks = grid.index.get_level_values("week")
    return pd.Series(weeks > pd.Timestamp(as_of) - pd.Timedelta(weeks=delay_weeks), index=grid.index)
