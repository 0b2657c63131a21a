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
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import MonitorParams
from evermix.records import Record

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LOOKS = 52  # weekly looks in the year that the false-alarm rate speaks of
HARMONICS = 2
WEEKS_PER_YEAR = 365.25 / 7
MAX_PHI = 0.98
MIN_ON_WEEKS = 26  # a column with fewer active reference weeks has no distribution to compare with


class ColumnDrift(Record):
    """One tested series: a column's level, or how often it is switched on.

    ``statistic`` is a PSI in nats, of the level or of on and off weeks (activity); above ``critical`` it is a call.  ``plain_psi`` has no false-alarm rate.
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


class _Series(NamedTuple):
    """``values`` (series, week), meaningless where not ``on`` (series, week); ``n_reference`` leading weeks."""

    values: Floats
    on: Bools
    n_reference: int


class _Deviations(NamedTuple):
    """What is left of each series when its season is taken away; NaN where off."""

    values: Floats  # (series, week), in reference sd
    phi: Floats  # (series,) lag-1 autocorrelation of the reference, as estimated


def psi(expected: Floats, actual: Floats) -> Floats:
    """Return the population stability index of counts over the last axis.

    Half a count is added to every bin (Jeffreys), since a bin left empty by 13 weeks is no evidence of
    probability zero.

    Parameters
    ----------
    expected, actual : ndarray (..., bin)
        Counts in the reference and in the window.

    Returns
    -------
    ndarray (...)
        sum (p - q) ln(p / q) in nats, >= 0 (Yurdakul 2018, eq. 1.1, with smoothed shares).
    """
    q = (expected + 0.5) / (expected + 0.5).sum(axis=-1, keepdims=True)
    p = (actual + 0.5) / (actual + 0.5).sum(axis=-1, keepdims=True)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


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
    columns = [c for c in panel.columns if c.startswith(("spend.", "exposure.", "control."))]
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
    deviations = _deviations(series, _season_design(table.index))
    aspects = _aspects(series)
    seen = _statistics(series, deviations, settings.drift_window_weeks, first_look=len(table) - 1)[..., 0]
    critical = _critical_values(series, deviations, aspects, table.index, settings, rng)
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


def _prepare(table: pd.DataFrame, n_reference: int) -> tuple[_Series, list[str], dict[str, str]]:
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
            kept.append(column), values.append(x), on.append(np.ones(x.size, bool))
        else:
            typical = float(np.median(past[past > 0.0]))
            # A hundredth of the usual amount is a channel switched off, whatever the last cents say.
            active = x > 0.01 * typical
            if active[:n_reference].sum() < MIN_ON_WEEKS:
                reasons[column] = f"active in fewer than {MIN_ON_WEEKS} reference weeks"
                continue
            kept.append(column), on.append(active)
            values.append(np.log1p(np.maximum(x, 0.0) / (0.1 * typical)))
    if not kept:
        return _Series(np.empty((0, 0)), np.empty((0, 0), bool), n_reference), [], reasons
    return _Series(np.array(values), np.array(on), n_reference), kept, reasons


def _season_design(weeks: pd.Index) -> Floats:
    """Return (week, 1 + 2 * HARMONICS): a constant and the yearly Fourier terms, by calendar."""
    days = (pd.DatetimeIndex(weeks) - pd.Timestamp("1970-01-05")).days.to_numpy(float)
    angle = 2 * np.pi * np.outer(days / (7 * WEEKS_PER_YEAR), np.arange(1, HARMONICS + 1))
    return np.hstack([np.ones((len(days), 1)), np.cos(angle), np.sin(angle)])


def _deviations(series: _Series, design: Floats) -> _Deviations:
    """Return distances from the season, which is fitted by least squares to the reference weeks that were on."""
    n, k = series.n_reference, design.shape[1]
    weight = series.on[:, :n].astype(float)
    gram = (weight @ (design[:n, :, None] * design[:n, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    moment = (weight * series.values[:, :n]) @ design[:n]
    # The tiny ridge keeps a column that was only on in some seasons solvable.
    slopes = np.linalg.solve(gram + 1e-3 * np.eye(k), moment[..., None])[..., 0]
    apart = np.where(series.on, series.values - slopes @ design.T, np.nan)
    variance = np.nanmean(apart[:, :n] ** 2, axis=1)
    apart /= np.sqrt(np.maximum(variance, 1e-300))[:, None]
    pair = apart[:, 1:n] * apart[:, : n - 1]
    phi = np.nansum(pair, axis=1) / np.maximum(np.isfinite(pair).sum(axis=1), 1)
    return _Deviations(apart, np.clip(phi, 0.0, MAX_PHI))


def _aspects(series: _Series) -> Bools:
    """Return (series, 2): level is always tested, activity where 5 % of the reference or more is off (or on)."""
    share = series.on[:, : series.n_reference].mean(axis=1)
    return np.column_stack([np.ones(len(share), bool), (share >= 0.05) & (share <= 0.95)])


def _statistics(series: _Series, deviations: _Deviations, width: int, first_look: int) -> Floats:
    """Return (series, aspect, look): PSI of the windows that end at each week from ``first_look`` on.

    Level: (mean deviation of the window's on weeks in sd) squared, the integral of (p - q) ln(p / q) for two
    normal densities of the same sd.  Activity: PSI of on and off weeks.
    """
    on = series.on.astype(float)
    count = _windows(on, width)[:, first_look:]
    total = _windows(np.where(series.on, deviations.values, 0.0), width)[:, first_look:]
    level = (total / np.maximum(count, 1.0)) ** 2
    past = on[:, : series.n_reference].sum(axis=1)
    reference = np.stack([past, series.n_reference - past], axis=-1)[:, None, :]
    activity = psi(reference, np.stack([count, width - count], axis=-1))
    return np.stack([level, activity], axis=1)


def _windows(values: Floats, width: int) -> Floats:
    """Return (series, week): the sum of each week and the ``width`` - 1 before it."""
    total = np.cumsum(values, axis=1)
    return total - np.pad(total, ((0, 0), (width, 0)))[:, : total.shape[1]]


def _critical_values(
    series: _Series,
    deviations: _Deviations,
    aspects: Bools,
    weeks: pd.Index,
    settings: MonitorParams,
    rng: np.random.Generator,
) -> Floats:
    """Return (series, aspect): the values that the largest ratio of a quiet year passes with the stated chance.

    Each simulated year is a fresh reference and 52 weeks after it, estimated as the real one is.
    A column's own 90 % point makes columns comparable; the maximum over them sets the rest.
    """
    n, years = series.n_reference, settings.drift_simulations
    design = _season_design(pd.date_range(weeks[0], periods=n + LOOKS, freq="7D"))
    tops = np.empty((years, *aspects.shape))
    for row, phi in enumerate(deviations.phi):
        past = deviations.values[row, :n]
        latent = _simulate_levels(past, float(phi), years, rng)
        quiet = _Series(latent, _simulate_activity(series.on[row, :n], years, rng), n)
        found = _deviations(quiet, design)
        tops[:, row] = _statistics(quiet, found, settings.drift_window_weeks, first_look=n).max(axis=-1)
    scale = np.where(aspects, np.maximum(np.quantile(tops, 0.9, axis=0), 1e-12), 1.0)
    largest = np.where(aspects, tops / scale, 0.0).max(axis=(1, 2))
    return np.asarray(scale * np.quantile(largest, 1 - settings.drift_false_alarms_per_year, method="higher"))


def unbiased_autocorrelation(phi: float | Floats, n_weeks: int) -> Floats:
    """Return a lag-1 autocorrelation corrected for the season having been fitted to the same weeks.

    The bias of an AR(1) estimate is about -(1 + 3 phi) / n with a fitted mean (Kendall 1954); with the
    Fourier terms used here it was found by simulation to be -(6 + 8 phi) / n (n = 117, 156; phi 0 to 0.9).
    """
    return np.clip((np.asarray(phi) + 6.0 / n_weeks) / (1.0 - 8.0 / n_weeks), 0.0, MAX_PHI)


def _simulate_levels(past: Floats, phi: float, years: int, rng: np.random.Generator) -> Floats:
    """Return (year, week): AR(1) series that resample the column's own innovations (a sieve bootstrap).

    The autocorrelation is drawn anew for each year with its standard error, since a critical value for
    the estimate alone is too low whenever the estimate is.  Neither season nor scale is simulated: the
    estimation removes both.
    """
    n = past.size
    innovations = past[1:] - phi * past[:-1]
    innovations = innovations[np.isfinite(innovations)]
    innovations = (innovations - innovations.mean()) / max(float(innovations.std()), 1e-12)
    centre = float(unbiased_autocorrelation(phi, n))
    drawn = np.clip(rng.normal(centre, np.sqrt((1 - centre**2) / n), years), 0.0, MAX_PHI)
    shocks = rng.choice(innovations, (n + LOOKS, years)) * np.sqrt(1 - drawn**2)
    latent = np.empty_like(shocks)
    latent[0] = rng.standard_normal(years)
    for t in range(1, len(latent)):
        latent[t] = drawn * latent[t - 1] + shocks[t]
    return latent.T


def _simulate_activity(on: Bools, years: int, rng: np.random.Generator) -> Bools:
    """Return (year, week) on/off states: a two-state Markov chain whose chances are drawn with their uncertainty."""
    shape = (on.size + LOOKS, years)
    if on.all():
        return np.ones(shape[::-1], bool)
    was, now = on[:-1], on[1:]
    stays_on = rng.beta((was & now).sum() + 0.5, (was & ~now).sum() + 0.5, years)
    turns_on = rng.beta((~was & now).sum() + 0.5, (~was & ~now).sum() + 0.5, years)
    luck = rng.random(shape)
    active = np.empty(shape, bool)
    active[0] = luck[0] < on.mean()
    for t in range(1, shape[0]):
        active[t] = luck[t] < np.where(active[t - 1], stays_on, turns_on)
    return active.T
