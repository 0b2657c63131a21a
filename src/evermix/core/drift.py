"""Have the inputs left what the champion was trained on?  PSI against a null that fits short weekly series.

Plain PSI on 13 autocorrelated, seasonal weeks passes the usual 0.1 and 0.2 every week
(``plain_psi`` is reported beside, marked as that).  Here each column is taken on a log
scale, freed of its yearly season and of its AR(1) memory, and PSI compares the innovations
of the window with those of the reference.  Innovations, not levels: 13 weeks of a
persistent series fall into one quantile bin by chance, and then no threshold is left.
The critical value comes from years simulated under the same null and put through the same
estimation, for the maximum over columns and over 52 overlapping looks.

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
MIN_ON_WEEKS = 26  # a column with fewer active reference weeks has no distribution to compare with


class ColumnDrift(Record):
    """One tested series: a column's level, or how often it is switched on.

    ``statistic`` is the PSI of innovations (level) or of on and off weeks (activity), in nats;
    above ``critical`` it is a call.  ``plain_psi`` has no false-alarm rate.
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


class _Innovations(NamedTuple):
    values: Floats  # (series, week), NaN where off
    phi: Floats  # (series,)


def psi(expected: Floats, actual: Floats) -> Floats:
    """Return the population stability index of counts over the last axis.

    Half a count is added to every bin (Jeffreys), since a bin left empty by 13 weeks is no
    evidence of probability zero.

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
    design = _season_design(table.index)
    innovations = _innovations(series, design)
    aspects = _aspects(series)
    last = len(table) - 1
    seen = _statistics(series, innovations, settings, first_look=last)[..., 0]
    critical = _critical_values(series, innovations.phi, aspects, table.index, settings, rng)
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
                autocorrelation=float(innovations.phi[row]),
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


def _innovations(series: _Series, design: Floats) -> _Innovations:
    """Return what is left after season and AR(1) memory, both fitted to the reference weeks that were on.

    After an off week there is no yesterday: the deviation is shrunk to the innovations' variance instead.
    """
    n, k = series.n_reference, design.shape[1]
    weight = series.on[:, :n].astype(float)
    gram = (weight @ (design[:n, :, None] * design[:n, None, :]).reshape(n, k * k)).reshape(-1, k, k)
    moment = (weight * series.values[:, :n]) @ design[:n]
    # The tiny ridge keeps a column that was only on in some seasons solvable.
    slopes = np.linalg.solve(gram + 1e-3 * np.eye(k), moment[..., None])[..., 0]
    deviation = np.where(series.on, series.values - slopes @ design.T, np.nan)
    past = deviation[:, :n]
    pair = past[:, 1:] * past[:, :-1]
    n_pairs = np.maximum(np.isfinite(pair).sum(axis=1), 1)
    variance = np.nanmean(past**2, axis=1)
    phi = np.clip(np.nansum(pair, axis=1) / n_pairs / np.maximum(variance, 1e-300), 0.0, 0.98)
    before = np.hstack([np.full((len(past), 1), np.nan), deviation[:, :-1]])
    fresh = np.sqrt(1 - phi**2)[:, None] * deviation
    return _Innovations(np.where(np.isnan(before), fresh, deviation - phi[:, None] * before), phi)


def _aspects(series: _Series) -> Bools:
    """Return (series, 2): level is always tested, activity where 5 % of the reference or more is off (or on)."""
    share = series.on[:, : series.n_reference].mean(axis=1)
    return np.column_stack([np.ones(len(share), bool), (share >= 0.05) & (share <= 0.95)])


def _statistics(series: _Series, innovations: _Innovations, settings: MonitorParams, first_look: int) -> Floats:
    """Return (series, aspect, look): PSI of the windows that end at each week from ``first_look`` on."""
    n, bins, width = series.n_reference, settings.drift_bins, settings.drift_window_weeks
    edges = _quantiles(innovations.values[:, :n], np.linspace(0, 1, bins + 1)[1:-1])
    codes = (innovations.values[..., None] > edges[:, None, :]).sum(axis=-1)
    member = np.stack([series.on & (codes == b) for b in range(bins)], axis=-1)
    state = np.stack([series.on, ~series.on], axis=-1)
    paths = []
    for counts in (member, state):
        total = np.cumsum(counts, axis=1, dtype=float)
        start = np.pad(total, ((0, 0), (width, 0), (0, 0)))[:, : total.shape[1]]
        windows = (total - start)[:, first_look:]
        paths.append(psi(total[:, n - 1][:, None, :], windows))
    return np.stack(paths, axis=1)


def _quantiles(values: Floats, levels: Floats) -> Floats:
    """Return (series, level) quantiles that skip NaN; ``np.nanquantile`` loops in Python and is 50 times slower."""
    ordered = np.sort(values, axis=1)
    place = levels * (np.isfinite(values).sum(axis=1)[:, None] - 1)
    low = np.floor(place).astype(int)
    high = np.ceil(place).astype(int)
    below = np.take_along_axis(ordered, low, axis=1)
    return below + (place - low) * (np.take_along_axis(ordered, high, axis=1) - below)


def _critical_values(
    series: _Series,
    phi: Floats,
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
    span = pd.date_range(weeks[0], periods=n + LOOKS, freq="7D")
    tops = np.empty((years, *aspects.shape))
    for row in range(len(phi)):
        quiet = _simulate(series.on[row, :n], float(phi[row]), n, years, rng)
        found = _innovations(quiet, _season_design(span))
        tops[:, row] = _statistics(quiet, found, settings, first_look=n).max(axis=-1)
    scale = np.where(aspects, np.quantile(tops, 0.9, axis=0), 1.0)
    scale = np.maximum(scale, 1e-12)
    largest = np.where(aspects, tops / scale, 0.0).max(axis=(1, 2))
    return scale * np.quantile(largest, 1 - settings.drift_false_alarms_per_year, method="higher")


def _simulate(on: Bools, phi: float, n_reference: int, years: int, rng: np.random.Generator) -> _Series:
    """Return quiet years of one column: a two-state on/off Markov chain over a Gaussian AR(1).

    Neither the season nor the scale is simulated: the estimation removes both exactly, and
    quantile bins do not see the shape of the innovations.
    """
    length = n_reference + LOOKS
    shocks = rng.standard_normal((length, years))
    latent = np.empty((length, years))
    latent[0] = shocks[0]
    for t in range(1, length):
        latent[t] = phi * latent[t - 1] + np.sqrt(1 - phi**2) * shocks[t]
    active = np.ones((length, years), bool)
    if not on.all():
        was, now = on[:-1], on[1:]
        stays_on = ((was & now).sum() + 0.5) / (was.sum() + 1.0)
        turns_on = ((~was & now).sum() + 0.5) / ((~was).sum() + 1.0)
        luck = rng.random((length, years))
        active[0] = luck[0] < on.mean()
        for t in range(1, length):
            active[t] = luck[t] < np.where(active[t - 1], stays_on, turns_on)
    return _Series(latent.T, active.T, n_reference)
