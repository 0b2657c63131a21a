"""Pareto-smoothed importance weights (Vehtari, Simpson, Gelman, Yao and Gabry 2024), by ArviZ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evermix.errors import FitError

Floats = NDArray[np.float64]

# Stands for the shape of a tail that cannot be fitted, since one draw has all the weight: beyond any trust.
NO_TAIL = 99.0


def smooth_weights(log_ratio: Floats) -> tuple[Floats, float]:
    """Return normalised log weights, shape (draw,), and k-hat.

    Parameters
    ----------
    log_ratio : ndarray, shape (draw,)
        Log of target over proposal density at each draw, up to a constant.  Ratios that are all alike say nothing new:
        equal weights, and a k-hat of 0.  Where one draw has all the weight, k-hat is ``NO_TAIL``.

    Raises
    ------
    FitError
        A ratio is not finite, or the largest ones are all the same, so that they have no tail.

    Notes
    -----
    ArviZ's ``psislw`` is made for leave-one-out and negates its input; it takes log likelihoods there.
    """
    if not np.isfinite(log_ratio).all():
        raise FitError("update: the likelihood of a row is not finite at some draw. Look at its values, or refit.")
    if np.ptp(log_ratio) == 0.0:
        return np.full(log_ratio.shape, -np.log(log_ratio.size)), 0.0
    # 0.2 s on top of what a week loads anyway; all of ArviZ would be 7.
    from arviz_stats.base import array_stats

    try:
        log_weights, khat = array_stats.psislw(-log_ratio)
    except ValueError as err:
        raise FitError(f"update: the weights cannot be smoothed ({err}). Refit.") from err
    return np.asarray(log_weights, dtype=np.float64), float(khat) if np.isfinite(khat) else NO_TAIL
