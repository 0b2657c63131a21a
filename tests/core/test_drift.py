"""Input drift: exact small cases, and its error rates on a few quiet and shifted series."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from evermix.config import MonitorParams
from evermix.core import drift, drift_null

SETTINGS = MonitorParams(
    draws=1000,
    cusum_slack=0.5,
    drift_window_weeks=13,
    drift_min_reference_weeks=104,
    drift_bins=4,
    drift_false_alarms_per_year=0.05,
    drift_simulations=200,
    seed=5,
)


def make_panel(seed, weeks, columns=4, phi=0.5, sd=0.25):
    random = np.random.default_rng(seed)
    t = np.arange(weeks)
    panel = pd.DataFrame({"week": pd.date_range("2020-01-06", periods=weeks, freq="7D"), "geo": "all", "target": 1.0})
    for c in range(columns):
        level = np.zeros(weeks)
        for i in range(1, weeks):
            level[i] = phi * level[i - 1] + np.sqrt(1 - phi**2) * random.normal()
        panel[f"spend.c{c}"] = 1000 * np.exp(sd * level + 0.4 * np.cos(2 * np.pi * t / 52.18 + c))
    return panel


def measure(panel, reference=130):
    return drift.measure_drift(panel, panel["week"].iloc[reference - 1], SETTINGS)


def test_psi_by_hand():
    # Shares with half a count: (2.5, 1.5) / 4 and (0.5, 1.5) / 2.
    expected = (0.25 - 0.625) * np.log(0.25 / 0.625) + (0.75 - 0.375) * np.log(0.75 / 0.375)
    assert drift_null.psi(np.array([2.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(expected)


def test_psi_of_equal_shares_is_zero():
    assert drift_null.psi(np.array([5.0, 5.0]), np.array([3.0, 3.0])) == pytest.approx(0.0)


def test_plain_psi_by_hand():
    reference, window = np.arange(8.0), np.array([6.0, 7.0])
    # Quarters of the reference; the window lies in the last one, the others are floored at 1e-4.
    expected = 3 * (1e-4 - 0.25) * np.log(1e-4 / 0.25) + (1 - 0.25) * np.log(1 / 0.25)
    assert drift.plain_psi(reference, window, 4) == pytest.approx(expected)


def test_plain_psi_puts_an_edge_value_where_the_reference_has_it():
    reference = np.array([0.0, 1.0, 1.0, 2.0, 3.0, 4.0])
    assert drift.plain_psi(reference, reference, 4) == pytest.approx(0.0)


def test_level_statistic_is_the_psi_of_two_normal_densities():
    p, q = stats.norm(1.3, 1).pdf, stats.norm(0, 1).pdf
    numeric = integrate.quad(lambda x: (p(x) - q(x)) * np.log(p(x) / q(x)), -12, 14)[0]
    values = np.concatenate([np.zeros(20), np.full(13, 1.3)])[None, :]
    series = drift_null.Series(values, np.ones_like(values, bool), 20)
    deviations = drift_null.Deviations(values, np.zeros(1))
    found = drift_null.statistics(series, deviations, 13, first_look=32)
    assert found[0, 0, 0] == pytest.approx(numeric, rel=1e-6)


def test_deviations_of_a_pure_season_are_nothing():
    weeks = pd.date_range("2020-01-06", periods=156, freq="7D")
    design = drift_null.season_design(weeks)
    noise = np.random.default_rng(0).normal(size=156)
    season = 5 + 3 * design[:, 1] - 2 * design[:, 4]
    both = np.stack([noise, noise + season])
    series = drift_null.Series(both, np.ones_like(both, bool), 130)
    found = drift_null.fit_deviations(series, design).values
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_autocorrelation_is_freed_of_its_bias():
    random = np.random.default_rng(8)
    n, years, phi = 130, 400, 0.7
    shocks = random.normal(size=(n, years))
    level = np.zeros((n, years))
    for t in range(1, n):
        level[t] = phi * level[t - 1] + shocks[t]
    design = drift_null.season_design(pd.date_range("2020-01-06", periods=n, freq="7D"))
    series = drift_null.Series(level.T, np.ones((years, n), bool), n)
    raw = drift_null.fit_deviations(series, design).phi
    assert raw.mean() < phi - 0.05
    corrected = drift_null.unbiased_autocorrelation(raw, n)
    assert corrected.mean() == pytest.approx(phi, abs=0.02)
    assert corrected.std() == pytest.approx(drift_null.autocorrelation_error(phi, n), rel=0.15)


def test_too_few_weeks_is_an_answer():
    report = measure(make_panel(0, 110), reference=103)
    assert report.status == "too few weeks" and report.calls == 0 and report.columns == []


def test_same_reference_keeps_its_critical_values_as_weeks_go_by():
    panel = make_panel(1, 150)
    one, two = measure(panel.iloc[:140]), measure(panel)
    assert [c.critical for c in one.columns] == [c.critical for c in two.columns]
    assert one.reference_hash == two.reference_hash


def test_same_inputs_give_the_same_report():
    assert measure(make_panel(2, 140)) == measure(make_panel(2, 140))


def test_quiet_series_pass_where_plain_psi_fires():
    reports = [measure(make_panel(seed, 182)) for seed in range(10, 20)]
    assert sum(report.calls > 0 for report in reports) <= 1
    assert np.mean([c.plain_psi > 0.25 for report in reports for c in report.columns]) > 0.9


def test_doubled_spend_is_called_and_only_it():
    hits = 0
    for seed in range(30, 36):
        panel = make_panel(seed, 156)
        panel.loc[130:, "spend.c2"] *= 2
        called = [c.column for c in measure(panel).columns if c.called]
        hits += called == ["spend.c2"]
    assert hits >= 5


def test_column_that_wanders_is_not_called():
    panel = make_panel(3, 182, columns=3)
    walk = np.cumsum(np.random.default_rng(4).normal(size=182))
    panel["control.index"] = 100 + walk
    assert "control.index" not in [c.column for c in measure(panel).columns if c.called]


def test_bursty_channel_has_an_activity_of_its_own():
    panel = make_panel(5, 182)
    random = np.random.default_rng(6)
    on = np.ones(182, bool)
    for i in range(1, 182):
        on[i] = random.random() < (0.5 if on[i - 1] else 0.3)
    on[156:] = True
    panel["spend.c0"] *= on
    report = measure(panel)
    aspects = {(c.column, c.aspect): c for c in report.columns}
    assert ("spend.c0", "activity") in aspects and ("spend.c1", "activity") not in aspects
    assert aspects["spend.c0", "activity"].statistic > 0.3


def test_columns_that_cannot_be_tested_are_named():
    panel = make_panel(7, 140)
    panel["spend.unused"], panel["control.flag"], panel["control.fee"] = 0.0, 1.0 * (panel.index % 9 == 0), 4.9
    panel["spend.rare"] = 50.0 * (panel.index % 20 == 0)
    panel["event.promo"] = 1.0
    report = measure(panel)
    assert set(report.not_tested) == {"spend.unused", "control.flag", "control.fee", "spend.rare"}
    assert len(report.columns) == 4


def test_channel_that_is_never_on_two_weeks_running_is_still_tested():
    panel = make_panel(11, 140)
    panel["spend.c0"] *= panel.index % 3 == 0
    panel["spend.c1"] *= np.random.default_rng(0).random(140) < 0.25
    assert {"spend.c0", "spend.c1"} <= {c.column for c in measure(panel).columns}


def test_geos_are_added_up():
    one = make_panel(9, 140, columns=1)
    two = pd.concat([one.assign(geo="a"), one.assign(geo="b")]).sort_values(["week", "geo"]).reset_index(drop=True)
    assert drift.weekly_inputs(two)["spend.c0"].to_numpy() == pytest.approx(2 * one["spend.c0"].to_numpy())


def test_eight_columns_take_under_two_seconds():
    panel = make_panel(1, 160, columns=8)
    start = time.process_time()
    drift.measure_drift(panel, panel["week"].iloc[155], SETTINGS.model_copy(update={"drift_simulations": 400}))
    assert time.process_time() - start < 2.0
