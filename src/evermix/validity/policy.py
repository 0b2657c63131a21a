"""The shipped rules asked week by week, and an oracle that knows what it looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evermix.config import ModelParams
from evermix.core import alarms
from evermix.core.decide import Evidence, judge_evidence
from evermix.core.prequential import cusum
from evermix.validity.posterior import WeekSeen

Floats = NDArray[np.float64]

E_GRID = (50.0, 100.0, 200.0, 300.0, 400.0, 520.0, 700.0, 1000.0, 1500.0, 2500.0, 5000.0)
"""Thresholds of the e-detector at which the frontier is drawn."""
ORACLE_GRID = tuple(2.0 + 0.25 * i for i in range(17))
"""Thresholds of the oracle's log likelihood ratio, nats."""


@dataclass
class Watch:
    """What one path has seen so far, and when each rule fired first (weeks after the base, from 0).

    Attributes
    ----------
    crossings : list
        First week at which the e-detector reached each value of ``E_GRID``; None: not in the year.
    """

    params: ModelParams
    channels: Sequence[str]
    z: list[float] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    crossings: list[int | None] = field(default_factory=lambda: [None] * len(E_GRID))
    top: dict[str, float] = field(default_factory=dict)

    def ask(self, seen: WeekSeen, more: Evidence) -> dict[str, bool]:
        """Return which rules fire in a week; rules that lack their evidence are left out.

        Parameters
        ----------
        more : mapping
            Evidence of the week that does not come from residuals: drift, restatement, update, calendar.
        """
        self.z.append(seen.z)
        evidence = {**more, **self._alarms(seen)}
        for name in ("alarm.e_detector", "surprise.cusum", "surprise.max_abs_z"):
            value = evidence[name]
            self.top[name] = max(self.top.get(name, 0.0), float(value or 0.0))
        mark_crossings(self.crossings, E_GRID, float(evidence["alarm.e_detector"] or 0.0), seen.week)
        outcomes = judge_evidence(self.params.rules, evidence, None).rules
        fired = {rule.name: rule.fired for rule in outcomes if not rule.missing}
        for name, now in fired.items():
            if now:
                self.first.setdefault(name, seen.week)
        return fired

    def _alarms(self, seen: WeekSeen) -> dict[str, float]:
        z, rows = np.array(self.z), seen.week + 1
        noise = np.full(rows, seen.noise_sd)
        patterns = alarms.level_patterns(["all"] * rows)
        patterns += alarms.channel_patterns(seen.contributions, noise, self.channels)
        mean, covariance = seen.residual / seen.noise_sd, seen.covariance / seen.noise_sd**2
        arrival = np.arange(rows)
        moments = [alarms.pattern_moments(mean, covariance, pattern.shift, arrival) for pattern in patterns]
        report = alarms.weigh_evidence([str(week) for week in range(rows)], patterns, moments, z)
        return {
            "alarm.e_detector": report.e_detector,
            "surprise.cusum": float(cusum(z, self.params.monitor.cusum_slack)[-1]),
            "surprise.max_abs_z": float(abs(seen.z)),
        }


def mark_crossings(crossings: list[int | None], grid: Sequence[float], value: float, week: int) -> None:
    """Note the week for each threshold that is reached for the first time."""
    for i, threshold in enumerate(grid):
        if crossings[i] is None and value >= threshold:
            crossings[i] = week


def oracle_statistic(seen: WeekSeen, shape: Floats) -> float:
    """Return the log likelihood ratio of a change of known shape and size, from the week at which it is largest.

    The parameters are integrated out under the posterior, exactly where mean and noise are Gaussian: with m the
    posterior mean of the residuals and V their covariance, in noise sd, and s the shift from a week on,
    log LR = s'm - s'(I - V)s / 2.  Its CUSUM over weeks is Page's (1954), optimal for a known change.

    Parameters
    ----------
    shape : ndarray, shape (week,)
        What the change adds to the mean of each week after the base, in noise sd, had it begun with the first.
    """
    rows = seen.week + 1
    shift = shape[:rows]
    score = np.cumsum((shift * seen.residual / seen.noise_sd)[::-1])[::-1]
    known = np.eye(rows) - seen.covariance / seen.noise_sd**2
    weighed = shift[:, None] * known * shift
    information = np.diagonal(np.cumsum(np.cumsum(weighed[::-1, ::-1], axis=0), axis=1)[::-1, ::-1])
    return float((score - 0.5 * information).max())


def oracle_path(path: Sequence[WeekSeen], shape: Floats) -> list[float]:
    """Return the oracle's statistic of every week."""
    return [oracle_statistic(seen, shape) for seen in path]
