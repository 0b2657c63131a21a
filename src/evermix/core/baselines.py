"""Two simple forecasters that a model must beat, each with a Gaussian predictive distribution, per geo.

They see what the model saw: the training weeks' targets, and the inputs of the weeks to be
forecast as they really happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

MIN_ERRORS = 8  # fewer past errors give no usable spread
HARMONICS = 2
DAYS_PER_YEAR = 365.25
PENALTIES = np.logspace(-3, 4, 29)


@dataclass(frozen=True)
class Forecast:
    """Gaussian forecasts of rows: mean and standard deviation, shape (row,), target units."""

    mean: Floats
    sd: Floats


def gaussian_crps(mean: Floats, sd: Floats, y: Floats) -> Floats:
    """Return the CRPS of normal forecasts, shape (row,), in the units of y; lower is better.

    sd [w (2 Phi(w) - 1) + 2 phi(w) - 1 / sqrt(pi)], w = (y - mean) / sd (Gneiting and Raftery 2007, eq. 21 ff.).
    """
    w = (y - mean) / sd
    density = np.exp(-0.5 * w**2) / np.sqrt(2 * np.pi)
    return np.asarray(sd * (w * (2 * special.ndtr(w) - 1) + 2 * density - 1 / np.sqrt(np.pi)))


def seasonal_naive(train: pd.DataFrame, ahead: pd.DataFrame, season_weeks: int) -> Forecast | None:
    """Forecast the value of the same geo ``season_weeks`` earlier, with the spread of its own past errors.

    Returns
    -------
    Forecast or None
        Rows in the order of ``ahead``; None when the history is shorter than a season and ``MIN_ERRORS``
        weeks, or a value it needs is missing.
    """
    lag = pd.Timedelta(weeks=season_weeks)
    mean, sd = np.full(len(ahead), np.nan), np.full(len(ahead), np.nan)
    for geo, rows in _by_geo(ahead):
        past = train[train["geo"] == geo].set_index("week")["target"]
        errors = (past - past.reindex(pd.DatetimeIndex(past.index) - lag).to_numpy()).dropna().to_numpy()
        if errors.size < MIN_ERRORS:
            return None
        mean[rows] = past.reindex(ahead["week"].to_numpy()[rows] - lag).to_numpy(float)
        sd[rows] = np.sqrt(np.mean(errors**2))
    return _checked(mean, sd)


def ridge(train: pd.DataFrame, ahead: pd.DataFrame) -> Forecast | None:
    """Forecast by a ridge regression per geo, its penalty and its spread from leave-one-out errors.

    Features: controls, events, log(1 + media / mean media), yearly Fourier terms, trend.

    Returns
    -------
    Forecast or None
        Rows in the order of ``ahead``; None when a geo has fewer than ``MIN_ERRORS`` weeks with a target.
    """
    mean, sd = np.full(len(ahead), np.nan), np.full(len(ahead), np.nan)
    for geo, rows in _by_geo(ahead):
        past = train[(train["geo"] == geo) & train["target"].notna()]
        if len(past) < MIN_ERRORS:
            return None
        both = _features(pd.concat([past, ahead.iloc[rows]]), len(past))
        mean[rows], sd[rows] = ridge_forecast(both[: len(past)], past["target"].to_numpy(float), both[len(past) :])
    return _checked(mean, sd)


def ridge_forecast(x: Floats, y: Floats, x_ahead: Floats) -> tuple[Floats, float]:
    """Return ridge forecasts, shape (row,), and the root mean squared leave-one-out error at the best penalty.

    Features are standardised and the intercept is not penalised. Leave-one-out errors follow from the
    singular values: (y - fit) / (1 - leverage) (Hastie, Tibshirani and Friedman 2009, eq. 7.52).

    Parameters
    ----------
    x : ndarray (week, feature)
    y : ndarray (week,)
    x_ahead : ndarray (row, feature)
    """
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    left, values, right = np.linalg.svd((x - centre) / scale, full_matrices=False)
    projected = left.T @ (y - y.mean())
    shrink = values**2 / (values**2 + PENALTIES[:, None])
    fitted = y.mean() + (shrink * projected) @ left.T
    leverage = 1 / len(y) + shrink @ (left**2).T
    errors = np.sqrt(np.mean(((y - fitted) / (1 - leverage)) ** 2, axis=1))
    best = int(np.argmin(errors))
    weights = right.T @ (values / (values**2 + PENALTIES[best]) * projected)
    return y.mean() + (x_ahead - centre) / scale @ weights, float(errors[best])


def _features(rows: pd.DataFrame, n_train: int) -> Floats:
    """Return (row, feature); scales come from the first ``n_train`` rows."""
    names = [str(c) for c in rows]
    media = [c for c in names if c.startswith("exposure.")]
    media += [c for c in names if c.startswith("spend.") and c.replace("spend.", "exposure.", 1) not in names]
    amounts = rows[media].to_numpy(float)
    typical = amounts[:n_train].mean(axis=0)
    plain = rows[[c for c in names if c.startswith(("control.", "event."))]].to_numpy(float)
    days = (rows["week"] - pd.Timestamp("1970-01-05")).dt.days.to_numpy(float)
    angle = 2 * np.pi * np.outer(days / DAYS_PER_YEAR, np.arange(1, HARMONICS + 1))
    logs = np.log1p(np.maximum(amounts, 0.0) / np.where(typical > 0, typical, 1.0))
    return np.column_stack([plain, logs, np.cos(angle), np.sin(angle), days])


def _by_geo(rows: pd.DataFrame) -> list[tuple[str, NDArray[np.intp]]]:
    geo = rows["geo"].to_numpy()
    return [(name, np.flatnonzero(geo == name)) for name in sorted(set(geo))]


def _checked(mean: Floats, sd: Floats) -> Forecast | None:
    usable = np.isfinite(mean).all() and np.isfinite(sd).all() and (sd > 0).all()
    return Forecast(mean, sd) if usable else None
