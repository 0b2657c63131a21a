"""Draws from the MMM's exact posterior in a second, by a sampler of the study's own.

The density is that of the shipped model (its log density and pymc-marketing's agree to rounding, which is tested), the
sampler is Hamiltonian Monte Carlo in coordinates whitened by Laplace's approximation, with a channel's size measured at
its usual spend rather than at saturation, which is what makes the posterior nearly round.  nutpie on the graph needs 10
to 40 CPU seconds for the same model; a few series are fitted by both, and the study says how far they agree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from evermix.validity.surrogate import Gaussian, Mean, rises

Floats = NDArray[np.float64]

_WARMUP = 300
_TARGET_ACCEPT = 0.85
_STEPS = (4, 10)
"""Leapfrog steps of a trajectory, drawn anew for each so that no period of the posterior is met for ever."""


@dataclass(frozen=True)
class Draws:
    """Draws in the model's own parameters, scaled units.

    Attributes
    ----------
    theta : ndarray, shape (chain, draw, parameter)
        Coefficients, then logit alpha, log lam and log beta of each channel, then log sigma.
    accept : float
        Mean acceptance probability.
    divergences : int
        Trajectories whose energy went astray.
    """

    theta: Floats
    accept: float
    divergences: int

    def flat(self) -> Floats:
        """Return all draws, chain after chain, shape (draw, parameter)."""
        return self.theta.reshape(-1, self.theta.shape[2])


def sample(mean: Mean, target: Floats, weeks: int, around: Gaussian, chains: int, draws: int, seed: int) -> Draws:
    """Return draws given the first ``weeks`` weeks; the same for the same seed.

    Parameters
    ----------
    around : Gaussian
        Laplace's approximation on the same weeks: where chains start and how space is scaled.
    """
    linear, lagged = np.ascontiguousarray(mean.linear[:weeks]), np.ascontiguousarray(mean.lagged[:weeks])
    size = len(around.theta)
    centre, factor = np.append(around.theta, np.log(around.sigma)), np.zeros((size + 1, size + 1))
    factor[:size, :size] = np.linalg.cholesky(around.covariance)
    factor[size, size] = np.sqrt(0.5 / around.freedom)
    theta = np.empty((chains, draws, len(centre)))
    accepts, astray = np.empty(chains), 0
    for chain in range(chains):
        random = np.random.default_rng([seed, chain])
        theta[chain], accepts[chain], lost = _run(
            random, draws, centre, factor, linear, lagged, np.ascontiguousarray(target[:weeks]), mean.usual
        )
        astray += lost
    return Draws(_to_model(theta, mean), float(accepts.mean()), astray)


def least_ess(values: Floats) -> float:
    """Return the least bulk ESS among values of shape (chain, draw, value)."""
    from arviz_stats.base import array_stats

    return float(min(array_stats.ess(values[..., i], chain_axis=0, draw_axis=1) for i in range(values.shape[2])))


def to_dataset(draws: Draws, mean: Mean, channels: list[str], controls: list[str], waves: list[str]) -> xr.Dataset:
    """Return the draws under the names, dims and constraints that the shipped model gives them."""
    k, c = mean.linear.shape[1], len(channels)
    theta = draws.theta
    alpha, lam, beta = (theta[..., k + i * c : k + (i + 1) * c] for i in range(3))
    dims = ("chain", "draw")
    return xr.Dataset(
        {
            "intercept_contribution": (dims, theta[..., 0]),
            "gamma_control": ((*dims, "control"), theta[..., 1 : 1 + len(controls)]),
            "gamma_fourier": ((*dims, "fourier_mode"), theta[..., 1 + len(controls) : k]),
            "adstock_alpha": ((*dims, "channel"), 1.0 / (1.0 + np.exp(-alpha))),
            "saturation_lam": ((*dims, "channel"), np.exp(lam)),
            "saturation_beta": ((*dims, "channel"), np.exp(beta)),
            "y_sigma": (dims, np.exp(theta[..., -1])),
        },
        coords={"channel": channels, "control": controls, "fourier_mode": waves},
    )


def means(theta: Floats, mean: Mean, rows: slice) -> tuple[Floats, Floats]:
    """Return mean (draw, week) and channel contributions (draw, week, channel) of draws, scaled units."""
    linear, lagged = np.ascontiguousarray(mean.linear[rows]), np.ascontiguousarray(mean.lagged[rows])
    media = _media(np.ascontiguousarray(theta), linear.shape[1], lagged)
    return theta[:, : linear.shape[1]] @ linear.T + media.sum(axis=2), media


def log_density(theta: Floats, mean: Mean, target: Floats, weeks: int) -> float:
    """Return the log posterior density of one unconstrained point, up to a constant."""
    linear, lagged = np.ascontiguousarray(mean.linear[:weeks]), np.ascontiguousarray(mean.lagged[:weeks])
    # From no media to endless media a curve rises by its size at saturation: the model's own coordinates.
    usual = np.array([[0.0], [0.0], [np.inf]]) * np.ones(lagged.shape[1])
    grad = np.empty_like(theta)
    return float(_density(theta, linear, lagged, np.ascontiguousarray(target[:weeks]), usual, grad))


def _to_model(theta: Floats, mean: Mean) -> Floats:
    """Return draws in the model's own parameters: intercept for level, log beta for log rise."""
    out = theta.copy()
    _, u_lam, log_beta = mean.split(out)
    rise, mid, _, _ = rises(np.exp(u_lam), mean.usual[:, None, None, :])
    log_beta -= np.log(rise)
    out[..., 0] -= (np.exp(log_beta) * mid).sum(axis=-1)
    return out


@numba.njit(cache=True, error_model="numpy")
def _density(
    theta: Floats, linear: Floats, lagged: Floats, y: Floats, usual: Floats, grad: Floats
) -> float:  # pragma: no cover - compiled
    """Log posterior density in sampling coordinates, and its gradient in place."""
    n, k = linear.shape
    c, lags = lagged.shape[1], lagged.shape[2]
    sigma = math.exp(theta[k + 3 * c])
    for j in range(len(theta)):
        grad[j] = 0.0
    weight, slope = np.empty((c, lags)), np.empty((c, lags))
    lam, beta, alpha, bend = np.empty(c), np.empty(c), np.empty(c), np.empty(c)
    middle, d_middle = np.empty(c), np.empty(c)
    intercept = theta[0]
    for i in range(c):
        low, mid, high = usual[0, i], usual[1, i], usual[2, i]
        alpha[i] = 1.0 / (1.0 + math.exp(-theta[k + i]))
        lam[i] = math.exp(theta[k + c + i])
        half = 0.5 * lam[i]
        at_low, at_mid, at_high = math.tanh(half * low), math.tanh(half * mid), math.tanh(half * high)
        rise = at_high - at_low
        on_high = 0.0 if math.isinf(high) else half * high * (1.0 - at_high * at_high)
        # d log rise / d log lam
        bend[i] = (on_high - half * low * (1.0 - at_low * at_low)) / rise
        beta[i] = math.exp(theta[k + 2 * c + i]) / rise
        middle[i] = beta[i] * at_mid
        d_middle[i] = beta[i] * half * mid * (1.0 - at_mid * at_mid)
        intercept -= middle[i]
        total, moment, power = 0.0, 0.0, 1.0
        for lag in range(lags):
            weight[i, lag] = power
            total += power
            moment += lag * power
            power *= alpha[i]
        for lag in range(lags):
            w = weight[i, lag]
            slope[i, lag] = (1.0 - alpha[i]) * (lag * w / total - w * moment / (total * total))
            weight[i, lag] = w / total
    squares = 0.0
    steep, d_carried, d_lam, media = np.empty(c), np.empty(c), np.empty(c), np.empty(c)
    for t in range(n):
        mu = intercept
        for j in range(1, k):
            mu += linear[t, j] * theta[j]
        for i in range(c):
            x, dx = 0.0, 0.0
            for lag in range(lags):
                x += lagged[t, i, lag] * weight[i, lag]
                dx += lagged[t, i, lag] * slope[i, lag]
            curve = math.tanh(0.5 * lam[i] * x)
            steep[i] = beta[i] * (1.0 - curve * curve) * 0.5 * lam[i]
            d_carried[i] = steep[i] * dx
            media[i] = beta[i] * curve
            d_lam[i] = steep[i] * x
            mu += media[i]
        r = y[t] - mu
        squares += r * r
        for j in range(k):
            grad[j] += r * linear[t, j]
        for i in range(c):
            above = media[i] - middle[i]
            grad[k + i] += r * d_carried[i]
            grad[k + c + i] += r * (d_lam[i] - d_middle[i] - above * bend[i])
            grad[k + 2 * c + i] += r * above
    scale = 1.0 / (sigma * sigma)
    for j in range(k + 3 * c):
        grad[j] *= scale
    value = -0.5 * squares * scale - n * theta[k + 3 * c]
    grad[k + 3 * c] = squares * scale - n
    # Priors of pymc-marketing: Normal(0, 2) for intercept and controls, Laplace(0, 1) for the last four coefficients,
    # Beta(1, 3), Gamma(3, 1), HalfNormal(2), each with the Jacobian of its transform.
    value -= intercept * intercept / 8.0
    grad[0] -= intercept / 4.0
    for j in range(1, k):
        if j < k - 4:
            value -= theta[j] * theta[j] / 8.0
            grad[j] -= theta[j] / 4.0
        else:
            value -= abs(theta[j])
            grad[j] -= 1.0 if theta[j] > 0 else -1.0
    for i in range(c):
        value += math.log(alpha[i]) + 3.0 * math.log1p(-alpha[i])
        grad[k + i] += 1.0 - 4.0 * alpha[i]
        value += 3.0 * theta[k + c + i] - lam[i]
        value += math.log(beta[i]) - beta[i] * beta[i] / 8.0
        on_beta = 1.0 - beta[i] * beta[i] / 4.0
        grad[k + c + i] += 3.0 - lam[i] - bend[i] * on_beta + intercept / 4.0 * (d_middle[i] - middle[i] * bend[i])
        grad[k + 2 * c + i] += on_beta + intercept / 4.0 * middle[i]
    value += theta[k + 3 * c] - sigma * sigma / 8.0
    grad[k + 3 * c] += 1.0 - sigma * sigma / 4.0
    return value


@numba.njit(cache=True, error_model="numpy")
def _run(
    random: np.random.Generator,
    draws: int,
    centre: Floats,
    factor: Floats,
    linear: Floats,
    lagged: Floats,
    y: Floats,
    usual: Floats,
) -> tuple[Floats, float, int]:  # pragma: no cover - compiled
    """One chain of Hamiltonian Monte Carlo; step size by dual averaging (Hoffman and Gelman 2014, section 3.2)."""
    size = len(centre)
    low, high = _STEPS
    out = np.empty((draws, size))
    grad_theta = np.empty(size)
    q = 0.5 * random.standard_normal(size)
    value = _density(centre + factor @ q, linear, lagged, y, usual, grad_theta)
    grad = factor.T @ grad_theta
    step, log_bar, h_bar, mu = 0.3, 0.0, 0.0, math.log(3.0)
    total, lost = 0.0, 0
    for i in range(_WARMUP + draws):
        p = random.standard_normal(size)
        start = value - 0.5 * np.dot(p, p)
        q_new, g_new, v_new = q.copy(), grad.copy(), value
        for _ in range(low + int(random.random() * (high - low + 1))):
            p = p + 0.5 * step * g_new
            q_new = q_new + step * p
            v_new = _density(centre + factor @ q_new, linear, lagged, y, usual, grad_theta)
            g_new = factor.T @ grad_theta
            p = p + 0.5 * step * g_new
            if not math.isfinite(v_new):
                break
        change = v_new - 0.5 * np.dot(p, p) - start
        if not math.isfinite(change):
            change = -np.inf
        accept = min(1.0, math.exp(min(change, 0.0)))
        if random.random() < accept:
            q, grad, value = q_new, g_new, v_new
        if i < _WARMUP:
            m = i + 1.0
            h_bar += (_TARGET_ACCEPT - accept - h_bar) / (m + 10.0)
            log_step = mu - math.sqrt(m) / 0.05 * h_bar
            weight = m**-0.75
            log_bar = weight * log_step + (1.0 - weight) * log_bar
            step = min(math.exp(log_step if i < _WARMUP - 1 else log_bar), 0.6)
        else:
            out[i - _WARMUP] = centre + factor @ q
            total += accept
            lost += change < -1000.0
    return out, total / draws, lost


@numba.njit(cache=True, error_model="numpy")
def _media(theta: Floats, k: int, lagged: Floats) -> Floats:  # pragma: no cover - compiled
    n, c, lags = lagged.shape
    out = np.empty((len(theta), n, c))
    weight = np.empty(lags)
    for d in range(len(theta)):
        for i in range(c):
            alpha = 1.0 / (1.0 + math.exp(-theta[d, k + i]))
            lam, beta = math.exp(theta[d, k + c + i]), math.exp(theta[d, k + 2 * c + i])
            total, power = 0.0, 1.0
            for lag in range(lags):
                weight[lag] = power
                total += power
                power *= alpha
            for t in range(n):
                x = 0.0
                for lag in range(lags):
                    x += lagged[t, i, lag] * weight[lag]
                out[d, t, i] = beta * math.tanh(0.5 * lam * x / total)
    return out
