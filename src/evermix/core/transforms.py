"""Adstock, saturation and season in NumPy: what media and calendar do to a target, draw by draw.

The same formulas as ``pymc_marketing.mmm.transformers`` 1.3 (equality is tested to 1e-10), so that scoring a week
needs no PyMC graph.  Parameters carry a leading ``draw`` axis; weeks never do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAYS_IN_YEAR = 365.25


def geometric_weights(alpha: Floats, l_max: int, *, normalize: bool) -> Floats:
    """Return the weight of each lag under geometric decay.

    Parameters
    ----------
    alpha : ndarray, shape (...)
        Retention per week, in [0, 1].
    l_max : int
        Number of lags, the current week included.
    normalize : bool
        Whether the weights sum to one.

    Returns
    -------
    ndarray, shape (..., l_max)
        ``alpha ** lag``.

    Notes
    -----
    Jin, Wang, Sun, Chan, Koehler (2017), equation 2 with the peak at lag 0.
    """
    weights = alpha[..., None] ** np.arange(l_max)
    return _normalized(weights) if normalize else weights


def delayed_weights(alpha: Floats, theta: Floats, l_max: int, *, normalize: bool) -> Floats:
    """Return the weight of each lag when the effect peaks ``theta`` weeks after the spend.

    Parameters
    ----------
    alpha : ndarray, shape (...)
        Retention, in [0, 1].
    theta : ndarray, shape (...)
        Lag of the peak in weeks.
    l_max : int
        Number of lags, the current week included.
    normalize : bool
        Whether the weights sum to one.

    Returns
    -------
    ndarray, shape (..., l_max)
        ``alpha ** ((lag - theta) ** 2)``.

    Notes
    -----
    Jin, Wang, Sun, Chan, Koehler (2017), equation 3.
    """
    weights = alpha[..., None] ** ((np.arange(l_max) - theta[..., None]) ** 2)
    return _normalized(weights) if normalize else weights


def carry_over(media: Floats, weights: Floats) -> Floats:
    """Return media spread over the weeks that follow; weeks before the first count as zero.

    Parameters
    ----------
    media : ndarray, shape (week, geo, channel)
        Media in the order of weeks, without gaps.
    weights : ndarray, shape (draw, geo or 1, channel, lag)
        Weight of each lag.

    Returns
    -------
    ndarray, shape (draw, week, geo, channel)
        Sum over lags of ``weights[lag] * media[week - lag]``.
    """
    weeks, lags = media.shape[0], min(weights.shape[-1], media.shape[0])
    padded = np.concatenate([np.zeros((lags - 1, *media.shape[1:])), media])
    # (geo, channel, lag, week): one matrix product per geo and channel, which BLAS does at once for all draws.
    lagged = np.stack([padded[lags - 1 - lag :][:weeks] for lag in range(lags)]).transpose(2, 3, 0, 1)
    spread = weights[..., :lags].transpose(1, 2, 0, 3) @ lagged
    return np.asarray(spread.transpose(2, 3, 0, 1))


def logistic_saturation(x: Floats, lam: Floats) -> Floats:
    """Return ``(1 - exp(-lam x)) / (1 + exp(-lam x))``, in [0, 1) for x >= 0; half of it is reached at ln(3) / lam.

    Written as the hyperbolic tangent of ``lam x / 2``, which is the same and one pass over the draws.
    """
    return np.asarray(np.tanh((lam / 2.0) * x))


def tanh_saturation(x: Floats, b: Floats, c: Floats) -> Floats:
    """Return ``b tanh(x / (b c))``: it levels off at b and starts with slope 1 / c."""
    return b * np.tanh(x / (b * c))


def michaelis_menten(x: Floats, alpha: Floats, lam: Floats) -> Floats:
    """Return ``alpha x / (lam + x)``: it levels off at alpha and reaches half of it at lam."""
    return alpha * x / (lam + x)


def hill_saturation(x: Floats, slope: Floats, kappa: Floats) -> Floats:
    """Return ``1 - kappa^slope / (kappa^slope + x^slope)``, in [0, 1); half is reached at kappa."""
    half = kappa**slope
    return 1.0 - half / (half + x**slope)


def fourier_modes(day_of_year: NDArray[np.int64], orders: int) -> Floats:
    """Return the yearly waves: sines of orders 1..n, then cosines of orders 1..n.

    They depend on the date alone, never on the window, so one week has one season whichever weeks are predicted.

    Parameters
    ----------
    day_of_year : ndarray, shape (week,)
        1 to 366, of the week's Monday.
    orders : int
        Number of waves a year.

    Returns
    -------
    ndarray, shape (week, 2 * orders)
    """
    angle = 2.0 * np.pi * (day_of_year / DAYS_IN_YEAR)[:, None] * np.arange(1, orders + 1)
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)


def _normalized(weights: Floats) -> Floats:
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))
