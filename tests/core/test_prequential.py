"""Scores, the CUSUM they add up to, and which rows are due."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evermix.core import prequential as pq
from evermix.core.predictive import Predictive
from evermix.errors import FitError
from evermix.records import Score


def score(week, z, geo="all", as_of=None):
    numbers = dict.fromkeys(("observed", "mean", "log_score", "crps"), 1.0)
    bounds = {"low_50": 0.0, "high_50": 2.0, "low_90": 1.5, "high_90": 2.0}
    return Score(week=week, geo=geo, as_of=as_of or week, version="v", pit=0.5, z=z, **numbers, **bounds)


def rows(targets, geos=("all",)):
    weeks = pd.date_range("2024-01-01", periods=len(targets) // len(geos), freq="7D")
    frame = pd.DataFrame({"week": np.repeat(weeks, len(geos)), "geo": list(geos) * len(weeks), "target": targets})
    return frame.astype({"week": "datetime64[s]", "geo": "str"})


def test_cusum_by_hand():
    # Up: 0.5, 2.0, 0, 0; down: 0, 0, 1.5, 1.0 with k = 0.5.
    assert pq.cusum(np.array([1.0, 2.0, -3.0, 0.0]), 0.5) == pytest.approx([0.5, 2.0, 2.5, 2.0])


def test_cusum_by_hand_of_both_sides():
    up, down = [0.0], [0.0]
    z = np.random.default_rng(0).normal(size=50)
    for value in z:
        up.append(max(0.0, up[-1] + value - 0.5))
        down.append(max(0.0, down[-1] - value - 0.5))
    assert pq.cusum(z, 0.5) == pytest.approx(np.maximum(up, down)[1:])


def test_cusum_is_blind_to_the_sign():
    z = np.random.default_rng(1).normal(size=30)
    assert pq.cusum(z, 0.5) == pytest.approx(pq.cusum(-z, 0.5))


def test_no_week_gives_no_cusum():
    assert pq.cusum(np.array([]), 0.5).size == 0
    assert pq.surprise([], [], 0.5, None) == {
        "surprise.max_abs_z": 0.0,
        "surprise.cusum": 0.0,
        "surprise.weeks_scored": 0.0,
    }


def test_geos_are_averaged_so_dependent_geos_raise_no_false_alarm():
    log = [score("2024-01-01", 2.0, geo) for geo in ("a", "b", "c", "d")]
    assert [*pq.weekly_z(log, None).values()] == [2.0]


def test_weeks_count_in_order_of_arrival():
    late = score("2024-01-01", -5.0, as_of="2024-01-15")
    assert [*pq.weekly_z([late, score("2024-01-08", 1.0)], None).values()] == [1.0, -5.0]


def test_reset_drops_the_weeks_up_to_it():
    log = [score("2024-01-01", 2.5), score("2024-01-08", 1.0)]
    assert pq.surprise(log, [], 0.5, None)["surprise.cusum"] == pytest.approx(2.5)
    assert pq.surprise(log, [], 0.5, "2024-01-01")["surprise.cusum"] == pytest.approx(0.5)


def test_several_weeks_in_one_delivery_count_by_their_highest_point():
    new = [score("2024-01-01", 6.0, as_of="2024-01-22"), score("2024-01-08", -2.0, as_of="2024-01-22")]
    seen = pq.surprise([], new, 0.5, None)
    assert seen == {"surprise.max_abs_z": 6.0, "surprise.cusum": 2.5, "surprise.weeks_scored": 2.0}


def test_scores_of_one_normal_draw_are_the_textbook_ones():
    table = rows([12.0])
    predictive = Predictive(np.full((500, 1), 10.0), np.full((500, 1), 2.0))
    (found,) = pq.score_rows(predictive, table, "2024-01-01", "v", 1)
    assert found.z == pytest.approx(1.0) and found.pit == pytest.approx(stats.norm.cdf(1.0))
    assert found.log_score == pytest.approx(stats.norm.logpdf(12, 10, 2))
    assert (found.low_90, found.high_90) == pytest.approx(stats.norm.interval(0.9, 10, 2), abs=1e-6)


def test_impossible_week_keeps_a_finite_z():
    predictive = Predictive(np.zeros((100, 1)), np.ones((100, 1)))
    (found,) = pq.score_rows(predictive, rows([1e6]), "2024-01-01", "v", 1)
    assert 6.5 < found.z < 8 and np.isfinite(found.z)


def test_champion_that_predicts_nan_is_an_error():
    predictive = Predictive(np.full((10, 1), np.nan), np.ones((10, 1)))
    with pytest.raises(FitError, match="not finite"):
        pq.score_rows(predictive, rows([1.0]), "2024-01-01", "v", 1)


def test_due_are_known_targets_after_the_fit_that_nobody_scored():
    table = rows([1.0, 2.0, np.nan, 4.0])
    log = [score("2024-01-08", 0.0)]
    assert pq.rows_to_score(table, None, "2024-01-01", log).tolist() == [False, False, False, True]


def test_one_geo_may_be_due_while_the_other_is_late():
    table = rows([1.0, 2.0, 3.0, np.nan], geos=("a", "b"))
    assert pq.rows_to_score(table, None, "2024-01-01", []).tolist() == [False, False, True, False]


def test_target_that_was_late_at_the_fit_is_due_when_it_comes():
    before = rows([1.0, np.nan])
    assert pq.rows_to_score(rows([1.0, 2.0]), before, "2024-01-08", []).tolist() == [False, True]


def test_log_table_has_the_cusum_since_the_reset_only():
    log = [score("2024-01-01", 6.0), score("2024-01-08", 1.5)]
    table = pq.log_table(log, 0.5, "2024-01-01")
    assert np.isnan(table["cusum"][0]) and table["cusum"][1] == pytest.approx(1.0)
    assert pq.log_table([], 0.5, None).empty


def test_log_summary_counts_rows_inside_their_intervals():
    assert pq.log_summary([score("2024-01-01", 0.0)])["coverage_50"] == 1.0
    assert pq.log_summary([score("2024-01-01", 0.0)])["coverage_90"] == 0.0
    assert pq.log_summary([]) == {}


def test_new_geo_is_named_and_not_scored():
    columns = {"channels": {}, "controls": {}, "events": {}}
    now = rows([1.0, 2.0], geos=("a", "b"))
    _, missing = pq.complete_inputs(now, rows([1.0], geos=("a",)), columns)
    assert missing == ["geo b"]


def test_one_outlier_moves_the_cusum_by_no_more_than_three_sd():
    assert pq.cusum(np.array([9.0]), 0.5).tolist() == [2.5]
    assert pq.cusum(np.array([9.0, 0.0, 9.0]), 0.5).tolist() == [2.5, 2.0, 4.5]
