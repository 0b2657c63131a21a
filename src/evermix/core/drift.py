"""Have the inputs left what the champion was trained on?  Shifts, mix and correlation at one stated error rate.

Plain PSI on 13 autocorrelated, seasonal weeks passes the usual 0.1 and 0.2 every week (``core/psi.py`` keeps it
for large tables).  Here each series is freed of its yearly season and of its own memory, and the weeks since the
fit are scanned for a shift that stays (``drift_scan``); the limits are what a year of quiet looks passes anywhere
with the stated chance (``drift_null``).  Extrapolation has no error rate: it says how far the inputs go beyond
what a response curve was fitted on.

No decision lives here: ``decide`` reads the numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from evermix.config import MonitorParams
from evermix.core.drift_null import (
    LOOKS,
    Memory,
    Null,
    correlation_shift,
    distances,
    judge,
    learn_memory,
    quiet_limits,
    surprises,
)
from evermix.core.drift_scan import CORRELATION_WINDOW, WINDOWS, Innovations, activity_scan
from evermix.core.drift_series import Floats, Series, list_series, season_design, weekly_inputs
from evermix.core.extrapolation import Reach, measure_reach
from evermix.core.psi import plain_psi
from evermix.records import Record


class ColumnDrift(Record):
    """One tested series: the level of a column, its place in the mix of spend, its activity, or a pair's correlation.

    ``statistic`` is in standard errors (activity: chi-square), of the window where it is largest next to its limit
    ``critical``; above it is a call.  ``shift`` is signed, on a log scale; ``plain_psi`` has no false-alarm rate.
    """

    column: str
    aspect: str
    window_weeks: int
    statistic: float
    critical: float | None
    ratio: float
    called: bool
    shift: float | None
    plain_psi: float | None
    autocorrelation: float | None
    on_share: float | None


class DriftReport(Record):
    """The answer of one week, with the rate at which it errs by design."""

    status: str
    calls: int
    max_ratio: float
    mix_ratio: float
    correlation_ratio: float
    extrapolation: float
    reference_weeks: int
    weeks_since: int
    window_weeks: int
    false_alarms_per_year: float
    monte_carlo_se: float
    reference_hash: str
    columns: list[ColumnDrift]
    reach: list[Reach]
    not_tested: dict[str, str]

    def evidence(self) -> dict[str, float]:
        """Return the numbers that rules may ask."""
        numbers = ("max_ratio", "mix_ratio", "correlation_ratio", "extrapolation")
        return {"drift.calls": float(self.calls)} | {f"drift.{name}": getattr(self, name) for name in numbers}


def measure_drift(
    panel: pd.DataFrame,
    fitted_through: pd.Timestamp,
    settings: MonitorParams,
    limits: Callable[..., Null] = quiet_limits,
) -> DriftReport:
    """Compare every input since the champion's fit with the weeks the champion was fitted on.

    The reference stays the same for as long as the champion's fit does, so its limits do too.  Shifts of a level, of
    the mix, of how often a channel is on and of correlations are seen; a change of spread is not, and a series that
    wanders (autocorrelation near 1) is called for a leap only, since it has no range to leave.

    Parameters
    ----------
    panel : DataFrame
        The canonical panel, one row per week and geo, whole history.
    fitted_through : Timestamp
        Last week of the champion's training data.
    settings : MonitorParams
        Least reference, false alarms per year, number of simulated years, seed; window and bins of the plain PSI.
    limits : callable
        What learns the limits; who asks week after week of one reference may remember its answer.

    Returns
    -------
    DriftReport
        ``status`` is ``tested``, ``too few weeks`` or ``no column to test``; in the last two ``calls`` is 0.
    """
    table = weekly_inputs(panel)
    n = int((table.index <= fitted_through).sum())
    digest = _reference_hash(table.iloc[:n])
    about = {
        "reference_weeks": n,
        "weeks_since": len(table) - n,
        "window_weeks": settings.drift_window_weeks,
        "false_alarms_per_year": settings.drift_false_alarms_per_year,
        "monte_carlo_se": _binomial_se(settings.drift_false_alarms_per_year, settings.drift_simulations),
        "reference_hash": digest,
        "reach": measure_reach(panel, fitted_through),
    }
    if n < settings.drift_min_reference_weeks:
        return _report("too few weeks", [], {}, about)
    series = list_series(table, n)
    if not series.names:
        return _report("no column to test", [], series.not_tested, about)
    seed = [settings.seed, int(digest, 16)]
    return _report("tested", _test(table, series, settings, seed, limits), series.not_tested, about)


def tested_paths(panel: pd.DataFrame, reference_weeks: int) -> pd.DataFrame:
    """Return the tested series as they go about their season, for a plot.

    Returns
    -------
    DataFrame
        ``week, column, aspect, apart, low, high, since``: distance from the season on the series' scale, NaN where off;
        the range that holds 90 % of the reference weeks; whether the week came after the reference.
    """
    table = weekly_inputs(panel)
    series = list_series(table, reference_weeks)
    if not series.names:
        return pd.DataFrame(columns=["week", "column", "aspect", "apart", "low", "high", "since"])
    design = season_design(table.index)
    apart = np.where(series.on, distances(series, learn_memory(series, design), design), np.nan)
    low, high = np.nanquantile(apart[:, :reference_weeks], (0.05, 0.95), axis=1)
    since = np.arange(len(table)) >= reference_weeks
    parts = [
        pd.DataFrame({"week": table.index, "column": column, "aspect": aspect, "apart": path, "since": since})
        for (column, aspect), path in zip(series.names, apart, strict=True)
    ]
    return pd.concat([part.assign(low=a, high=b) for part, a, b in zip(parts, low, high, strict=True)])


def _test(
    table: pd.DataFrame, series: Series, settings: MonitorParams, seed: list[int], limits: Callable[..., Null]
) -> list[ColumnDrift]:
    n = series.n_reference
    year = season_design(pd.date_range(table.index[0], periods=n + LOOKS, freq="7D"))
    memory = learn_memory(series, year)
    null = limits(
        series,
        memory,
        year,
        settings.drift_simulations,
        settings.drift_false_alarms_per_year,
        np.random.default_rng(seed),
    )
    if len(table) == n:
        return []
    design = season_design(table.index)
    found = surprises(series, memory, design, slice(n, len(table)))
    seen = _Seen(series, memory, null, settings)
    return [
        *seen.shifts(
            judge(found, series, memory, design, null.clip)[..., -1], distances(series, memory, design), table
        ),
        *seen.activities(),
        *seen.correlation(found),
    ]


class _Seen(NamedTuple):
    """Turns this week's numbers into records."""

    series: Series
    memory: Memory
    null: Null
    settings: MonitorParams

    def shifts(self, scans: Floats, apart: Floats, table: pd.DataFrame) -> list[ColumnDrift]:
        n, window = self.series.n_reference, self.settings.drift_window_weeks
        rows = []
        for row, (column, aspect) in enumerate(self.series.names):
            x, on = table[column].to_numpy(float), self.series.on[row]
            found = _column(column, aspect, np.abs(scans[row]), self.null.limits[row])
            recent = slice(-found.window_weeks, None)
            more = {
                "shift": float(apart[row, recent][on[recent]].mean()) if on[recent].any() else None,
                "plain_psi": plain_psi(x[:n], x[-window:], self.settings.drift_bins) if aspect == "level" else None,
                "autocorrelation": float(self.memory.phi[row]),
                "on_share": float(on[:n].mean()),
            }
            rows.append(found.model_copy(update=more))
        return rows

    def activities(self) -> list[ColumnDrift]:
        n = self.series.n_reference
        rows = []
        for place, (column, on) in enumerate(self.series.switched.items()):
            limits = self.null.limits[len(self.series.names) + place]
            found = _column(column, "activity", activity_scan(on[n:], on[:n])[:, -1], limits)
            rows.append(found.model_copy(update={"on_share": float(on[:n].mean())}))
        return rows

    def correlation(self, found: Innovations) -> list[ColumnDrift]:
        """Return the pair whose correlation lies farthest from quiet ones; none where there is no pair."""
        apart, pairs = correlation_shift(found, self.series, self.null)
        if not apart.size:
            return []
        place = int(apart.argmax())
        name = " and ".join(self.series.names[row][0] for row in pairs[place])
        statistic = np.zeros(len(WINDOWS))
        statistic[WINDOWS.index(CORRELATION_WINDOW)] = apart[place]
        return [_column(name, "correlation", statistic, self.null.limits[-1])]


def _column(column: str, aspect: str, statistic: Floats, limits: Floats) -> ColumnDrift:
    """Return the window that comes nearest its limit, or goes farthest beyond."""
    ratios = statistic / limits
    # Before a window has gone by, and in one that no quiet year fills, there is no limit to come near.
    best = int(np.where(np.isfinite(limits), ratios, -1.0).argmax())
    return ColumnDrift(
        column=column,
        aspect=aspect,
        window_weeks=WINDOWS[best],
        statistic=float(statistic[best]),
        critical=float(limits[best]) if np.isfinite(limits[best]) else None,
        ratio=float(ratios[best]),
        called=bool(ratios[best] > 1.0),
        shift=None,
        plain_psi=None,
        autocorrelation=None,
        on_share=None,
    )


def _binomial_se(rate: float, simulations: int) -> float:
    return float(np.sqrt(rate * (1 - rate) / simulations))


def _reference_hash(reference: pd.DataFrame) -> str:
    total = hashlib.sha256("\0".join(reference.columns).encode())
    total.update(np.ascontiguousarray(reference.to_numpy(float)).tobytes())
    return total.hexdigest()[:16]


def _report(status: str, columns: list[ColumnDrift], reasons: dict[str, str], about: dict[str, Any]) -> DriftReport:
    def largest(*aspects: str) -> float:
        return max((c.ratio for c in columns if c.aspect in aspects), default=0.0)

    return DriftReport(
        status=status,
        calls=sum(c.called for c in columns),
        max_ratio=max((c.ratio for c in columns), default=0.0),
        mix_ratio=largest("mix"),
        correlation_ratio=largest("correlation"),
        extrapolation=max((reach.ratio for reach in about["reach"]), default=0.0),
        columns=columns,
        not_tested=reasons,
        **about,
    )
