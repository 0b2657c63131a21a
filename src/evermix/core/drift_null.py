"""Quiet years of one input column, and the PSI they reach: the null hypothesis of ``core/drift.py`` in numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import MonitorParams

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LOOKS = 52  # weekly looks in the year that the false-alarm rate speaks of
HARMONICS = 2
WEEKS_PER_YEAR = 365.25 / 7
MAX_PHI = 0.98
MIN_ON_WEEKS = 26  # a column with fewer active reference weeks has no distribution to compare with
MIN_PAIRS = 8  # fewer weeks that follow an active one say nothing of memory


class Series(NamedTuple):
    """``values`` (series, week), meaningless where not ``on`` (series, week); ``n_reference`` leading weeks."""

    values: Floats
    on: Bools
    n_reference: int


class Deviations(NamedTuple):
    """What is left of each series when its season is taken away; NaN where off."""

    values: Floats  # (series, week), in reference sd
    phi: Floats  # (series,) lag-1 autocorrelation of the reference, as estimated


def psi(expected: Floats, actual: Floats) -> Floats:
    """Return the population stability index of counts over the last axis.

    Half a count is added to every bin (Jeffreys), since a bin left empty by 13 weeks is no evidence of
    probability zero.

    Parameters
    ----------
    expected, actual : ndarray (..., bin)
        Counts in the reference and in the window.

    Returns
    -------
    ndarray (...)
        sum (p - q) ln(p / q) in nats, >= 0 (Yurdakul 2018, eq. 1.1, with smoothed shares).
    """
    q = (expected + 0.5) / (expected + 0.5).sum(axis=-1, keepdims=True)
    p = (actual + 0.5) / (actual + 0.5).sum(axis=-1, keepdims=True)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def season_design(weeks: pd.Index) -> Floats:
    """Return (week, 1 + 2 * HARMONICS): a constant and the yearly Fourier terms, by calendar."""
    days = (pd.DatetimeIndex(weeks) - pd.Timestamp("1970-01-05")).days.to_numpy(float)
    angle = 2 * np.pi * np.outer(days / (7 * WEEKS_PER_YEAR), np.arange(1, HARMONICS + 1))
    return np.hstack([np.ones((len(days), 1)), np.cos(angle), np.sin(angle)])


def fit_deviations(series: Series, design: Floats) -> Deviations:
    """Return distances from the season, which is fitted by least squares to the reference weeks that were on."""
    n, k = series.n_reference, design.shape[1]
    weight = series.on[:, :n].astype(float)
    gram = (weight @ (design[:n, :, None] * design[:n, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    moment = (weight * series.values[:, :n]) @ design[:n]
    # The tiny ridge keeps a column that was only on in some seasons solvable.
    slopes = np.linalg.solve(gram + 1e-3 * np.eye(k), moment[..., None])[..., 0]
    apart = np.where(series.on, series.values - slopes @ design.T, np.nan)
    variance = np.nansum(apart[:, :n] ** 2, axis=1) / np.maximum(weight.sum(axis=1), 1.0)
    apart /= np.sqrt(np.maximum(variance, 1e-300))[:, None]
    pair = apart[:, 1:n] * apart[:, : n - 1]
    phi = np.nansum(pair, axis=1) / np.maximum(np.isfinite(pair).sum(axis=1), 1)
    return Deviations(apart, np.clip(phi, 0.0, MAX_PHI))


def tested_aspects(series: Series) -> Bools:
    """Return (series, 2): level is always tested, activity where 5 % of the reference or more is off (or on)."""
    share = series.on[:, : series.n_reference].mean(axis=1)
    return np.column_stack([np.ones(len(share), bool), (share >= 0.05) & (share <= 0.95)])


def statistics(series: Series, deviations: Deviations, width: int, first_look: int) -> Floats:
    """Return (series, aspect, look): PSI of the windows that end at each week from ``first_look`` on.

    Level: (mean deviation of the window's on weeks in sd) squared, the integral of (p - q) ln(p / q) for two
    normal densities of the same sd.  Activity: PSI of on and off weeks.
    """
    on = series.on.astype(float)
    count = _windows(on, width)[:, first_look:]
    total = _windows(np.where(series.on, deviations.values, 0.0), width)[:, first_look:]
    level = (total / np.maximum(count, 1.0)) ** 2
    past = on[:, : series.n_reference].sum(axis=1)
    reference = np.stack([past, series.n_reference - past], axis=-1)[:, None, :]
    activity = psi(reference, np.stack([count, width - count], axis=-1))
    return np.stack([level, activity], axis=1)


def _windows(values: Floats, width: int) -> Floats:
    """Return (series, week): the sum of each week and the ``width`` - 1 before it."""
    total = np.cumsum(values, axis=1)
    return total - np.pad(total, ((0, 0), (width, 0)))[:, : total.shape[1]]


def critical_values(
    series: Series,
    deviations: Deviations,
    aspects: Bools,
    weeks: pd.Index,
    settings: MonitorParams,
    rng: np.random.Generator,
) -> Floats:
    """Return (series, aspect): the values that the largest ratio of a quiet year passes with the stated chance.

    Each simulated year is a fresh reference and 52 weeks after it, estimated as the real one is.
    A column's own 90 % point makes columns comparable; the maximum over them sets the rest.
    """
    n, years = series.n_reference, settings.drift_simulations
    design = season_design(pd.date_range(weeks[0], periods=n + LOOKS, freq="7D"))
    # A simulated year that was hardly ever on would not have been tested, so it calls nothing.
    tops = np.zeros((years, *aspects.shape))
    for row, phi in enumerate(deviations.phi):
        past = deviations.values[row, :n]
        latent = _simulate_levels(past, float(phi), years, rng)
        active = _simulate_activity(series.on[row, :n], years, rng)
        tested = active[:, :n].sum(axis=1) >= MIN_ON_WEEKS
        quiet = Series(latent[tested], active[tested], n)
        found = fit_deviations(quiet, design)
        tops[tested, row] = statistics(quiet, found, settings.drift_window_weeks, first_look=n).max(axis=-1)
    scale = np.where(aspects, np.maximum(np.quantile(tops, 0.9, axis=0), 1e-12), 1.0)
    largest = np.where(aspects, tops / scale, 0.0).max(axis=(1, 2))
    return np.asarray(scale * np.quantile(largest, 1 - settings.drift_false_alarms_per_year, method="higher"))


def unbiased_autocorrelation(phi: float | Floats, n_weeks: int) -> Floats:
    """Return a lag-1 autocorrelation corrected for the season having been fitted to the same weeks.

    The bias of an AR(1) estimate is about -(1 + 3 phi) / n with a fitted mean (Kendall 1954); with the
    Fourier terms used here it was found by simulation to be -(6 + 8 phi) / n (n = 117, 156; phi 0 to 0.9).
    """
    return np.clip((np.asarray(phi) + 6.0 / n_weeks) / (1.0 - 8.0 / n_weeks), 0.0, MAX_PHI)


def autocorrelation_error(phi: float, n_weeks: int) -> float:
    """Return the standard error of the corrected estimate.

    The textbook sqrt((1 - phi^2) / n) is too small once season and bias are estimated as well: by
    1.1 at 0.3, 1.3 at 0.7 and 1.5 at 0.85 in simulations (n = 117, 130), which 1 + 0.7 phi^2 follows.
    """
    return float(np.sqrt((1 - phi**2) / n_weeks) * (1 + 0.7 * phi**2))


def _simulate_levels(past: Floats, phi: float, years: int, rng: np.random.Generator) -> Floats:
    """Return (year, week): AR(1) series that resample the column's own innovations (a sieve bootstrap).

    The autocorrelation is drawn anew for each year with its standard error, since a critical value for
    the estimate alone is too low whenever the estimate is.  Neither season nor scale is simulated: the
    estimation removes both.
    """
    n = past.size
    innovations = past[1:] - phi * past[:-1]
    innovations = innovations[np.isfinite(innovations)]
    if innovations.size < MIN_PAIRS:
        innovations = past[np.isfinite(past)]
    innovations = (innovations - innovations.mean()) / max(float(innovations.std()), 1e-12)
    centre = float(unbiased_autocorrelation(phi, n))
    drawn = np.clip(rng.normal(centre, autocorrelation_error(centre, n), years), 0.0, MAX_PHI)
    shocks = rng.choice(innovations, (n + LOOKS, years)) * np.sqrt(1 - drawn**2)
    latent = np.empty_like(shocks)
    latent[0] = rng.standard_normal(years)
    for t in range(1, len(latent)):
        latent[t] = drawn * latent[t - 1] + shocks[t]
    return latent.T


def _simulate_activity(on: Bools, years: int, rng: np.random.Generator) -> Bools:
    """Return (year, week) on/off states: a two-state Markov chain whose chances are drawn with their uncertainty."""
    shape = (on.size + LOOKS, years)
    if on.all():
        return np.ones(shape[::-1], bool)
    was, now = on[:-1], on[1:]
    stays_on = rng.beta((was & now).sum() + 0.5, (was & ~now).sum() + 0.5, years)
    turns_on = rng.beta((~was & now).sum() + 0.5, (~was & ~now).sum() + 0.5, years)
    luck = rng.random(shape)
    active = np.empty(shape, bool)
    active[0] = luck[0] < on.mean()
    for t in range(1, shape[0]):
        active[t] = luck[t] < np.where(active[t - 1], stays_on, turns_on)
    return active.T
