"""How far the last weeks of a series lie from its season, in standard errors: windows of one to six months.

A persistent series is hard to call by its mean and easy to call by its steps, so each week is first
compared with what its memory says (its innovation); a shift that begins in a week shows whole in that
week's innovation and by ``1 - phi`` in the ones that follow.  The scan is the likelihood ratio of such a
shift, for each window it may have begun with (Box and Tiao 1975; Lai 1995 for windows on a grid).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from evermix.core.drift_series import Bools, Floats, Ints

WINDOWS = (4, 8, 13, 26)  # weeks since a shift may have begun; fewer than a month are an outlier, not a drift
MIN_WEEKS = 4  # a window in which a channel was on in fewer weeks says nothing of its level
CORRELATION_WINDOW = 26


class Innovations(NamedTuple):
    """Each week's surprise, and the share of a shift that it shows; 0 where off.

    ``surprise`` is (..., series, week); the shares have the shape of the on weeks.
    """

    surprise: Floats  # in innovation sd
    begins: Floats  # by which a shift of one sd that begins in this week moves it
    goes_on: Floats  # by which one that began before moves it


def follow(apart: Floats, on: Bools, phi: Floats, last: Floats, lag: Ints) -> Innovations:
    """Return what each week says beyond what the last active week foretold.

    Parameters
    ----------
    apart : ndarray (..., series, week)
        Distances from the season in innovation sd.
    phi : ndarray (series,)
        Lag-1 autocorrelation, below 1; over ``k`` weeks without activity it is ``phi ** k``.
    on : ndarray (..., series, week)
        Without the leading dimensions where they do not matter.
    last, lag : ndarray (series,)
        The last active distance before the first week, and how many weeks before it lies.
    """
    out = Innovations(np.zeros_like(apart), *(np.zeros(on.shape, apart.dtype) for _ in range(2)))
    for t in range(apart.shape[-1]):
        memory = phi**lag
        spread = np.sqrt((1 - memory**2) / (1 - phi**2))
        active = on[..., t]
        out.surprise[..., t] = np.where(active, (apart[..., t] - memory * last) / spread, 0.0)
        out.begins[..., t] = np.where(active, 1 / spread, 0.0)
        out.goes_on[..., t] = np.where(active, (1 - memory) / spread, 0.0)
        last = np.where(active, apart[..., t], last)
        lag = np.where(active, 1, lag + 1)
    return out


def scan(found: Innovations, season_variance: Floats) -> Floats:
    """Return (..., series, window, week): the shift that began with each window, in standard errors, signed.

    Parameters
    ----------
    season_variance : ndarray (series, window, week)
        Of the season's mean over each window, in innovation variances: what the reference leaves unknown.
    """
    surprise, begins, goes_on = found
    on, weeks = begins > 0, surprise.shape[-1]
    jump = _first_in_window((begins - goes_on) * surprise, on)
    extra = _first_in_window(begins**2 - goes_on**2, on)
    out = np.zeros((*surprise.shape[:-1], len(WINDOWS), weeks), surprise.dtype)
    for i, width in enumerate(w for w in WINDOWS if w <= weeks):
        begun = slice(0, weeks - width + 1)
        score = window_sums(goes_on * surprise, width) + jump[..., begun]
        information = np.maximum(window_sums(goes_on**2, width) + extra[..., begun], 1e-12)
        error = np.sqrt(1 / information + season_variance[:, i, width - 1 :])
        enough = window_sums(on.astype(surprise.dtype), width) >= MIN_WEEKS
        out[..., i, width - 1 :] = score * np.where(enough, 1 / (information * error), 0.0).astype(surprise.dtype)
    return out


def window_sums(values: Floats, width: int) -> Floats:
    """Return (..., week - width + 1): the sum of each ``width`` weeks in a row."""
    total = np.cumsum(values, axis=-1)
    sums = total[..., width - 1 :].copy()
    sums[..., 1:] -= total[..., :-width]
    return sums


def season_variance(covariance: Floats, design: Floats) -> Floats:
    """Return (series, window, week): variance of the season's mean over each window that ends in a week.

    Parameters
    ----------
    covariance : ndarray (series, term, term)
        Of the season's coefficients, in innovation variances.
    design : ndarray (week, term)
        The season's terms in the weeks after the reference.
    """
    weeks = len(design)
    out = np.zeros((len(covariance), len(WINDOWS), weeks))
    for i, width in enumerate(w for w in WINDOWS if w <= weeks):
        mean = window_sums(design.T, width) / width
        out[:, i, width - 1 :] = np.einsum("it,sij,jt->st", mean, covariance, mean)
    return out


def activity_scan(on: Bools, reference: Bools) -> Floats:
    """Return (..., window, week): how far the share of on weeks is from the reference's, as a PSI.

    The PSI of two bins (Yurdakul 2018, eq. 1.1) over 1/n + 1/m, about chi-square with one degree of freedom for
    independent weeks.  Half a week is added to each bin (Jeffreys): a bin left empty by 13 weeks is no evidence
    of probability zero.

    Parameters
    ----------
    on : ndarray (..., week)
        After the reference.
    reference : ndarray (week,)
        On and off weeks of the reference.
    """
    weeks, n = on.shape[-1], reference.size
    out = np.zeros((*on.shape[:-1], len(WINDOWS), weeks))
    for i, width in enumerate(w for w in WINDOWS if w <= weeks):
        count = window_sums(on.astype(float), width)
        past = np.array([reference.sum(), n - reference.sum()], float)
        out[..., i, width - 1 :] = psi(past, np.stack([count, width - count], axis=-1)) / (1 / n + 1 / width)
    return out


def psi(expected: Floats, actual: Floats) -> Floats:
    """Return the population stability index of counts over the last axis, half a count added to every bin.

    sum (p - q) ln(p / q) in nats, at least 0.
    """
    q = (expected + 0.5) / (expected + 0.5).sum(axis=-1, keepdims=True)
    p = (actual + 0.5) / (actual + 0.5).sum(axis=-1, keepdims=True)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def pair_correlations(surprise: Floats) -> Floats:
    """Return (..., pair, week): Fisher's z of the correlation of each pair over the last half year of innovations.

    Its scale is ``sqrt(CORRELATION_WINDOW - 3)``, so that one unit is a standard error.  Pairs are those of
    ``numpy.triu_indices``.
    """
    first, second = np.triu_indices(surprise.shape[-2], k=1)
    square = window_sums(surprise**2, CORRELATION_WINDOW)
    product = window_sums(surprise[..., first, :] * surprise[..., second, :], CORRELATION_WINDOW)
    # Two channels that hardly ran in half a year have no correlation; 0 over 0 would hide every other pair's.
    size = np.sqrt(np.maximum(square[..., first, :] * square[..., second, :], 1e-6))
    return np.asarray(np.arctanh(np.clip(product / size, -0.999, 0.999)) * np.sqrt(CORRELATION_WINDOW - 3))


def _first_in_window(values: Floats, on: Bools) -> Floats:
    """Return (..., week): the value of the next active week, this one included."""
    if on.all():
        return values
    out = values.copy()
    for t in range(values.shape[-1] - 2, -1, -1):
        out[..., t] = np.where(on[..., t], values[..., t], out[..., t + 1])
    return out
