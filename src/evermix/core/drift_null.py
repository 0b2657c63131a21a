"""Quiet years that could follow a reference: the null hypothesis of ``core/drift.py`` in numbers.

Each series is a yearly season, with an AR(1) about it whose innovations may have heavy tails.  Season, memory,
scale, tails and correlations are known from the reference with an error; every simulated year draws its own from
their posterior and goes on from where the reference ended, so that what is not known widens the limits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, ndtr

from evermix.core.drift_scan import (
    CORRELATION_WINDOW,
    WINDOWS,
    Innovations,
    activity_scan,
    follow,
    pair_correlations,
    scan,
    season_variance,
)
from evermix.core.drift_series import Bools, Floats, Ints, Series

LOOKS = 52  # weekly looks in the year that the false-alarm rate speaks of
PHI = np.linspace(0.0, 0.98, 50)
TAILS = np.array([4.0, 5.0, 6.0, 8.0, 12.0, 20.0, 1000.0])  # degrees of freedom of an innovation
# A surprise beyond this many sd says no more than this many: with few degrees of freedom it is an outlier.
CLIP_AT = np.array([2.2, 2.5, 2.8, 3.2, 4.0, 6.0, 1000.0])
OWN_QUANTILE = 0.95  # each window's own quiet maximum, which makes windows and series comparable


class Memory(NamedTuple):
    """What a reference says of each series; grid points of ``PHI`` with their posterior weight.

    Attributes
    ----------
    at : ndarray (series,) of int
        The grid point nearest the posterior mean of phi; what follows from it is the estimate.
    weight, variance : ndarray (series, grid)
        Posterior of phi; innovation variance given phi.
    slopes, covariance : ndarray (series, grid, term), (series, grid, term, term)
        Season given phi; its covariance in innovation variances.
    last, lag : ndarray (series,)
        Value of the last active week of the reference; weeks from it to the first week after.
    weeks : ndarray (series,)
        Active weeks of the reference.
    """

    at: Ints
    weight: Floats
    variance: Floats
    slopes: Floats
    covariance: Floats
    last: Floats
    lag: Ints
    weeks: Ints

    @property
    def phi(self) -> Floats:
        """Return the estimated lag-1 autocorrelation of each series."""
        return np.asarray(PHI[self.at])

    def estimate(self, of: Floats) -> Floats:
        """Return one of the arrays at the estimated phi."""
        return np.asarray(of[np.arange(len(self.at)), self.at])


def learn_memory(series: Series, design: Floats) -> Memory:
    """Return season and memory of each series, from the reference alone.

    Restricted likelihood on a grid of phi with a flat prior (Harville 1974), which is free of the bias that fitting
    five season terms brings to an autocorrelation; a gap of ``k`` weeks is one innovation with memory ``phi ** k``.
    """
    n = series.n_reference
    parts: dict[bytes, list[int]] = {}
    for row, on in enumerate(series.on[:, :n]):
        parts.setdefault(on.tobytes(), []).append(row)
    order = np.argsort([row for rows in parts.values() for row in rows])
    learnt = [_learn_alike(series.values[rows, :n], series.on[rows[0], :n], design[:n]) for rows in parts.values()]
    weight, *rest = (np.concatenate(values)[order] for values in zip(*learnt, strict=True))
    return Memory(np.abs(PHI - (weight @ PHI)[:, None]).argmin(axis=1), weight, *rest)


def _learn_alike(x: Floats, on: Bools, design: Floats) -> tuple[Any, ...]:
    """Return the fields of ``Memory`` from ``weight`` on, for series that are on in the same weeks."""
    week, terms, rows = np.flatnonzero(on), design.shape[1], len(x)
    both = np.column_stack([design[week], x[:, week].T])
    memory = PHI[:, None] ** np.diff(week)
    spread = np.sqrt((1 - memory**2) / (1 - PHI[:, None] ** 2))
    first = both[None, :1] * np.sqrt(1 - PHI**2)[:, None, None]
    later = (both[None, 1:] - memory[..., None] * both[None, :-1]) / spread[..., None]
    white = np.concatenate([first, later], axis=1)
    gram = np.swapaxes(white[..., :terms], 1, 2) @ white
    # The tiny ridge keeps a column that was only on in some seasons solvable.
    inverse = np.linalg.inv(gram[..., :terms] + 1e-6 * np.eye(terms))
    slopes = inverse @ gram[..., terms:]
    free = week.size - terms
    explained = (slopes * gram[..., terms:]).sum(axis=1)
    residual = np.maximum((white[..., terms:] ** 2).sum(axis=1) - explained, 1e-300).T
    log_weight = 0.5 * (np.log1p(-(PHI**2)) + np.linalg.slogdet(inverse)[1] - free * np.log(residual))
    log_weight -= np.log(spread).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    return (
        weight / weight.sum(axis=1, keepdims=True),
        residual / free,
        slopes.transpose(2, 0, 1),
        np.broadcast_to(inverse, (rows, *inverse.shape)),
        x[:, week[-1]],
        np.full(rows, on.size - week[-1]),
        np.full(rows, week.size),
    )


class Null(NamedTuple):
    """What a quiet year can do; ``limits`` is all that a week is held against."""

    limits: Floats  # (tested, window): scans of the series, then activities, then correlation in its last column
    clip: Floats  # (series,) in innovation sd
    centre: Floats  # (pair,) and spread: Fisher's z of quiet half years, in standard errors
    spread: Floats


def surprises(series: Series, memory: Memory, design: Floats, weeks: slice) -> Innovations:
    """Return the innovations of some weeks as the reference's estimates see them; no week before them is used."""
    apart = distances(series, memory, design) / np.sqrt(memory.estimate(memory.variance))[:, None]
    rows = np.arange(len(apart))
    if weeks.start:
        last, lag = apart[rows, series.n_reference - memory.lag], memory.lag
    else:
        last, lag = np.zeros(len(apart)), np.ones(len(apart), int)
    return follow(apart[:, weeks], series.on[:, weeks], memory.phi, last, lag)


def distances(series: Series, memory: Memory, design: Floats) -> Floats:
    """Return (series, week): how far each week lies from its season, on the series' own scale."""
    weeks = min(len(design), series.values.shape[1])
    return np.asarray(series.values[:, :weeks] - memory.estimate(memory.slopes) @ design[:weeks].T)


def judge(found: Innovations, series: Series, memory: Memory, design: Floats, clip: Floats) -> Floats:
    """Return (series, window, week): the scan of innovations after the reference, outliers cut."""
    after = slice(series.n_reference, series.n_reference + found.surprise.shape[-1])
    return scan(_cut(found, clip), season_variance(memory.estimate(memory.covariance), design[after]))


def _cut(found: Innovations, clip: Floats) -> Innovations:
    return found._replace(surprise=np.clip(found.surprise, -clip[:, None], clip[:, None]))


def quiet_limits(
    series: Series, memory: Memory, design: Floats, years: int, rate: float, rng: np.random.Generator
) -> Null:
    """Return the limits that a quiet year passes anywhere with chance ``rate``: any series, any window, any look.

    Parameters
    ----------
    design : ndarray (n_reference + LOOKS, term)
        Season terms of the reference and of the year after it.
    years : int
        How many are simulated.
    """
    n = series.n_reference
    past = surprises(series, memory, design, slice(0, n))
    tails = tail_weights(past)
    clip = np.exp(tails @ np.log(CLIP_AT))
    values, last = _simulate_values(series, memory, design, _draw_luck(past, tails, years, design.shape[1], rng))
    variance = season_variance(memory.estimate(memory.covariance), design[n:])
    switches = _simulate_switches(series, years, rng)
    surprise = np.empty_like(values)
    top = np.zeros((years, len(series.names) + len(series.switched) + 1, len(WINDOWS)))
    for rows, on in _by_steadiness(series, switches):
        found = follow(values[:, rows], on, memory.phi[rows], last[rows], memory.lag[rows])
        surprise[:, rows] = found.surprise
        top[:, rows] = np.abs(scan(_cut(found, clip[rows]), variance[rows])).max(axis=-1)
    for place, column in enumerate(series.switched):
        row = series.names.index((column, "level"))
        top[:, len(series.names) + place] = activity_scan(switches[row], series.on[row, :n]).max(axis=-1)
    fisher = pair_correlations(surprise[:, _levels(series)])
    centre, spread = fisher.mean(axis=(0, 2)), np.maximum(fisher.std(axis=(0, 2)), 1e-12)
    if centre.size:
        top[:, -1, -1] = (np.abs(fisher - centre[:, None]) / spread[:, None]).max(axis=(1, 2))
    # A window that no quiet year passes in any way is not asked: it holds no limit.
    own = np.quantile(top, OWN_QUANTILE, axis=0)
    own = np.where(own > 0.0, own, np.inf)
    worst = np.quantile((top / own).max(axis=(1, 2)), 1 - rate, method="higher")
    return Null(own * worst, clip, centre, spread)


def _by_steadiness(series: Series, switches: dict[int, Bools]) -> list[tuple[Ints, Bools]]:
    """Return rows that are always on, and those that are not, with their on weeks after the reference."""
    switched = np.array(sorted(switches), int)
    steady = np.setdiff1d(np.arange(len(series.names)), switched)
    always = np.ones((steady.size, LOOKS), bool)
    parts = [(steady, always)] if steady.size else []
    return parts + ([(switched, np.stack([switches[row] for row in switched], axis=1))] if switched.size else [])


def correlation_shift(found: Innovations, series: Series, null: Null) -> tuple[Floats, Ints]:
    """Return (pair,) each: how far the last half year's correlations are from quiet ones, in sd, and (pair, 2) rows."""
    rows = _levels(series)
    pairs = np.column_stack(np.triu_indices(len(rows), k=1))
    if found.surprise.shape[-1] < CORRELATION_WINDOW or not len(pairs):
        return np.zeros(len(pairs)), rows[pairs]
    fisher = pair_correlations(found.surprise[rows])[:, -1]
    return np.abs(fisher - null.centre) / null.spread, rows[pairs]


def _levels(series: Series) -> Ints:
    return np.array([i for i, (_, aspect) in enumerate(series.names) if aspect == "level"], int)


def tail_weights(past: Innovations) -> Floats:
    """Return (series, tail): the posterior of each series' degrees of freedom over ``TAILS``.

    The prior is learnt from all series together and one more of which nothing is known (empirical Bayes), since 130
    weeks of one series say little of its tails.
    """
    active = past.begins > 0
    count = active.sum(axis=1)
    sd = np.sqrt((past.surprise**2).sum(axis=1) / count)
    scale = np.sqrt((TAILS - 2) / TAILS)
    z = past.surprise[None] / sd[:, None] / scale[:, None, None]
    one = gammaln((TAILS + 1) / 2) - gammaln(TAILS / 2) - 0.5 * np.log(np.pi * TAILS) - np.log(scale)
    body = -0.5 * (TAILS + 1)[:, None, None] * np.log1p(z**2 / TAILS[:, None, None])
    log_like = (one[:, None] * count + np.where(active, body, 0.0).sum(axis=2)).T
    like = np.exp(log_like - log_like.max(axis=1, keepdims=True))
    prior = np.full(TAILS.size, 1 / TAILS.size)
    for _ in range(20):
        weight = like * prior
        weight /= weight.sum(axis=1, keepdims=True)
        prior = (weight.sum(axis=0) + 1 / TAILS.size) / (len(weight) + 1)
    return np.asarray(weight)


class _Luck(NamedTuple):
    """Standard normal numbers of each simulated year and series, correlated as the series' innovations are."""

    memory: Floats  # (year, series)
    scale: Floats  # (year, series)
    season: Floats  # (year, series, term)
    shocks: Floats  # (year, series, week), of sd 1, with tails


def _draw_luck(past: Innovations, tails: Floats, years: int, terms: int, rng: np.random.Generator) -> _Luck:
    """Return what chance does to each year.

    Series that move together are also misjudged together, so the errors of season, memory and scale share the
    correlations of the innovations.
    """
    rows, n = past.surprise.shape
    size = np.sqrt((past.surprise**2).sum(axis=1))
    root = np.linalg.cholesky((past.surprise @ past.surprise.T) / np.outer(size, size) + 1e-6 * np.eye(rows))
    # Bartlett's decomposition of a Wishart matrix: correlations as uncertain as n weeks leave them.
    wishart = np.tril(rng.standard_normal((years, rows, rows)), k=-1)
    wishart[:, np.arange(rows), np.arange(rows)] = np.sqrt(rng.chisquare(n - np.arange(rows), (years, rows)))
    mixing = root @ wishart
    mixing /= np.sqrt((mixing**2).sum(axis=2, keepdims=True))
    normal = mixing.astype(np.float32) @ rng.standard_normal((years, rows, 2 + terms + LOOKS), dtype=np.float32)
    drawn = (np.cumsum(tails, axis=1) < rng.random((years, rows, 1))).sum(axis=2).clip(max=TAILS.size - 1)
    half = (TAILS[drawn][..., None] / 2).astype(np.float32)
    shocks = normal[..., 2 + terms :]
    shocks /= np.sqrt(rng.standard_gamma(half, shocks.shape, dtype=np.float32) / (half - 1))
    return _Luck(normal[..., 0], normal[..., 1], normal[..., 2 : 2 + terms], shocks)


def _simulate_values(series: Series, memory: Memory, design: Floats, luck: _Luck) -> tuple[Floats, Floats]:
    """Return (year, series, week) of distances from the estimated season, and the last one before: (series,).

    In estimated innovation sd; each year has a memory, a scale and a season of its own.
    """
    n, row = series.n_reference, np.arange(len(series.names))
    below = np.cumsum(memory.weight, axis=1) < ndtr(luck.memory)[..., None]
    grid = below.sum(axis=2).clip(max=PHI.size - 1)
    estimated_sd = np.sqrt(memory.estimate(memory.variance))
    # The log of a variance estimate with f degrees of freedom has variance 2 / f.
    drawn_sd = np.sqrt(memory.variance[row, grid]) * np.exp(luck.scale / np.sqrt(2 * (memory.weeks - design.shape[1])))
    scale = drawn_sd / estimated_sd
    root = np.linalg.cholesky(memory.covariance)[row, grid]
    slopes = memory.estimate(memory.slopes)
    away = (root @ luck.season[..., None])[..., 0] * scale[..., None]
    away += (memory.slopes[row, grid] - slopes) / estimated_sd[:, None]
    last_design = design[n - memory.lag]
    last = (memory.last - (slopes * last_design).sum(axis=1)) / estimated_sd
    level, gone, phi = last - (away * last_design).sum(axis=2), memory.lag, PHI[grid]
    values = (away @ design[n:].T).astype(np.float32)
    for t in range(LOOKS):
        kept = phi**gone
        level = kept * level + scale * np.sqrt((1 - kept**2) / (1 - phi**2)) * luck.shocks[..., t]
        values[..., t] += level
        gone = np.ones(row.size, int)
    return values, last


def _simulate_switches(series: Series, years: int, rng: np.random.Generator) -> dict[int, Bools]:
    """Return (year, week) on and off for each row that was ever off: Markov chains with uncertain chances."""
    out = {}
    for row in np.flatnonzero(~series.on[:, : series.n_reference].all(axis=1)):
        past = series.on[row, : series.n_reference]
        was, now = past[:-1], past[1:]
        stays_on = rng.beta((was & now).sum() + 0.5, (was & ~now).sum() + 0.5, years)
        turns_on = rng.beta((~was & now).sum() + 0.5, (~was & ~now).sum() + 0.5, years)
        luck, state = rng.random((LOOKS, years)), np.full(years, past[-1])
        found = np.empty((years, LOOKS), bool)
        for t in range(LOOKS):
            state = luck[t] < np.where(state, stays_on, turns_on)
            found[:, t] = state
        out[int(row)] = found
    return out
