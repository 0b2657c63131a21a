"""Have the inputs left what the champion was trained on?  PSI against a null that fits short weekly series.

Plain PSI on 13 autocorrelated, seasonal weeks passes the usual 0.1 and 0.2 every week
(``plain_psi`` is reported beside, marked as that).  Here each column is taken on a log scale
and freed of its yearly season, and the statistic is the PSI of two normal densities, which
is the squared distance of the window's mean in sd of the reference.  Quantile bins would do
for independent weeks; 13 weeks of a persistent series fall into one bin by chance, and then
no threshold is left.  The critical value comes from quiet years simulated with the column's
own autocorrelation and innovations and put through the same estimation, for the maximum over
columns and over 52 overlapping looks.

No decision lives here: ``decide`` reads the number of calls.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from evermix.config import MonitorParams
from evermix.core.drift_null import (
    MIN_ON_WEEKS,
    Bools,
    Floats,
    Series,
    critical_values,
    fit_deviations,
    season_design,
    statistics,
    tested_aspects,
)
from evermix.records import Record


class ColumnDrift(Record):
    """One tested series: a column's level, or how often it is switched on.

    ``statistic`` is a PSI in nats, of the level or of on and off weeks (activity); above
    ``critical`` it is a call.  ``plain_psi`` has no false-alarm rate.
    """

    column: str
    aspect: str
    statistic: float
    critical: float
    ratio: float
    called: bool
    plain_psi: float
    autocorrelation: float
    on_share: float


class DriftReport(Record):
    """The answer of one week, with the rate at which it errs by design."""

    status: str
    calls: int
    max_ratio: float
    reference_weeks: int
    window_weeks: int
    false_alarms_per_year: float
    monte_carlo_se: float
    reference_hash: str
    columns: list[ColumnDrift]
    not_tested: dict[str, str]


def plain_psi(reference: Floats, window: Floats, bins: int) -> float:
    """Return textbook PSI: quantile bins of the reference, empty bins floored at 1e-4.

    Right for thousands of independent rows; on weekly series it fires nearly always.
    """
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = [
        np.maximum(np.bincount(np.searchsorted(edges, x), minlength=edges.size + 1) / x.size, 1e-4)
        for x in (reference, window)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def weekly_inputs(panel: pd.DataFrame) -> pd.DataFrame:
    """Return spend, exposure and control columns per week: spend and exposure summed over geos, controls averaged."""
    columns = [c for c in map(str, panel) if c.startswith(("spend.", "exposure.", "control."))]
    how = {c: "mean" if c.startswith("control.") else "sum" for c in columns}
    if not columns:
        return pd.DataFrame(index=pd.Index(panel["week"].unique()))
    return panel.groupby("week", sort=True).agg(how)


def measure_drift(panel: pd.DataFrame, fitted_through: pd.Timestamp, settings: MonitorParams) -> DriftReport:
    """Compare the last weeks of every input column with the weeks the champion was fitted on.

    The reference stays the same for as long as the champion does, so its critical values do
    too; in the first weeks after a fit the window reaches back into it, in the simulated
    years as well.  Columns are simulated as independent, which errs on the quiet side when
    they move together.  A level shift, a new spend habit and a ramp are seen; a column that
    wanders (autocorrelation near 1) can hardly be called, because it has no range to leave.

    Parameters
    ----------
    panel : DataFrame
        The canonical panel, one row per week and geo, whole history.
    fitted_through : Timestamp
        Last week of the champion's training data.
    settings : MonitorParams
        Window, bins, least reference, false alarms per year, number of simulations, seed.

    Returns
    -------
    DriftReport
        ``status`` is ``tested``, ``too few weeks`` or ``no column to test``; in the last two ``calls`` is 0.
    """
    table = weekly_inputs(panel)
    n_reference = int((table.index <= fitted_through).sum())
    digest = _reference_hash(table.iloc[:n_reference])
    if n_reference < settings.drift_min_reference_weeks:
        return _untested("too few weeks", n_reference, digest, settings, {})
    series, tested, reasons = _prepare(table, n_reference)
    if not tested:
        return _untested("no column to test", n_reference, digest, settings, reasons)
    rng = np.random.default_rng([settings.seed, int(digest, 16)])
    deviations = fit_deviations(series, season_design(table.index))
    aspects = tested_aspects(series)
    seen = statistics(series, deviations, settings.drift_window_weeks, first_look=len(table) - 1)[..., 0]
    critical = critical_values(series, deviations, aspects, table.index, settings, rng)
    columns = []
    for row, aspect in zip(*np.nonzero(aspects), strict=True):
        ratio = float(seen[row, aspect] / critical[row, aspect])
        values = table[tested[row]].to_numpy(float)
        columns.append(
            ColumnDrift(
                column=tested[row],
                aspect=("level", "activity")[aspect],
                statistic=float(seen[row, aspect]),
                critical=float(critical[row, aspect]),
                ratio=ratio,
                called=ratio > 1.0,
                plain_psi=plain_psi(values[:n_reference], values[-settings.drift_window_weeks :], settings.drift_bins),
                autocorrelation=float(deviations.phi[row]),
                on_share=float(series.on[row, :n_reference].mean()),
            )
        )
    return _report("tested", n_reference, digest, settings, columns, reasons)


def _reference_hash(reference: pd.DataFrame) -> str:
    total = hashlib.sha256("\0".join(reference.columns).encode())
    total.update(np.ascontiguousarray(reference.to_numpy(float)).tobytes())
    return total.hexdigest()[:16]


def _untested(
    status: str, n_reference: int, digest: str, settings: MonitorParams, reasons: dict[str, str]
) -> DriftReport:
    return _report(status, n_reference, digest, settings, [], reasons)


def _report(
    status: str,
    n_reference: int,
    digest: str,
    settings: MonitorParams,
    columns: list[ColumnDrift],
    reasons: dict[str, str],
) -> DriftReport:
    rate = settings.drift_false_alarms_per_year
    return DriftReport(
        status=status,
        calls=sum(c.called for c in columns),
        max_ratio=max((c.ratio for c in columns), default=0.0),
        reference_weeks=n_reference,
        window_weeks=settings.drift_window_weeks,
        false_alarms_per_year=rate,
        monte_carlo_se=float(np.sqrt(rate * (1 - rate) / settings.drift_simulations)),
        reference_hash=digest,
        columns=columns,
        not_tested=reasons,
    )


def _prepare(table: pd.DataFrame, n_reference: int) -> tuple[Series, list[str], dict[str, str]]:
    """Return series on a log scale with their on weeks, the columns kept, and why others were not."""
    kept: list[str] = []
    values: list[Floats] = []
    on: list[Bools] = []
    reasons: dict[str, str] = {}
    for column in table.columns:
        x = table[column].to_numpy(float)
        past = x[:n_reference]
        if np.isin(past, (0.0, 1.0)).all():
            reasons[column] = "only 0 and 1 in the reference: an indicator, or not launched"
        elif np.ptp(past) == 0.0:
            reasons[column] = "constant in the reference: nothing to compare the window with"
        elif past.min() < 0.0:
            kept.append(column)
            values.append(x)
            on.append(np.ones(x.size, bool))
        else:
            typical = float(np.median(past[past > 0.0]))
            # A hundredth of the usual amount is a channel switched off, whatever the last cents say.
            active = x > 0.01 * typical
            if active[:n_reference].sum() < MIN_ON_WEEKS:
                reasons[column] = f"active in fewer than {MIN_ON_WEEKS} reference weeks"
                continue
            kept.append(column)
            on.append(active)
            values.append(np.log1p(np.maximum(x, 0.0) / (0.1 * typical)))
    if not kept:
        return Series(np.empty((0, 0)), np.empty((0, 0), bool), n_reference), [], reasons
    return Series(np.array(values), np.array(on), n_reference), kept, reasons
