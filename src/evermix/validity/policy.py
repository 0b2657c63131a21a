"""The shipped rules asked week by week, and an oracle that knows what it looks for."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evermix.config import ModelParams, Rule
from evermix.core import alarms
from evermix.core.decide import Evidence, judge_evidence
from evermix.core.prequential import cusum
from evermix.validity.posterior import WeekSeen

Floats = NDArray[np.float64]

RECORDED = {
    "alarm.e_detector": (30.0, 2000.0),
    "surprise.cusum": (3.0, 9.0),
    "surprise.max_abs_z": (3.0, 6.0),
    "drift.calls": (1.0, 1.0),
    "drift.max_ratio": (0.5, 2.0),
    "drift.extrapolation": (1.0, 9.0),
    "restatement.spend_share": (0.0, 1.0),
    "restatement.target_sd": (0.0, 9.0),
}
"""Evidence that is asked whether it is large enough, and the range in which it is kept, as thresholds lie there."""
ORACLE_RANGE = (1.0, 9.0)

Records = dict[str, list[tuple[int, float]]]
"""By name of evidence, each week in which it was larger than ever before, and how large."""


@dataclass
class Watch:
    """What one path has seen so far; weeks are counted from 0, the first after the base."""

    params: ModelParams
    channels: Sequence[str]
    z: list[float] = field(default_factory=list)
    records: Records = field(default_factory=dict)

    def see(self, seen: WeekSeen, more: Evidence) -> Evidence:
        """Return the evidence of a week.

        Parameters
        ----------
        more : mapping
            Evidence that does not come from residuals: drift, restatement, update, calendar.
        """
        self.z.append(seen.z)
        evidence = {**more, **self._alarms(seen)}
        for name, limits in RECORDED.items():
            value = evidence.get(name)
            if value is not None:
                note(self.records.setdefault(name, []), seen.week, float(value), limits)
        return evidence

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


def note(record: list[tuple[int, float]], week: int, value: float, limits: tuple[float, float]) -> None:
    """Keep a value that is larger than any before, to four digits; below the range it is nothing, above it the most."""
    low, high = limits
    value = min(float(f"{value:.4g}"), high)
    if value >= low and value > (record[-1][1] if record else 0.0):
        record.append((week, value))


def fired_rules(rules: Sequence[Rule], evidence: Evidence) -> list[str]:
    """Return the names of the rules that fire; a rule that lacks its evidence does not."""
    return [rule.name for rule in judge_evidence(rules, evidence, None).rules if rule.fired]


def first_fired(rules: Sequence[Rule], records: Mapping[str, Sequence[Sequence[float]]]) -> int | None:
    """Return the first week in which one of these rules fires, by the largest values up to each week.

    Exact for rules that ask whether evidence is large enough, since it is then that it becomes so.
    """
    largest: dict[str, float | bool | None] = {}
    news = sorted((int(week), name, value) for name, record in records.items() for week, value in record)
    for week, same_week in itertools.groupby(news, key=lambda entry: entry[0]):
        largest |= {name: value for _, name, value in same_week}
        if fired_rules(rules, largest):
            return week
    return None


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


def oracle_record(path: Sequence[WeekSeen], shape: Floats) -> list[tuple[int, float]]:
    """Return each week in which the oracle's statistic was larger than ever before, and how large."""
    record: list[tuple[int, float]] = []
    for seen in path:
        note(record, seen.week, oracle_statistic(seen, shape), ORACLE_RANGE)
    return record
