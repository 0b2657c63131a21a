"""A replicate as the shipped loop lives it with MCMC: a base of draws, weights on them, and refits when rules ask."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evermix.core import alarms
from evermix.core.diagnostics import WINDOW_WEEKS
from evermix.core.draws import pick_draws
from evermix.core.prequential import PIT_CLIP
from evermix.engines.models.psis import smooth_weights
from evermix.validity import chains
from evermix.validity.posterior import Brand, WeekSeen
from evermix.validity.replicate import HISTORY
from evermix.validity.surrogate import Gaussian, fit_mode

Floats = NDArray[np.float64]

CHAINS, DRAWS = 4, 800
"""A base of the study: fewer effective draws than a shipped fit has, for what a year of refits may cost."""
_ROOT_2PI = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True)
class Base:
    """The draws of one fit, and the likelihood of its own rows.

    Attributes
    ----------
    weeks : int
        Weeks after the first base that were in its data.
    theta : ndarray, shape (draw, parameter)
        As `evermix.validity.chains` has them.
    trained : ndarray, shape (draw, row)
        Log likelihood of the rows it was fitted on, as they were then.
    ess : float
        Least bulk ESS among the parameters.
    """

    weeks: int
    theta: Floats
    trained: Floats
    ess: float


@dataclass(frozen=True)
class Weighted:
    """A base with its weights after a week: what is served."""

    base: Base
    weights: Floats
    khat: float

    @property
    def ess(self) -> float:
        """Effective number of draws: of the weights, times what autocorrelation leaves of the base."""
        return float(1.0 / np.sum(self.weights**2)) * min(1.0, self.base.ess / len(self.weights))


class Loop:
    """The posterior of one brand from week to week.

    ``see`` scores a new week with what was live before it, then updates; ``refit`` replaces the base.
    """

    def __init__(self, brand: Brand, seed: int, draws: int = DRAWS) -> None:
        self.brand, self.seed, self.draws = brand, seed, draws
        self._weeks_known, (self.mean, self.target) = 0, brand.arrays(0)
        self.around: Gaussian = fit_mode(self.mean, self.target, HISTORY, None)
        self.live = self._fit(0)
        self._forward()

    def see(self, week: int) -> tuple[WeekSeen, float]:
        """Return the week as seen, and the log score of its target in nats per pinned unit."""
        self._read(week + 1)
        row, scale = HISTORY + week, self.brand.scale
        density = self._log_likelihood(slice(row, row + 1))[:, 0]
        mu, sigma = self._mu[:, week], self._sigma
        pit = float(self.live.weights @ special.ndtr((self.target[row] - mu) / sigma))
        score = float(special.logsumexp(density, b=self.live.weights))
        self.around = fit_mode(self.mean, self.target, row + 1, self.around)
        self.live = self._reweigh(self.live.base, week + 1)
        # As shipped: a thousand draws of the fit, conditioned on the weeks that it did not see.
        some, since_base = self._some, np.arange(week + 1)
        noise = sigma[some]
        residuals = (self.target[HISTORY : row + 1] - self._mu[some, : week + 1]) / noise[:, None]
        middle, covariance = alarms.residual_moments(residuals, since_base >= self.live.base.weeks)
        noise_sd = float(noise.mean()) * scale
        seen = WeekSeen(
            week=week,
            z=float(special.ndtri(np.clip(pit, PIT_CLIP, 1.0 - PIT_CLIP))),
            residual=middle * noise_sd,
            covariance=covariance * noise_sd**2,
            noise_sd=noise_sd,
            contributions=self._mean_media[: week + 1] * scale,
        )
        return seen, score

    def refit(self, weeks: int) -> None:
        """Fit anew on everything known so many weeks after the first base."""
        self.live = self._fit(weeks)
        self._forward()

    def copy(self) -> Loop:
        """Return a loop that goes on from here on its own."""
        return copy.copy(self)

    def full_refit(self, weeks: int, draws: int) -> Base:
        """Return a fit of the same data as the live posterior's, for comparison."""
        return self._fit(weeks, draws, lane=1).base

    def roas(self, base: Base, weights: Floats, weeks: int) -> tuple[Floats, Floats]:
        """Return mean and sd of each channel's mean contribution in the year that ends now; ROAS, but for the spend."""
        last = HISTORY + weeks
        media = chains.means(base.theta, self.mean, slice(last - WINDOW_WEEKS, last))[1].mean(axis=1)
        middle = weights @ media
        return middle, np.sqrt(weights @ (media - middle) ** 2)

    def _fit(self, weeks: int, draws: int | None = None, lane: int = 0) -> Weighted:
        count = HISTORY + weeks
        found = chains.sample(
            self.mean, self.target, count, self.around, CHAINS, draws or self.draws, self._stream(weeks, lane)
        )
        theta = found.flat()
        base = Base(weeks, theta, self._likelihood_of(theta, slice(0, count)), chains.least_ess(found.theta))
        return Weighted(base, np.full(len(theta), 1.0 / len(theta)), 0.0)

    def _stream(self, weeks: int, lane: int) -> int:
        return (self.seed * 64 + weeks) * 2 + lane

    def _reweigh(self, base: Base, weeks: int) -> Weighted:
        count = HISTORY + weeks
        ratio = self._since_base[:, : weeks - base.weeks].sum(axis=1) + self._restated
        if count == HISTORY + base.weeks and not np.any(self._restated):
            return Weighted(base, np.full(len(base.theta), 1.0 / len(base.theta)), 0.0)
        log_weights, khat = smooth_weights(ratio)
        return Weighted(base, np.exp(log_weights), khat)

    def _read(self, weeks: int) -> None:
        replicate = self.brand.replicate
        if replicate.is_restated(weeks) and not replicate.is_restated(self._weeks_known):
            self.mean, self.target = self.brand.arrays(weeks)
            self._forward()
        self._weeks_known = weeks

    def _forward(self) -> None:
        """Evaluate the base draws once on all weeks of the year; rows to come are looked at only when they are due."""
        base = self.live.base
        self._sigma = np.exp(base.theta[:, -1])
        self._mu, media = chains.means(base.theta, self.mean, slice(HISTORY, None))
        self._mean_media = media.mean(axis=0)
        self._some = pick_draws(len(base.theta), self.brand.params.monitor.draws, None)
        trained = HISTORY + base.weeks
        self._since_base = self._log_likelihood(slice(trained, None))
        now = self._likelihood_of(base.theta, slice(0, trained))
        # Exactly zero where nothing was restated: the same numbers through the same code.
        self._restated = (now - base.trained).sum(axis=1)

    def _log_likelihood(self, rows: slice) -> Floats:
        since = slice(rows.start - HISTORY, None if rows.stop is None else rows.stop - HISTORY)
        z = (self.target[rows] - self._mu[:, since]) / self._sigma[:, None]
        return np.asarray(-0.5 * z**2 - np.log(self._sigma * _ROOT_2PI)[:, None])

    def _likelihood_of(self, theta: Floats, rows: slice) -> Floats:
        sigma = np.exp(theta[:, -1])
        z = (self.target[rows] - chains.means(theta, self.mean, rows)[0]) / sigma[:, None]
        return np.asarray(-0.5 * z**2 - np.log(sigma * _ROOT_2PI)[:, None])
