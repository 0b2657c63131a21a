"""What a posterior must tell the study each week; the surrogate and MCMC both do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evermix.config import ModelParams
from evermix.core.panel import ALL_GEOS
from evermix.core.prequential import PIT_CLIP
from evermix.engines.models.design import make_design, pin_basis, target_scale
from evermix.validity.replicate import HISTORY, WEEKS, Replicate
from evermix.validity.surrogate import Gaussian, Mean, fit_mode, make_mean

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeekSeen:
    """One week after the base, as the posterior that was live before it came, and the one after it, see it.

    Attributes
    ----------
    week : int
        Weeks after the base, 0 for the first.
    z : float
        Normal score of the target under the posterior of the week before.
    residual : ndarray, shape (week + 1,)
        Observed minus posterior mean, of all weeks since the base, given all of them; target units.
    covariance : ndarray, shape (week + 1, week + 1)
        Posterior covariance of the mean of these weeks, target units squared; the noise is not in it.
    noise_sd : float
        Posterior noise sd, target units.
    contributions : ndarray, shape (week + 1, channel)
        Posterior mean contribution of each channel, target units.
    """

    week: int
    z: float
    residual: Floats
    covariance: Floats
    noise_sd: float
    contributions: Floats


@dataclass(frozen=True)
class Brand:
    """A replicate in the units of its base: what both posteriors start from.

    Attributes
    ----------
    scale : float
        Pinned maximum of the target, target units.
    """

    replicate: Replicate
    params: ModelParams
    basis: dict[str, Any]
    scale: float

    def arrays(self, weeks: int) -> tuple[Mean, Floats]:
        """Return the mean and the scaled target of all weeks, as known so many weeks after the base."""
        spec, columns = self.params.spec, self.params.columns.model_dump()
        design = make_design(self.replicate.whole_panel(self.params, weeks), columns, self.basis, spec)
        mean = make_mean(design, spec["yearly_seasonality"], spec["adstock"]["kwargs"]["l_max"], HISTORY)
        return mean, design.target[:, 0] / self.scale


def make_brand(replicate: Replicate, params: ModelParams) -> Brand:
    """Return a replicate on the basis that its first fit pins."""
    basis = pin_basis(replicate.panel(params, 0), params.columns.model_dump(), None)
    return Brand(replicate, params, basis, float(target_scale(basis, (ALL_GEOS,), "max")[0]))


def follow(brand: Brand) -> Iterator[WeekSeen]:
    """Yield the 52 weeks of a replicate as the surrogate sees them, the posterior taken anew each week."""
    mean, target = brand.arrays(0)
    scale, replicate = brand.scale, brand.replicate
    live = fit_mode(mean, target, HISTORY, None)
    for week in range(WEEKS):
        if replicate.is_restated(week + 1) and not replicate.is_restated(week):
            mean, target = brand.arrays(week + 1)
        z = _normal_score(live, mean, target, HISTORY + week)
        live = fit_mode(mean, target, HISTORY + week + 1, live)
        since_base = slice(HISTORY, HISTORY + week + 1)
        mu, jacobian, media = mean.at(live.theta, since_base)
        yield WeekSeen(
            week=week,
            z=z,
            residual=(target[since_base] - mu) * scale,
            covariance=jacobian @ live.covariance @ jacobian.T * scale**2,
            noise_sd=live.sigma * scale,
            contributions=media * scale,
        )


def _normal_score(live: Gaussian, mean: Mean, target: Floats, row: int) -> float:
    mu, jacobian, _ = mean.at(live.theta, slice(row, row + 1))
    sd = np.sqrt(live.sigma**2 + float(jacobian[0] @ live.covariance @ jacobian[0]))
    pit = special.stdtr(live.freedom, (target[row] - mu[0]) / sd)
    return float(special.ndtri(np.clip(pit, PIT_CLIP, 1.0 - PIT_CLIP)))
