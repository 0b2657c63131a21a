"""The MMM's posterior as a Gaussian around its mode: a stand-in for MCMC that a thousand replicates can afford.

Laplace's approximation with the Gauss-Newton curvature, taken anew each week at that week's mode, in coordinates in
which the posterior is nearly Gaussian.  It is a screener: how far it agrees with MCMC is measured in the study.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evermix.core import transforms
from evermix.engines.models.design import Design

Floats = NDArray[np.float64]

_PER_CHANNEL = 3
_MOST_STEPS, _PATIENCE = 40, 3
_STOP = 0.02
"""Steps end when none is longer than this, in posterior sd."""
_NUDGE = 1e-4
_LEAST_CURVATURE = 0.1
"""A log saturation that the prior leaves free is taken as known to three e-folds."""
_USUAL_CARRY = 0.3
_MAX_STEP = 1.0
"""Longest move of a coordinate in one step, in logits or logs; keeps Gauss-Newton where its line holds."""


@dataclass(frozen=True)
class Mean:
    """The mean as a function of the parameters, ready for many evaluations.

    Parameters are the level at mean media, the coefficients of controls and yearly waves, and per channel the logit of
    the carry-over, the log of the saturation, and the log of what the channel rises from low to high media.  The data
    know level and rise whatever the saturation, so that the posterior is nearly Gaussian in them.

    Attributes
    ----------
    linear : ndarray, shape (week, coefficient)
        Ones, controls, yearly waves.
    lagged : ndarray, shape (week, channel, lag)
        Media of this week and those before it, in pinned maxima.
    usual : ndarray, shape (3, channel)
        A low, the mean and a high value of each channel's media.
    """

    linear: Floats
    lagged: Floats
    usual: Floats

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.linear.shape[1] + _PER_CHANNEL * self.lagged.shape[1]

    def split(self, theta: Floats) -> tuple[Floats, Floats, Floats]:
        """Return logit alpha, log lam and log rise of each channel, (..., channel)."""
        k, c = self.linear.shape[1], self.lagged.shape[1]
        return theta[..., k : k + c], theta[..., k + c : k + 2 * c], theta[..., k + 2 * c : k + 3 * c]

    def at(self, theta: Floats, rows: slice) -> tuple[Floats, Floats, Floats]:
        """Return mean (week,), Jacobian (week, parameter) and channel contributions (week, channel), scaled units."""
        u_alpha, u_lam, log_rise = self.split(theta)
        alpha, lam = special.expit(u_alpha), np.exp(u_lam)
        rise, mid, d_rise, d_mid = rises(lam, self.usual)
        beta = np.exp(log_rise) / rise
        lags = np.arange(self.lagged.shape[2])
        weight = alpha[:, None] ** lags
        total = weight.sum(axis=1, keepdims=True)
        slope = lags * weight
        # Times the derivative of the logit's inverse, alpha (1 - alpha).
        d_weight = (1.0 - alpha[:, None]) * (slope / total - weight * slope.sum(axis=1, keepdims=True) / total**2)
        x = self.lagged[rows]
        carried = np.einsum("wcl,cl->wc", x, weight / total)
        curve = np.tanh(0.5 * lam * carried)
        steep = beta * (1.0 - curve**2) * 0.5 * lam
        media = beta * curve
        above = media - beta * mid
        on_alpha = steep * np.einsum("wcl,cl->wc", x, d_weight)
        on_lam = steep * carried - beta * d_mid - above * d_rise / rise
        k = self.linear.shape[1]
        mu = self.linear[rows] @ theta[:k] + above.sum(axis=1)
        return mu, np.hstack([self.linear[rows], on_alpha, on_lam, above]), media


def rises(lam: Floats, usual: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return what the curve rises from low to high media, its value at the mean, and both's slopes on log lam."""
    half = 0.5 * lam
    low, mid, high = (np.tanh(half * x) for x in usual)
    d_low, d_mid, d_high = (half * x * (1.0 - y**2) for x, y in zip(usual, (low, mid, high), strict=True))
    return high - low, mid, d_high - d_low, d_mid


def make_mean(design: Design, orders: int, l_max: int, trained: int) -> Mean:
    """Return the mean of a design without geos, with pymc-marketing's default curves.

    Parameters
    ----------
    trained : int
        Weeks whose media say what is usual.
    """
    media = design.media[:, 0, :]
    weeks = len(media)
    lagged = np.zeros((weeks, media.shape[1], l_max))
    for lag in range(l_max):
        lagged[lag:, :, lag] = media[: weeks - lag]
    waves = transforms.fourier_modes(design.day_of_year, orders)
    weight = _USUAL_CARRY ** np.arange(l_max)
    carried = lagged[:trained] @ (weight / weight.sum())
    low, high = np.quantile(carried, [0.1, 0.9], axis=0)
    usual = np.stack([low, carried.mean(axis=0), high])
    return Mean(np.hstack([np.ones((weeks, 1)), design.controls[:, 0, :], waves]), lagged, usual)


@dataclass(frozen=True)
class Gaussian:
    """The posterior of one week.

    Attributes
    ----------
    theta, covariance : ndarray
        Mode, shape (parameter,), and covariance, shape (parameter, parameter).
    sigma : float
        Noise sd, scaled units, from the residuals and the degrees of freedom left.
    freedom : float
        Those degrees of freedom: the predictive distribution is Student's t with so many.
    """

    theta: Floats
    covariance: Floats
    sigma: float
    freedom: float


def fit_mode(mean: Mean, target: Floats, weeks: int, start: Gaussian | None) -> Gaussian:
    """Return the posterior given the first ``weeks`` weeks.

    Parameters
    ----------
    target : ndarray, shape (week,)
        In pinned maxima.
    start : Gaussian or None
        Last week's posterior, a few steps from this one.
    """
    rows, y, k = slice(0, weeks), target[:weeks], mean.linear.shape[1]
    theta = start.theta if start is not None else _first_guess(mean, y)
    sigma = start.sigma if start is not None else float(y.std()) * 0.3
    for count in range(_MOST_STEPS):
        mu, jacobian, _ = mean.at(theta, rows)
        slope, curvature = _prior(theta, mean)
        precision = jacobian.T @ jacobian / sigma**2
        residual = y - mu
        covariance = np.linalg.inv(precision + curvature)
        step = covariance @ (jacobian.T @ residual / sigma**2 + slope)
        # Where the curvature is more than Gauss-Newton's, full steps would swing around the mode for ever.
        reach = 1.0 / (1 + count // _PATIENCE)
        theta = theta + step * min(reach, _MAX_STEP / max(float(np.abs(step[k:]).max()), 1e-12))
        freedom = weeks - float(np.einsum("ij,ji->", covariance, precision))
        sigma = float(np.sqrt(residual @ residual / freedom))
        if (np.abs(step) < _STOP * np.sqrt(np.diag(covariance))).all():
            break
    return Gaussian(theta, covariance, sigma, freedom)


def _first_guess(mean: Mean, y: Floats) -> Floats:
    k = mean.linear.shape[1]
    theta = np.zeros(mean.size)
    theta[0] = y.mean()
    guesses = (special.logit(0.25), np.log(2.0), np.log(0.05))
    for part, guess in zip(mean.split(theta), guesses, strict=True):
        part[:] = guess
    return np.concatenate([theta[:k], *mean.split(theta)])


def _prior(theta: Floats, mean: Mean) -> tuple[Floats, Floats]:
    """Return slope (parameter,) and curvature (parameter, parameter) of the log prior of pymc-marketing's defaults.

    Beta(1, 3), Gamma(3, 1) and HalfNormal(2) with the Jacobians of logit and log, in the coordinates of `Mean`;
    Normal(0, 2) for the coefficients, and for the waves, whose Laplace(0, 1) is as flat where they are.
    """
    k, c = mean.linear.shape[1], mean.lagged.shape[1]
    u_alpha, u_lam, log_rise = mean.split(theta)
    alpha, lam = special.expit(u_alpha), np.exp(u_lam)
    rise, _, d_rise, _ = rises(lam, mean.usual)
    bend = d_rise / rise
    beta = np.exp(log_rise) / rise
    on_beta = 1.0 - beta**2 / 4.0
    rise_2, _, d_rise_2, _ = rises(lam * (1.0 + _NUDGE), mean.usual)
    bow = (d_rise_2 / rise_2 - bend) / _NUDGE
    slope = np.concatenate([-theta[:k] / 4.0, 1.0 - 4.0 * alpha, 3.0 - lam - bend * on_beta, on_beta])
    curvature = np.diag(np.concatenate([np.full(k, 0.25), 4.0 * alpha * (1.0 - alpha), lam, np.zeros(c)]))
    lams, rises_ = np.arange(k + c, k + 2 * c), np.arange(k + 2 * c, k + 3 * c)
    curvature[lams, lams] = np.maximum(lam + bow * on_beta, _LEAST_CURVATURE) + 0.5 * (beta * bend) ** 2
    curvature[rises_, rises_] = 0.5 * beta**2
    curvature[lams, rises_] = curvature[rises_, lams] = -0.5 * beta**2 * bend
    return slope, curvature
