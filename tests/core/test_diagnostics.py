"""Numbers a challenger is judged by."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from evermix.core import diagnostics
from evermix.core.predictive import Predictive

FINITE = st.floats(-1e6, 1e6)


def make_rows(target, geos=("all",)):
    weeks = pd.date_range("2024-01-01", periods=len(target) // len(geos), freq="7D").astype("datetime64[s]")
    return pd.DataFrame({"week": np.repeat(weeks, len(geos)), "geo": list(geos) * len(weeks), "target": target})


def normal(mean, sd, rows, draws=400):
    return Predictive(np.full((draws, rows), mean), np.full((draws, rows), sd))


def totals(**bounds):
    """Return totals whose 90 % interval is known: equally spaced draws over a range."""
    values = np.stack([np.linspace(low, high, 101) for low, high in bounds.values()], axis=1)
    return xr.DataArray(values, dims=("draw", "component"), coords={"component": list(bounds)})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0.0, 2.0), (1.0, 4.0), 0.5),
        ((0.0, 1.0), (2.0, 3.0), 0.0),
        ((0.0, 10.0), (4.0, 5.0), 1.0),
        ((0.0, 1.0), (0.0, 1.0), 1.0),
        ((0.0, 0.0), (-1.0, 1.0), 1.0),
        ((0.0, 0.0), (0.0, 0.0), 1.0),
        ((0.0, 0.0), (1.0, 2.0), 0.0),
    ],
)
def test_overlap_by_hand(one, other, expected):
    assert diagnostics.interval_overlap(one, other) == pytest.approx(expected)


def test_overlap_of_a_missing_bound_is_missing():
    assert np.isnan(diagnostics.interval_overlap((0.0, np.nan), (0.0, 1.0)))


@given(FINITE, FINITE, FINITE, FINITE)
def test_overlap_is_a_symmetric_share(a, b, c, d):
    one, other = (min(a, b), max(a, b)), (min(c, d), max(c, d))
    found = diagnostics.interval_overlap(one, other)
    assert 0.0 <= found <= 1.0 + 1e-9
    assert found == diagnostics.interval_overlap(other, one)


def test_champion_overlap_is_the_worst_shared_channel():
    table = diagnostics.contribution_table(
        totals(tv=(0, 100), search=(50, 150), video=(5, 6)), totals(tv=(0, 100), search=(100, 200)), {}
    )
    assert table.loc["search", "overlap"] == pytest.approx((145 - 105) / 90)
    assert diagnostics.champion_overlap(table, ["tv", "search", "video"]) == pytest.approx(40 / 90)


def test_channel_the_champion_never_used_is_no_disagreement():
    table = diagnostics.contribution_table(totals(tv=(0, 100), video=(50, 90)), totals(tv=(0, 100), video=(0, 0)), {})
    assert diagnostics.champion_overlap(table, ["tv", "video"]) == pytest.approx(1.0)


def test_nothing_shared_has_no_overlap():
    table = diagnostics.contribution_table(totals(tv=(0, 1)), None, {})
    assert diagnostics.champion_overlap(table, ["tv"]) is None


def test_roas_is_total_over_spend_and_only_where_money_was_spent():
    table = diagnostics.contribution_table(
        totals(tv=(0, 100), search=(0, 10)), totals(tv=(0, 50)), {"tv": 25.0, "search": 0.0}
    )
    rows = diagnostics.roas_rows(table)
    assert [(row["channel"], row["version"]) for row in rows] == [("tv", "champion"), ("tv", "challenger")]
    assert rows[1]["mean"] == pytest.approx(2.0) and rows[1]["low"] == pytest.approx(0.2)


def test_totals_cover_the_last_weeks_of_all_geos():
    values = np.arange(2 * 60 * 2 * 1, dtype=float).reshape(2, 60, 2, 1)
    contributions = xr.DataArray(values, dims=("draw", "week", "geo", "component"), coords={"component": ["tv"]})
    assert diagnostics.total_contributions(contributions, {}).to_numpy()[0, 0] == values[0, 8:].sum()


def test_p_values_are_moderate_under_the_truth():
    random = np.random.default_rng(0)
    found = diagnostics.predictive_p_values(normal(5.0, 2.0, 200), make_rows(random.normal(5, 2, 200)), 1)
    assert all(0.01 < value < 0.99 for value in found.values())


def test_p_values_show_a_wrong_mean_and_a_wrong_spread():
    random = np.random.default_rng(0)
    rows = make_rows(random.normal(5, 2, 200))
    assert diagnostics.predictive_p_values(normal(4.0, 2.0, 200), rows, 1)["ppc_mean_p"] < 0.01
    assert diagnostics.predictive_p_values(normal(5.0, 4.0, 200), rows, 1)["ppc_sd_p"] > 0.99


def test_spread_is_taken_within_geos():
    random = np.random.default_rng(0)
    target = random.normal(0, 1, 200) + np.tile([0.0, 1000.0], 100)
    predictive = Predictive(np.tile([0.0, 1000.0], (400, 100)), np.full((400, 200), 3.0))
    assert diagnostics.predictive_p_values(predictive, make_rows(target, ("a", "b")), 1)["ppc_sd_p"] > 0.99


def test_autocorrelation_p_value_shows_memory():
    walk = np.cumsum(np.random.default_rng(0).normal(size=200))
    rows = make_rows((walk - walk.mean()) / walk.std())
    assert diagnostics.predictive_p_values(normal(0.0, 1.0, 200), rows, 1)["ppc_lag1_p"] < 0.01


def test_coverage_by_hand():
    # Half of N(0, 1) lies within 0.674.
    assert diagnostics.coverage(normal(0.0, 1.0, 4), np.array([0.0, 0.6, -0.7, 3.0]), 0.5) == 0.5


def test_held_out_are_the_last_weeks_that_have_a_target():
    rows = make_rows([1.0, 2.0, 3.0, 4.0, np.nan])
    assert diagnostics.is_held_out(rows, 2).tolist() == [False, False, True, True, False]


def make_history(weeks=150):
    random = np.random.default_rng(3)
    panel = make_rows(1000 + random.normal(0, 10, weeks))
    return panel.assign(**{"spend.tv": random.gamma(2, 50, weeks)})


def test_true_model_beats_the_baselines_on_the_holdout():
    panel = make_history()
    held = diagnostics.is_held_out(panel, 13)
    values, reasons, table = diagnostics.holdout_skill(normal(1000.0, 10.0, 13), panel, held, 52, 1)
    assert values["holdout_crps_ratio"] < 1.1 and reasons == {}
    assert values["seasonal_naive_crps"] > values["holdout_crps"]
    assert {"seasonal_naive", "ridge"} <= set(table)


def test_wrong_model_loses_to_the_baselines():
    panel = make_history()
    held = diagnostics.is_held_out(panel, 13)
    values, _, _ = diagnostics.holdout_skill(normal(900.0, 10.0, 13), panel, held, 52, 1)
    assert values["holdout_crps_ratio"] > 5 and values["holdout_coverage_90"] == 0.0


def test_short_history_says_why_a_baseline_is_missing():
    panel = make_history(60)
    held = diagnostics.is_held_out(panel, 13)
    values, reasons, _ = diagnostics.holdout_skill(normal(1000.0, 10.0, 13), panel, held, 52, 1)
    assert "seasonal_naive_crps" in reasons and "holdout_crps_ratio" in values


def test_not_finite_becomes_missing():
    assert diagnostics.finite_values({"a": np.nan, "b": None, "c": np.inf, "d": 1}) == {
        "a": None,
        "b": None,
        "c": None,
        "d": 1.0,
    }


def launch_panel(spend):
    weeks = pd.date_range("2025-01-06", periods=len(spend), freq="7D")
    return pd.DataFrame({"week": weeks, "geo": "all", "target": 1.0, "spend.tv": 1.0, "spend.audio": spend})


def test_weeks_from_a_launch_that_the_holdout_fit_never_saw_are_found():
    held = np.array([False] * 6 + [True] * 4)
    panel = launch_panel([0.0] * 8 + [5.0, 0.0])
    assert diagnostics.unseen_launch(panel, held) == (panel["week"].iloc[8], "audio")


def test_a_channel_that_spent_before_the_holdout_is_no_launch():
    held = np.array([False] * 6 + [True] * 4)
    assert diagnostics.unseen_launch(launch_panel([0.0, 1.0] + [0.0] * 6 + [5.0, 5.0]), held) is None
    assert diagnostics.unseen_launch(launch_panel([0.0] * 10), held) is None


def test_a_holdout_without_a_week_to_score_has_no_numbers_and_so_does_not_pass():
    rows = make_rows([1.0] * 8)
    values, _, table = diagnostics.holdout_skill(normal(1.0, 1.0, 0), rows, np.zeros(8, bool), 52, 0)
    assert values == {}
    assert table.empty


def test_an_excess_of_scores_is_told_in_its_standard_errors():
    weeks = pd.Series(pd.date_range("2025-01-06", periods=3, freq="7D"))
    # mean 2, sd 1, standard error 1 / sqrt(3)
    assert diagnostics.excess_in_errors(np.array([1.0, 2.0, 3.0]), weeks) == pytest.approx(2 * np.sqrt(3))


def test_geos_of_one_week_count_once():
    weeks = pd.Series(np.repeat(pd.date_range("2025-01-06", periods=3, freq="7D"), 2))
    doubled = np.array([0.0, 2.0, 1.0, 3.0, 2.0, 4.0])
    assert diagnostics.excess_in_errors(doubled, weeks) == pytest.approx(2 * np.sqrt(3))


def test_two_weeks_cannot_say_how_sure_a_difference_is():
    weeks = pd.Series(pd.date_range("2025-01-06", periods=2, freq="7D"))
    assert np.isnan(diagnostics.excess_in_errors(np.array([1.0, 2.0]), weeks))
