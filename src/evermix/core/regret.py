"""What keeping a plan costs: the best allowed plan against the kept one, in target units per week.

A plan is what each channel spends a week.  An allowed plan keeps the total and moves each channel by at most a share of
what it spends now.  Pure: response curves come in, numbers come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evermix.core.response import Responses

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# The movable budget in this many steps: of one plan, and of a plan per draw.
FINE_STEPS = 1000
COARSE_STEPS = 100
# Of successive draws, for errors that hold although draws are autocorrelated.
_BATCHES = 20


@dataclass(frozen=True)
class Regret:
    """What keeping a plan costs.

    Attributes
    ----------
    per_week, se : float
        Best allowed plan minus kept plan, optimised and evaluated on disjoint halves of the draws, and its Monte-Carlo
        error; target units per week.  For a plan that is the best one it is 0 or a little less, never more on average.
    chance : float
        Posterior probability that the best plan is worth more than the kept one, judged like ``per_week``.
    best : ndarray, shape (channel,)
        Factor on each channel's spend in the best allowed plan, by all draws.
    perfect_information : float
        What knowing the curves exactly would add to the best allowed plan: E[max U] - max E[U], target units per week.
    """

    per_week: float
    se: float
    chance: float
    best: Floats
    perfect_information: float


def regret_of_keeping(responses: Responses, max_change: float, plan: Floats | None = None) -> Regret:
    """Return the regret of keeping a plan under these curves.

    Parameters
    ----------
    responses : Responses
        Of the posterior that is believed now, at least two draws.
    max_change : float
        Largest share of its present spend by which a channel may move.
    plan : ndarray, shape (channel,), or None
        Factors of the plan that is kept; None: the present spend.

    Notes
    -----
    The best plan of a sample of draws looks better on that sample than it is, so each half of the draws judges the
    plan that the other half chose.  Halves are successive draws: stacked chain by chain, they share no chain.
    """
    kept = np.ones(len(responses.channels)) if plan is None else plan
    middle = len(responses.value) // 2
    halves = [responses.draws(slice(None, middle)), responses.draws(slice(middle, None))]
    gains = [
        plan_value(judge, best_plan(chooser, max_change)) - plan_value(judge, kept)
        for judge, chooser in zip(halves, reversed(halves), strict=True)
    ]
    gain = np.concatenate(gains)
    mean, se = mean_and_error(gain)
    chance = float(np.mean(gain > 0.0))
    return Regret(mean, se, chance, best_plan(responses, max_change), perfect_information(responses, max_change))


def perfect_information(responses: Responses, max_change: float) -> float:
    """Return E[max U] - max E[U] over allowed plans, target units per week; 0 or more.

    The best plan differs from draw to draw; an experiment that told the truth would let us follow it.  No experiment is
    worth more a week than this.
    """
    moves = Moves.of(responses.spend, max_change, COARSE_STEPS)
    each = moves.best_gain(responses.factors, responses.value)
    at_once = moves.best_gain(responses.factors, responses.mean[None])
    return max(0.0, float(each.mean() - at_once[0]))


def best_plan(responses: Responses, max_change: float) -> Floats:
    """Return the factors of the allowed plan with the largest expected value, shape (channel,)."""
    moves = Moves.of(responses.spend, max_change, FINE_STEPS)
    return np.asarray(moves.best(responses.factors, responses.mean[None])[0])


def plan_value(responses: Responses, plan: Floats) -> Floats:
    """Return the value of a plan under each draw, shape (draw,), target units per week."""
    parts = [_curve(responses.factors, responses.value[:, c])(at) for c, at in enumerate(plan)]
    return np.asarray(np.sum(parts, axis=0))


def mean_and_error(values: Floats) -> tuple[float, float]:
    """Return the mean of draws and its Monte-Carlo error, by the spread of batch means.

    Batches of successive draws are nearly independent though the draws are not.
    """
    means = np.array([batch.mean() for batch in np.array_split(values, min(_BATCHES, len(values)))])
    return float(values.mean()), float(means.std(ddof=1) / np.sqrt(len(means)))


@dataclass(frozen=True)
class Moves:
    """All allowed plans on a grid: each channel moves by whole steps of money, and the steps sum to zero.

    Searched exactly, channel by channel, by the best value for each sum of steps so far (dynamic programming): curves
    need not be concave, as those of an S-shaped saturation are not, where a gradient stops at the nearest hill.

    Attributes
    ----------
    spend : ndarray, shape (channel,)
        Money per week now.
    step : float
        Money per week.
    most : ndarray, shape (channel,)
        Largest number of steps up or down.
    """

    spend: Floats
    step: float
    most: Counts

    @classmethod
    def of(cls, spend: Floats, max_change: float, steps: int) -> Moves:
        """Return the moves of a budget of which the share ``max_change`` may move, in ``steps`` steps."""
        step = max_change * float(spend.sum()) / steps
        # A hair more, so that rounding does not take a channel's last whole step.
        most = np.floor(max_change * spend / step + 1e-9) if step > 0 else np.zeros(len(spend))
        return cls(spend, step, most.astype(np.int64))

    def best(self, factors: Floats, value: Floats) -> Floats:
        """Return the factors of the best plan of each set of curves, (set, channel); value is (set, channel, level)."""
        gains = self._gains(factors, value)
        sums, choices = self._search(gains)
        steps = np.zeros((len(value), len(self.spend)))
        at = np.zeros(len(value), dtype=np.int64)
        for c in range(len(self.spend) - 1, -1, -1):
            reach = (sums[c].shape[1] - 1) // 2
            move = choices[c][np.arange(len(value)), at + reach] - self.most[c]
            steps[:, c] = move
            at = at - move
        return 1.0 + np.divide(steps * self.step, self.spend, out=np.zeros_like(steps), where=self.spend > 0)

    def best_gain(self, factors: Floats, value: Floats) -> Floats:
        """Return what the best plan of each set of curves adds to the present one, shape (set,)."""
        sums, _ = self._search(self._gains(factors, value))
        return np.asarray(sums[-1][:, (sums[-1].shape[1] - 1) // 2])

    def _gains(self, factors: Floats, value: Floats) -> list[Floats]:
        """Return per channel what each move adds, shape (set, 2 * most + 1)."""
        gains = []
        for c, most in enumerate(self.most):
            moved = np.arange(-most, most + 1) * self.step
            at = 1.0 + (moved / self.spend[c] if self.spend[c] > 0 else moved)
            curve = _curve(factors, value[:, c])(at)
            gains.append(curve - curve[:, [most]])
        return gains

    def _search(self, gains: Sequence[Floats]) -> tuple[list[Floats], list[Counts]]:
        """Return per channel the best gain of each sum of steps so far, and the move that reaches it.

        Sums that the channels to come cannot bring back to zero are left out; the last one is 0 alone.
        """
        sets = len(gains[0])
        sums, choices = [], []
        so_far, reach = np.zeros((sets, 1)), 0
        rounding = 1e-10 * max(float(np.abs(gain).max()) for gain in gains)
        for c, gain in enumerate(gains):
            most = int(self.most[c])
            after = min(reach + most, int(self.most[c + 1 :].sum()))
            best = np.full((sets, 2 * after + 1), -np.inf)
            choice = np.zeros((sets, 2 * after + 1), dtype=np.int64)
            # Small moves first: of two plans worth the same, the one nearer to the present is kept.
            for move in sorted(range(-most, most + 1), key=abs):
                low, high = max(-after, move - reach), min(after, move + reach)
                if low > high:
                    continue
                there = so_far[:, low - move + reach : high - move + reach + 1] + gain[:, [move + most]]
                place = slice(low + after, high + after + 1)
                better = there > best[:, place] + rounding
                best[:, place][better] = there[better]
                choice[:, place][better] = move + most
            sums.append(best)
            choices.append(choice)
            so_far, reach = best, after
        return sums, choices


def _curve(factors: Floats, value: Floats) -> Callable[[Floats], Floats]:
    """Return the curves through values at factors, shape (set, factor); as monotone as the values."""
    # Loaded when used: half a second, in processes most of which weigh no plan.
    from scipy.interpolate import PchipInterpolator

    return PchipInterpolator(factors, value, axis=1)
