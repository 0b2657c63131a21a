"""Limits of the quality series, each from its own past, and what of a week lies outside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from evermix.config import ModelParams
from evermix.core.quality_series import MEASURES, Delivered, Floats, Key, delivery_values, told_series
from evermix.records import QualityPoint

PAST_WEEKS = 104
_YEAR_WEEKS = 52
LEVEL_WEEKS = 8
# Tails of the relations of 17 real channels and of their spend and sales (docs/methods.md).
TAIL_FREEDOM = 5.0
# A price list moves by a percent, a steady budget by some: neither is news.
LEAST_SCALE = {"tracking": 0.01, "outlier": 0.05}
_NORMAL_MAD = 1.4826
_NORMAL_IQR = 1.349

Weeks = NDArray[np.datetime64]


@dataclass(frozen=True)
class Usual:
    """What a series' past says of its next value, before a width is chosen.

    Attributes
    ----------
    centre, scale : float
        Median and robust spread, on the scale on which the limits are symmetric; scale 0: it always stood still.
    least, most : float
        The extremes of the past.
    is_log : bool
        The scale is the logarithm.
    """

    centre: float
    scale: float
    least: float
    most: float
    weeks: int
    is_log: bool = False


def usual_value(past: Sequence[float] | Floats) -> Usual | None:
    """Return what the last 104 values say of the next one, None where there are none."""
    values = np.asarray(past, float)[-PAST_WEEKS:]
    if not values.size:
        return None
    centre, scale = _spread(values)
    return Usual(centre, scale, float(values.min()), float(values.max()), int(values.size))


def usual_step(values: Floats, least_scale: float) -> Usual | None:
    """Return what the steps of a series say of its newest value, None where there are too few.

    A step is the distance to the median of the 8 values before, on the logarithm where no value is negative: so slow
    change, growth and season move the limits along, and a lasting break is outside for about a month, then the new
    normal.

    Parameters
    ----------
    values : ndarray
        Of the weeks that can be judged, oldest first.
    least_scale : float
        Steps of a logarithm that are no larger mean nothing, however still the series has stood.
    """
    values = values[-(PAST_WEEKS + LEVEL_WEEKS + 1) :]
    is_log = bool((values > 0).all())
    y = np.log(values) if is_log else values
    if y.size <= LEVEL_WEEKS + 1:
        return None
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(y[:-1], LEVEL_WEEKS), axis=1)
    levels = windows[:, LEVEL_WEEKS // 2 - 1 : LEVEL_WEEKS // 2 + 1].mean(axis=1)
    steps = (y[LEVEL_WEEKS:] - levels)[:-1]
    centre, scale = _spread(steps)
    at = float(levels[-1])
    return Usual(
        at + centre,
        max(scale, least_scale) if is_log else scale,
        at + float(steps.min()),
        at + float(steps.max()),
        int(steps.size),
        is_log,
    )


def width_of(false_calls_per_year: float, series: int) -> float:
    """Return how many robust spreads a limit lies from the centre.

    Chosen so that in a quiet year all series together lie outside ``false_calls_per_year`` times on average, if they
    have the tails of Student's t with 5 degrees of freedom.
    """
    rate = min(0.5, false_calls_per_year / (_YEAR_WEEKS * max(1, series)))
    return float(stdtrit(TAIL_FREEDOM, 1.0 - rate / 2.0) / (_NORMAL_MAD * stdtrit(TAIL_FREEDOM, 0.75)))


def judge_week(
    told: pd.DataFrame,
    delivered: Mapping[Key, float | None],
    recorded: pd.DataFrame,
    seen: Delivered,
    false_calls_per_year: float,
    min_weeks: int,
) -> list[QualityPoint]:
    """Return the points of a delivery, each with its limits and whether it lies outside.

    Parameters
    ----------
    told : DataFrame
        Series by measure and column of all weeks that the delivery tells of, from `told_series`.
    delivered : mapping
        Values of the delivery itself, from `delivery_values`.
    recorded : DataFrame
        Points of earlier closes, by the names of `QualityPoint`.  Refused deliveries are part of the record and never
        of a limit.
    seen : Delivered
        Which delivery of which week is judged.
    false_calls_per_year : float
        Expected calls of a quiet year, all series that vary together.
    min_weeks : int
        Below so many values there is no limit: too few weeks.
    """
    past = _accepted_values(recorded, seen.as_of)
    found: dict[Key, tuple[float | None, Usual | None]] = {}
    weeks = told.index.to_numpy("datetime64[s]")
    weeks = weeks[weeks <= np.datetime64(seen.as_of)]
    keys: list[Key] = list(told)  # type: ignore[arg-type]
    for key, values in zip(keys, told.to_numpy(float).T, strict=True):
        found[key] = _of_told(key, weeks, values[: weeks.size], past.get(key))
    for key, value in delivered.items():
        before = past.get(key)
        found[key] = (value, None if before is None else usual_value(before.values))
    varying = sum(
        value is not None and usual is not None and usual.weeks >= min_weeks and usual.scale > 0.0
        for value, usual in found.values()
    )
    width = width_of(false_calls_per_year, varying)
    return [_point(key, *found[key], width, min_weeks, seen) for key in sorted(found)]


def measure_quality(seen: Delivered, recorded: pd.DataFrame, params: ModelParams) -> list[QualityPoint]:
    """Return all points of a delivery."""
    limits = params.validation
    return judge_week(
        told_series(seen, params),
        delivery_values(seen, params),
        recorded,
        seen,
        limits.quality_false_calls_per_year,
        limits.quality_min_weeks,
    )


def earlier_points(seen: Delivered, params: ModelParams, weeks: int) -> list[QualityPoint]:
    """Return what the last weeks before a delivery's would have been told of it, had somebody watched; number 0.

    Only what the delivery tells of its own past: measures of a delivery have no past but the recorded one.
    """
    limits, told = params.validation, told_series(seen, params)
    empty = pd.DataFrame()
    out: list[QualityPoint] = []
    for week in told.index[told.index < pd.Timestamp(seen.as_of)][-weeks:]:
        then = replace(seen, as_of=week.date(), number=0, accepted=True)
        out += judge_week(told, {}, empty, then, limits.quality_false_calls_per_year, limits.quality_min_weeks)
    return out


def _spread(values: Floats) -> tuple[float, float]:
    low, centre, high = _quartiles(values)
    mad = _quartiles(np.abs(values - centre))[1]
    return centre, max(_NORMAL_MAD * mad, (high - low) / _NORMAL_IQR)


def _quartiles(values: Floats) -> tuple[float, float, float]:
    """As `numpy.quantile` by its default, which takes ten times as long on so few values."""
    ordered = np.sort(values)
    at = np.array((0.25, 0.5, 0.75)) * (ordered.size - 1)
    below = at.astype(int)
    above = np.minimum(below + 1, ordered.size - 1)
    low, middle, high = ordered[below] + (at - below) * (ordered[above] - ordered[below])
    return float(low), float(middle), float(high)


@dataclass(frozen=True)
class Past:
    """Recorded values of accepted deliveries and their weeks, oldest first."""

    weeks: Weeks
    values: Floats


def _accepted_values(recorded: pd.DataFrame, as_of: date) -> dict[Key, Past]:
    if recorded.empty:
        return {}
    rows = recorded[recorded["accepted"] & (recorded["as_of"] < as_of.isoformat()) & recorded["value"].notna()]
    weeks, values = pd.to_datetime(rows["as_of"]).to_numpy("datetime64[s]"), rows["value"].to_numpy(float)
    places: dict[Key, list[int]] = {}
    for place, key in enumerate(zip(rows["measure"], rows["column"], strict=True)):
        places.setdefault(key, []).append(place)
    return {key: Past(weeks[found], values[found]) for key, found in places.items()}


def _of_told(key: Key, weeks: Weeks, values: Floats, recorded: Past | None) -> tuple[float | None, Usual | None]:
    """Return the newest of a series' values, None where that week has none, and what the ones before it say of it."""
    is_known = ~np.isnan(values)
    value = float(values[-1]) if is_known[-1] else None
    if MEASURES[key[0]].limit == "spread":
        return value, None if value is None else usual_step(values[is_known], LEAST_SCALE[key[0]])
    # What a source tells of its past today need not be what it told then.
    since = weeks[-1] if recorded is None else recorded.weeks[0]
    told = values[is_known & (weeks < since)]
    return value, usual_value(told if recorded is None else np.concatenate([told, recorded.values]))


def _point(
    key: Key, value: float | None, usual: Usual | None, width: float, min_weeks: int, seen: Delivered
) -> QualityPoint:
    measure = MEASURES[key[0]]
    value = None if value is None else _rounded(value)
    low = high = None
    weeks = usual.weeks if usual is not None else 0
    limit: str = measure.limit
    if value is None:
        limit = "not measured"
    elif limit == "none":
        high = 0.0
    elif usual is None or weeks < min_weeks:
        limit = "too few weeks"
    else:
        limit, low, high = _limits(usual, limit, measure.side, width)
    outside = value is not None and ((low is not None and value < low) or (high is not None and value > high))
    return QualityPoint(
        as_of=seen.as_of.isoformat(),
        delivery=seen.number,
        accepted=seen.accepted,
        measure=key[0],
        column=key[1],
        value=value,
        low=low,
        high=high,
        weeks=weeks,
        limit=limit,
        outside=outside,
    )


def _limits(usual: Usual, limit: str, side: str, width: float) -> tuple[str, float | None, float | None]:
    low, high = usual.centre - width * usual.scale, usual.centre + width * usual.scale
    if usual.scale == 0.0:
        # What always stood still has no spread to go by.
        limit = "worst"
    if limit == "worst":
        low, high = min(low, usual.least), max(high, usual.most)
    if usual.is_log:
        low, high = float(np.exp(low)), float(np.exp(high))
    return limit, None if side == "high" else _rounded(low), None if side == "low" else _rounded(high)


def _rounded(value: float) -> float:
    """Return six digits of a number, as the record keeps it: what comes again must not differ in its last one."""
    return float(f"{value:.6g}")
