"""Quiet years: what is learnt from a reference is right, and the limits hold the stated rate."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evermix.core import drift_null, drift_scan, drift_series

WEEKS = pd.date_range("2020-01-06", periods=182, freq="7D")
DESIGN = drift_series.season_design(WEEKS)


def autoregressions(seed, rows, phi, weeks=182, tails=None):
    random = np.random.default_rng(seed)
    shocks = random.normal(size=(weeks, rows)) if tails is None else random.standard_t(tails, (weeks, rows))
    level = np.zeros((weeks, rows))
    level[0] = shocks[0] / np.sqrt(1 - phi**2)
    for t in range(1, weeks):
        level[t] = phi * level[t - 1] + shocks[t]
    return level.T


def series_of(values, on=None, reference=130):
    names = [(f"spend.c{i}", "level") for i in range(len(values))]
    return drift_series.Series(names, values, np.ones(values.shape, bool) if on is None else on, {}, {}, reference)


@pytest.mark.parametrize("phi", [0.3, 0.7, 0.9])
def test_memory_is_learnt_without_the_bias_of_a_fitted_season(phi):
    series = series_of(autoregressions(1, 200, phi) + (DESIGN @ [5, 3, -2, 1, 1])[None])
    memory = drift_null.learn_memory(series, DESIGN)
    assert (memory.weight @ drift_null.PHI).mean() == pytest.approx(phi, abs=0.03)
    plain = np.linalg.lstsq(DESIGN[:130], series.values[:, :130].T, rcond=None)[0]
    rest = series.values[:, :130].T - DESIGN[:130] @ plain
    assert ((rest[1:] * rest[:-1]).sum(axis=0) / (rest**2).sum(axis=0)).mean() < phi - 0.05


def test_memory_is_generalised_least_squares_at_each_phi():
    series = series_of(autoregressions(2, 2, 0.6))
    memory = drift_null.learn_memory(series, DESIGN)
    place = 25
    phi = drift_null.PHI[place]
    gap = np.abs(np.subtract.outer(np.arange(130), np.arange(130)))
    inverse = np.linalg.inv(phi**gap / (1 - phi**2))
    x, y = DESIGN[:130], series.values[1, :130]
    slopes = np.linalg.solve(x.T @ inverse @ x, x.T @ inverse @ y)
    assert memory.slopes[1, place] == pytest.approx(slopes, rel=1e-4)
    residual = y - x @ slopes
    assert memory.variance[1, place] == pytest.approx(residual @ inverse @ residual / 125, rel=1e-6)
    assert memory.covariance[1, place] == pytest.approx(np.linalg.inv(x.T @ inverse @ x), rel=1e-4, abs=1e-8)


def test_memory_over_gaps_is_that_of_the_weeks_that_are_there():
    random = np.random.default_rng(3)
    values = autoregressions(3, 100, 0.7)
    on = np.repeat(random.random((1, 182)) < 0.7, 100, axis=0)
    memory = drift_null.learn_memory(series_of(np.where(on, values, 1e6), on), DESIGN)
    assert (memory.weight @ drift_null.PHI).mean() == pytest.approx(0.7, abs=0.05)
    assert memory.weeks[0] == on[0, :130].sum()


def test_tails_are_told_apart():
    normal, heavy = autoregressions(4, 30, 0.5), autoregressions(4, 30, 0.5, tails=4.0)
    found = []
    for values in (normal, heavy):
        series = series_of(values)
        past = drift_null.surprises(series, drift_null.learn_memory(series, DESIGN), DESIGN, slice(0, 130))
        found.append(drift_null.tail_weights(past).mean(axis=0))
    assert found[0][-1] > 0.5
    assert found[1][:3].sum() > 0.5


def first_calls(values, seed, years=200):
    series = series_of(values)
    memory = drift_null.learn_memory(series, DESIGN)
    null = drift_null.quiet_limits(series, memory, DESIGN, years, 0.05, np.random.default_rng(seed))
    found = drift_null.surprises(series, memory, DESIGN, slice(130, 182))
    ratios = np.abs(drift_null.judge(found, series, memory, DESIGN, null.clip)) / null.limits[:-1, :, None]
    return bool((ratios > 1).any())


def test_quiet_years_are_called_about_as_often_as_stated():
    calls = sum(first_calls(autoregressions(seed, 4, 0.5), seed) for seed in range(100, 160))
    # Refused only beyond what chance allows of a rate of 5 %.
    assert stats.binom.sf(calls - 1, 60, 0.05) > 0.005


def test_limits_repeat_for_the_same_seed_and_move_with_another():
    series = series_of(autoregressions(5, 3, 0.5))
    memory = drift_null.learn_memory(series, DESIGN)
    one, two, other = (
        drift_null.quiet_limits(series, memory, DESIGN, 100, 0.05, np.random.default_rng(seed)).limits
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_less_known_is_a_wider_limit():
    values = autoregressions(6, 3, 0.7)
    limits = []
    for reference in (60, 130):
        series = series_of(values, reference=reference)
        memory = drift_null.learn_memory(series, DESIGN)
        variance = drift_scan.season_variance(memory.estimate(memory.covariance), DESIGN[reference : reference + 52])
        limits.append(variance[:, -1, -1].mean())
    assert limits[0] > limits[1]
