"""Has the world changed?  Sequential evidence against "nothing has", for every week at which it could have begun.

For each hypothesis (the level moved, a channel's effect was multiplied, one geo moved, the noise changed) and each
week tau since the last reset, the evidence is a likelihood ratio: of the weeks from tau on, under the model with that
change, over the same under the model as it is.  Parameters are integrated out under the *current* posterior,

    LR(tau) = p(y | change from tau) / p(y | no change) = E[ prod_{s >= tau} p1(y_s | theta) / p0(y_s | theta) ],

so a posterior that has begun to learn the change away does not hide it, and an update or a refit in between resets
nothing.  For Normal noise and a known pattern g of the change (in noise sd) the product is
exp(a S - a^2 G / 2) with S = sum g r, G = sum g^2, r the residuals in noise sd; S is taken as normal over the
posterior, mean m and variance v, which gives

    log LR(tau, a) = a m - a^2 (G - v) / 2.

The sum over tau is a Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo 2022): under the model's own predictive
distribution its mean after t weeks is t, so that the mean time between false alarms over a threshold A is at least A
weeks.  Averages of e-detectors are e-detectors, whatever their dependence: that is how hypotheses share one budget.
No decision lives here; a rule of params holds the threshold, and docs/validity.md says what was measured at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from evermix.core.prequential import MAX_SD
from evermix.records import Record

Floats = NDArray[np.float64]

# The size of a change of level that is looked for, in noise sd. Tried on simulated years: of 0.8 to 1.3 it sees a
# change of 1.0 best; larger ones are seen as fast by the CUSUM, and looking for them here costs power.
LEVEL_SIZES = (-0.9, 0.9)
# An effect is multiplied by 1 + size.
EFFECT_SIZES = (-0.5, -0.3, 0.3)
# The noise sd is multiplied by one of these.
NOISE_FACTORS = (0.65, 1.5, 2.0)
# How the budget of false alarms is shared: an effect that changes moves the level too, so most goes to the level.
# A family that a model does not have gives its share to the level.
SHARES = {"level": 0.65, "geo": 0.2, "channel": 0.1, "noise": 0.05}
# Evidence beyond this is as good as certain; the cap keeps it a number that people can read.
_MOST = 1e12


@dataclass(frozen=True)
class Pattern:
    """One way in which the mean may have moved.

    Attributes
    ----------
    family : str
        ``level``, ``channel`` or ``geo``.
    name : str
        Which channel or geo; ``level`` for the level.
    shift : ndarray, shape (row,)
        The move of each row's mean, in noise sd, for a size of 1.
    """

    family: str
    name: str
    shift: Floats


@dataclass(frozen=True)
class Moments:
    """What the posterior says of one pattern, for each week at which the change could have begun.

    Attributes
    ----------
    score : ndarray, shape (week,)
        Posterior mean of the sum of shift times residual over the weeks from then on.
    information : ndarray, shape (week,)
        Sum of squared shifts, less the posterior variance of that sum: what is known of the size
        once the parameters have been estimated from the same weeks; never negative.
    """

    score: Floats
    information: Floats


class Suspect(Record):
    """A hypothesis with its share of the evidence; shares of all hypotheses add up to 1."""

    name: str
    family: str
    probability: float
    size: float


class ChangePoint(Record):
    """The week at which the change most likely began, and the weeks between which it did with probability 0.8."""

    week: str
    low: str
    high: str


class AlarmReport(Record):
    """The evidence of all hypotheses after the last week.

    ``e_detector`` is the weighted average over families, each of which is in ``families``.  Over a threshold of A the
    mean time between false alarms is at least A weeks while the model holds.
    """

    weeks: int
    e_detector: float
    families: dict[str, float]
    change_point: ChangePoint | None
    suspects: list[Suspect]


def level_patterns(geos: Sequence[str]) -> list[Pattern]:
    """Return the pattern of a level that moved everywhere and, with more than one geo, of one that moved in each.

    Parameters
    ----------
    geos : sequence of str, length row
        The geo of each row.
    """
    names = sorted(set(geos))
    everywhere = [Pattern("level", "level", np.ones(len(geos)))]
    if len(names) < 2:
        return everywhere
    place = np.array(geos)
    return everywhere + [Pattern("geo", name, (place == name).astype(float)) for name in names]


def channel_patterns(contributions: Floats, noise_sd: Floats, channels: Sequence[str]) -> list[Pattern]:
    """Return the pattern of each channel's effect being multiplied by 1 + size.

    Parameters
    ----------
    contributions : ndarray, shape (row, channel)
        Posterior mean of what each channel adds, target units.
    noise_sd : ndarray, shape (row,)
        Posterior mean of the noise scale, target units.
    """
    shifts = contributions / noise_sd[:, None]
    return [Pattern("channel", name, shifts[:, i]) for i, name in enumerate(channels) if np.any(shifts[:, i] != 0.0)]


def residual_moments(residuals: Floats, unseen: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return mean (row,) and covariance (row, row) of residuals in noise sd, given all rows.

    The draws of a fit know nothing of the rows that came after it.  Taken as normal, they are conditioned on them: with
    m and V over the draws, N the unseen rows and K = V[:, N] (V[N, N] + I)^-1, the mean is m - K m[N], the covariance
    V - K V[N, :] (the update of a Gaussian state; Kalman 1960).  Weights by importance would say the same as long as
    they hold, but give out just when something has changed.

    Parameters
    ----------
    residuals : ndarray, shape (draw, row)
        Observed less mean, in noise sd, by draws of the fit that count alike.
    unseen : ndarray of bool, shape (row,)
        Which rows the fit did not see.
    """
    mean = residuals.mean(axis=0)
    centred = residuals - mean
    covariance = centred.T @ centred / len(residuals)
    if not unseen.any():
        return mean, covariance
    among = covariance[np.ix_(unseen, unseen)] + np.eye(int(unseen.sum()))
    gain = np.linalg.solve(among, covariance[unseen]).T
    return mean - gain @ mean[unseen], covariance - gain @ covariance[unseen]


def pattern_moments(mean: Floats, covariance: Floats, shift: Floats, arrival: NDArray[np.int64]) -> Moments:
    """Return the moments of a pattern for every week from which it could hold.

    Parameters
    ----------
    mean : ndarray, shape (row,)
        Posterior mean of the residuals, in noise sd.
    covariance : ndarray, shape (row, row)
        Posterior covariance of the residuals, in squared noise sd: parameter uncertainty alone.
    shift : ndarray, shape (row,)
    arrival : ndarray of int, shape (row,)
        Which arrival each row belongs to, 0 to week - 1, in any order.
    """
    score = _since(_by_arrival(np.clip(mean, -MAX_SD, MAX_SD) * shift, arrival))
    spread = _by_arrival(_by_arrival(shift[:, None] * covariance * shift, arrival).T, arrival)
    variance = np.diagonal(_since(_since(spread).T))
    given = _since(_by_arrival(shift**2, arrival))
    return Moments(score, np.maximum(given - variance, 0.0))


def weigh_evidence(
    weeks: Sequence[str], patterns: Sequence[Pattern], moments: Sequence[Moments], z: Floats
) -> AlarmReport:
    """Return the e-detectors of all hypotheses after the last arrival, and where their evidence points.

    Parameters
    ----------
    weeks : sequence of str
        ISO Monday of each arrival, in order of arrival.
    patterns : sequence of Pattern
        Hypotheses about the mean.
    moments : sequence of Moments
        One per pattern, each of shape (week,).
    z : ndarray, shape (week,)
        Normal quantile of each arrival's PIT, as scored when it came; the noise is judged by it.

    Notes
    -----
    The suspects are ranked by their share of the evidence.  On simulated data the first one was the right channel
    in half of the alarms only, so a review proposes an experiment and never blames one.
    """
    if not len(weeks):
        return AlarmReport(weeks=0, e_detector=0.0, families={}, change_point=None, suspects=[])
    logs: list[Floats] = []
    names: list[tuple[str, str, float]] = []
    shares = _shares(patterns)
    for pattern, found in zip(patterns, moments, strict=True):
        sizes = EFFECT_SIZES if pattern.family == "channel" else LEVEL_SIZES
        rivals = sum(other.family == pattern.family for other in patterns) * len(sizes)
        for size in sizes:
            logs.append(size * found.score - 0.5 * size**2 * found.information - np.log(rivals))
            names.append((pattern.family, pattern.name, size))
    for factor in NOISE_FACTORS:
        logs.append(_noise_ratio(z, factor) - np.log(len(NOISE_FACTORS)))
        names.append(("noise", "noise", factor))
    table = np.array(logs)
    families = {family: float(special.logsumexp(table[[name[0] == family for name in names]])) for family in shares}
    # Each family counts alike when the question is where, whatever its share of the budget.
    total = special.logsumexp(table)
    return AlarmReport(
        weeks=len(weeks),
        e_detector=_told(special.logsumexp(list(families.values()), b=[shares[family] for family in families])),
        families={family: _told(value) for family, value in families.items()},
        change_point=_change_point(weeks, np.exp(special.logsumexp(table, axis=0) - total)),
        suspects=_suspects(names, np.exp(special.logsumexp(table, axis=1) - total)),
    )


def _noise_ratio(z: Floats, factor: float) -> Floats:
    """Return the log likelihood ratio of noise times ``factor`` from each week on, shape (week,)."""
    capped = np.clip(z, -MAX_SD, MAX_SD)
    return _since(-np.log(factor) + 0.5 * capped**2 * (1.0 - factor**-2))


def _by_arrival(values: Floats, arrival: NDArray[np.int64]) -> Floats:
    """Return sums over the rows of each arrival, (..., row) to (..., week)."""
    members = np.zeros((len(arrival), int(arrival.max()) + 1))
    members[np.arange(len(arrival)), arrival] = 1.0
    return np.asarray(values @ members)


def _since(values: Floats) -> Floats:
    """Return for each week the sum from it to the end, over the last axis."""
    return np.asarray(np.cumsum(values[..., ::-1], axis=-1)[..., ::-1])


def _shares(patterns: Sequence[Pattern]) -> dict[str, float]:
    there = {pattern.family for pattern in patterns}
    shares = {family: share for family, share in SHARES.items() if family in there or family == "noise"}
    shares["level"] += 1.0 - sum(shares.values())
    return shares


def _told(log_value: float) -> float:
    return float(np.exp(min(log_value, np.log(_MOST))))


def _change_point(weeks: Sequence[str], chances: Floats) -> ChangePoint:
    total = np.cumsum(chances)
    low, high = (int(np.searchsorted(total, level)) for level in (0.1, 0.9))
    last = len(weeks) - 1
    return ChangePoint(week=weeks[int(np.argmax(chances))], low=weeks[min(low, last)], high=weeks[min(high, last)])


def _suspects(names: Sequence[tuple[str, str, float]], chances: Floats) -> list[Suspect]:
    """Return one suspect per hypothesis, likeliest first, with the size that most of its evidence is for."""
    found: Mapping[tuple[str, str], list[int]] = {
        key: [i for i, name in enumerate(names) if name[:2] == key] for key in dict.fromkeys(n[:2] for n in names)
    }
    suspects = [
        Suspect(
            name=name,
            family=family,
            probability=float(chances[members].sum()),
            size=names[members[int(np.argmax(chances[members]))]][2],
        )
        for (family, name), members in found.items()
    ]
    return sorted(suspects, key=lambda suspect: (-suspect.probability, suspect.family, suspect.name))
