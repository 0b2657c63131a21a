"""Input drift: what is called, what is not, and its error rates on a few quiet and shifted series."""

import time

import numpy as np
import pandas as pd
import pytest

from evermix.config import MonitorParams
from evermix.core import drift, drift_series

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


def called(report):
    return {(c.column, c.aspect) for c in report.columns if c.called}


def test_too_few_weeks_is_an_answer():
    report = measure(make_panel(0, 110), reference=103)
    assert report.status == "too few weeks" and report.calls == 0 and report.columns == []


def test_week_of_the_fit_has_nothing_to_compare_yet():
    report = measure(make_panel(0, 130))
    assert report.status == "tested" and report.weeks_since == 0 and report.calls == 0


def test_same_reference_keeps_its_limits_as_weeks_go_by():
    panel = make_panel(1, 180)
    one, two = measure(panel.iloc[:179]), measure(panel)
    limits = [{(c.column, c.aspect, c.window_weeks): c.critical for c in report.columns} for report in (one, two)]
    common = limits[0].keys() & limits[1].keys()
    assert common
    assert all(limits[0][key] == limits[1][key] for key in common)
    assert one.reference_hash == two.reference_hash


def test_same_inputs_give_the_same_report():
    assert measure(make_panel(2, 140)) == measure(make_panel(2, 140))


def test_quiet_series_pass_where_plain_psi_fires():
    reports = [measure(make_panel(seed, 182)) for seed in range(10, 20)]
    assert sum(report.calls > 0 for report in reports) <= 1
    psi = [c.plain_psi for report in reports for c in report.columns if c.plain_psi is not None]
    assert np.mean(np.array(psi) > 0.25) > 0.9


def test_doubled_spend_is_called_with_its_size():
    hits = 0
    for seed in range(30, 36):
        panel = make_panel(seed, 156)
        panel.loc[130:, "spend.c2"] *= 2
        report = measure(panel)
        hits += ("spend.c2", "level") in called(report) or ("spend.c2", "mix") in called(report)
        (level,) = [c for c in report.columns if (c.column, c.aspect) == ("spend.c2", "level")]
        assert level.shift == pytest.approx(np.log(2), abs=0.35)
    assert hits >= 5


def test_budget_that_moves_from_one_channel_to_another_is_a_call_of_the_mix():
    panel = make_panel(40, 156, phi=0.3, sd=0.1)
    common = 1.0 + 0.3 * np.sin(np.arange(156) / 9.0)
    for c in range(4):
        panel[f"spend.c{c}"] *= common
    panel.loc[136:, "spend.c0"] *= 1.4
    panel.loc[136:, "spend.c1"] *= 0.6
    report = measure(panel)
    assert {("spend.c0", "mix"), ("spend.c1", "mix")} <= called(report)
    assert report.mix_ratio > 1.0


def test_channels_that_begin_to_move_together_are_a_call_of_the_correlation():
    panel = make_panel(41, 182, phi=0.2, sd=0.2)
    season = np.exp(0.4 * np.cos(2 * np.pi * np.arange(182) / 52.18))
    one = panel["spend.c1"] / np.exp(0.4 * np.cos(2 * np.pi * np.arange(182) / 52.18 + 1))
    panel.loc[150:, "spend.c0"] = (one * season)[150:]
    report = measure(panel)
    (pair,) = [c for c in report.columns if c.aspect == "correlation"]
    assert pair.column == "spend.c0 and spend.c1"
    assert pair.called
    assert report.correlation_ratio == pair.ratio


def test_column_that_wanders_is_not_called():
    panel = make_panel(3, 182, columns=3)
    walk = np.cumsum(np.random.default_rng(4).normal(size=182))
    panel["control.index"] = 100 + walk
    assert "control.index" not in {column for column, _ in called(measure(panel))}


def test_one_mad_week_is_not_a_drift():
    panel = make_panel(4, 146)
    panel.loc[140, "spend.c1"] *= 2.5
    assert measure(panel).calls == 0


def test_bursty_channel_has_an_activity_of_its_own():
    panel = make_panel(5, 182)
    random = np.random.default_rng(6)
    on = np.ones(182, bool)
    for i in range(1, 182):
        on[i] = random.random() < (0.5 if on[i - 1] else 0.3)
    on[150:] = True
    panel["spend.c0"] *= on
    report = measure(panel)
    aspects = {(c.column, c.aspect): c for c in report.columns}
    assert ("spend.c0", "activity") in aspects and ("spend.c1", "activity") not in aspects
    assert aspects["spend.c0", "activity"].called


def test_columns_that_cannot_be_tested_are_named():
    panel = make_panel(7, 140)
    panel["spend.unused"], panel["control.flag"], panel["control.fee"] = 0.0, 1.0 * (panel.index % 9 == 0), 4.9
    panel["spend.rare"] = 50.0 * (panel.index % 20 == 0)
    panel["event.promo"] = 1.0
    report = measure(panel)
    assert set(report.not_tested) == {"spend.unused", "control.flag", "control.fee", "spend.rare"}
    assert len([c for c in report.columns if c.aspect == "level"]) == 4


def test_channel_that_is_never_on_two_weeks_running_is_still_tested():
    panel = make_panel(11, 140)
    panel["spend.c0"] *= panel.index % 3 == 0
    panel["spend.c1"] *= np.random.default_rng(0).random(140) < 0.25
    assert {"spend.c0", "spend.c1"} <= {c.column for c in measure(panel).columns}


def test_geos_are_added_up():
    one = make_panel(9, 140, columns=1)
    two = pd.concat([one.assign(geo="a"), one.assign(geo="b")]).sort_values(["week", "geo"]).reset_index(drop=True)
    inputs = drift_series.weekly_inputs(two)
    assert inputs["spend.c0"].to_numpy() == pytest.approx(2 * one["spend.c0"].to_numpy())


def test_eight_columns_take_under_half_a_second():
    panel = make_panel(1, 160, columns=8)
    start = time.process_time()
    drift.measure_drift(panel, panel["week"].iloc[140], SETTINGS.model_copy(update={"drift_simulations": 400}))
    assert time.process_time() - start < 0.5


def test_fit_older_than_a_year_is_still_asked():
    panel = make_panel(12, 200)
    panel.loc[180:, "spend.c1"] *= 2
    assert ("spend.c1", "level") in called(measure(panel))


def test_channels_in_bursts_leave_the_others_their_limits():
    panel = make_panel(13, 170)
    for c, period in ((0, 60), (1, 70)):
        panel[f"spend.c{c}"] *= panel.index % period < period // 2
    panel.loc[140:, "spend.c3"] *= 2
    report = measure(panel)
    assert all(np.isfinite(c.ratio) for c in report.columns)
    assert "spend.c3" in {column for column, _ in called(report)}


def test_paths_for_a_plot_are_distances_from_the_season():
    panel = make_panel(14, 150)
    paths = drift.tested_paths(panel, 130)
    level = paths[(paths["column"] == "spend.c0") & (paths["aspect"] == "level")]
    assert len(level) == 150 and level["since"].sum() == 20
    past = level[~level["since"]]
    inside = (past["apart"] > past["low"]) & (past["apart"] < past["high"])
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    assert drift.tested_paths(panel[["week", "geo", "target"]], 130).empty
