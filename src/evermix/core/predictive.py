"""The predictive distribution of rows of a panel: a mixture over draws of Normal or Student-t noise.

Draws count alike, or by weights: then the mixture is that of a posterior that was updated by reweighting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

# Halvings of the bracket of a quantile: 2**-50 of its width is below rounding.
_HALVINGS = 50
# A bracket of so many sd around all draws holds every level that a double can tell from 0 or 1 (Normal noise).
_REACH_SD = 10.0


@dataclass(frozen=True)
class Predictive:
    """What a model says of each row, draw by draw.

    Attributes
    ----------
    mean : ndarray, shape (draw, row)
        Expected target, in target units.
    sd : ndarray, shape (draw, row)
        Noise scale in target units: the standard deviation, or the scale where ``nu`` is given.
    nu : ndarray, shape (draw,), or None
        Student-t degrees of freedom; None for Normal noise.
    log_weights : ndarray, shape (draw,), or None
        Log of each draw's weight, up to a constant; None: equal weights.
    """

    mean: Floats
    sd: Floats
    nu: Floats | None = None
    log_weights: Floats | None = None

    def rows(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Predictive:
        """Return the same for some rows."""
        return Predictive(self.mean[:, index], self.sd[:, index], self.nu, self.log_weights)

    @property
    def weights(self) -> Floats:
        """Weight of each draw, shape (draw,); they sum up to 1."""
        draws = self.mean.shape[0]
        return np.full(draws, 1.0 / draws) if self.log_weights is None else special.softmax(self.log_weights)

    def expected(self) -> Floats:
        """Return the mean of each row over draws, shape (row,), in target units."""
        return np.asarray(self.mean.mean(axis=0) if self.log_weights is None else self.weights @ self.mean)

    def log_density(self, y: Floats) -> Floats:
        """Return log p(y | draw), shape (draw, row), in nats per target unit."""
        z = (y - self.mean) / self.sd
        if self.nu is None:
            return np.asarray(-0.5 * z**2 - np.log(self.sd) - 0.5 * np.log(2.0 * np.pi))
        nu = self.nu[:, None]
        constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(np.pi * nu)
        return np.asarray(constant - np.log(self.sd) - (nu + 1) / 2 * np.log1p(z**2 / nu))

    def log_score(self, y: Floats) -> Floats:
        """Return the log density of each row under the mixture, shape (row,); higher is better."""
        density = self.log_density(y)
        if self.log_weights is None:
            return np.asarray(special.logsumexp(density, axis=0) - np.log(self.mean.shape[0]))
        return np.asarray(special.logsumexp(density + special.log_softmax(self.log_weights)[:, None], axis=0))

    def pit(self, y: Floats) -> Floats:
        """Return P(Y <= y) of each row, shape (row,): uniform if the model is right.

        The distribution function is averaged over draws rather than counted (Rao-Blackwell), so it is smooth and
        free of sampling noise.
        """
        z = (y - self.mean) / self.sd
        cdf = special.ndtr(z) if self.nu is None else special.stdtr(self.nu[:, None], z)
        return np.asarray(cdf.mean(axis=0) if self.log_weights is None else self.weights @ cdf)

    def residuals(self, y: Floats) -> Floats:
        """Return how far each row lies from each draw's mean, shape (draw, row), in noise sd.

        Student-t noise gives the normal quantile of the same probability: a standard normal under the model too.
        """
        z = (y - self.mean) / self.sd
        return np.asarray(z if self.nu is None else special.ndtri(special.stdtr(self.nu[:, None], z)))

    def crps(self, y: Floats, seed: int) -> Floats:
        """Return the continuous ranked probability score of each row, shape (row,), in target units; lower is better.

        Estimated from one sample per draw: E|X - y| - E|X - X'| / 2 (Gneiting and Raftery 2007, equation 21), with the
        unbiased second term.  Weighted draws count by their weights w: E|X - X'| is the sum of w_i w_j |x_i - x_j| over
        pairs of different draws, divided by 1 - sum(w^2), the share of such pairs.
        """
        sample = self.sample(seed)
        order = np.argsort(sample, axis=0)
        sample = np.take_along_axis(sample, order, axis=0)
        weights = self.weights[order]
        below = np.cumsum(weights, axis=0)
        # Sorted, x_i is the larger one of all pairs with a draw below and the smaller one of all pairs above.
        lead = below - weights - (1.0 - below)
        spread = 2.0 * np.sum(weights * lead * sample, axis=0) / (1.0 - np.sum(weights**2, axis=0))
        return np.asarray(np.sum(weights * np.abs(sample - y), axis=0) - spread / 2.0)

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Return the ends of the central interval of each row, two arrays of shape (row,).

        Parameters
        ----------
        level : float
            Probability inside, in (0, 1).
        """
        return self.quantile((1.0 - level) / 2.0), self.quantile((1.0 + level) / 2.0)

    def quantile(self, probability: float) -> Floats:
        """Return the exact quantile of the mixture, shape (row,), by bisection of its distribution function."""
        reach = _REACH_SD
        if self.nu is not None:
            reach = max(reach, float(np.max(-special.stdtrit(self.nu, min(probability, 1.0 - probability)))))
        width = reach * self.sd
        low, high = (self.mean - width).min(axis=0), (self.mean + width).max(axis=0)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            below = self.pit(middle) < probability
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.asarray((low + high) / 2.0)

    def sample(self, seed: int) -> Floats:
        """Return one new target per draw and row, shape (draw, row); the same for the same seed."""
        random = np.random.default_rng(seed)
        noise = random.standard_normal(self.mean.shape)
        if self.nu is not None:
            nu = np.broadcast_to(self.nu[:, None], self.mean.shape)
            noise = noise / np.sqrt(random.chisquare(nu) / nu)
        return np.asarray(self.mean + self.sd * noise)
