"""From log and panel to the rows that the alarms watch."""

import numpy as np
import pandas as pd
import pytest

from evermix.core.predictive import Predictive
from evermix.core.watch import judge_watched, watched_rows
from evermix.records import Score

WEEKS = [f"2026-01-{day:02d}" for day in (5, 12, 19, 26)]


def score(week, z, geo="all", as_of=None):
    numbers = dict.fromkeys(
        ("observed", "mean", "low_50", "high_50", "low_90", "high_90", "log_score", "crps", "pit"), 0.5
    )
    return Score(week=week, geo=geo, as_of=as_of or week, version="v", z=z, **numbers)


def panel(geos=("all",), target=1.0):
    rows = [{"week": pd.Timestamp(week), "geo": geo, "target": target} for week in WEEKS for geo in geos]
    return pd.DataFrame(rows)


def test_only_weeks_scored_since_the_reset_are_watched():
    log = [score(week, z) for week, z in zip(WEEKS[1:], (0.1, 0.2, 0.3), strict=True)]
    watched = watched_rows(log, panel(), WEEKS[1])
    assert watched.rows.tolist() == [False, False, True, True]
    assert (watched.weeks, watched.arrival.tolist()) == ((WEEKS[2], WEEKS[3]), [0, 1])
    assert watched.z.tolist() == pytest.approx([0.2, 0.3])


def test_a_late_week_stands_where_it_arrived():
    log = [score(WEEKS[2], 0.0), score(WEEKS[1], 1.0, as_of=WEEKS[3]), score(WEEKS[3], 2.0)]
    watched = watched_rows(log, panel(), None)
    assert watched.weeks == (WEEKS[2], WEEKS[1], WEEKS[3])
    assert watched.arrival.tolist() == [1, 0, 2]


def test_a_target_that_was_withdrawn_is_watched_no_more():
    table = panel()
    table.loc[3, "target"] = np.nan
    watched = watched_rows([score(week, 0.0) for week in WEEKS], table, None)
    assert watched.rows.tolist() == [True, True, True, False]


def test_geos_of_one_week_arrive_together():
    table = panel(("north", "south"))
    log = [score(week, 0.0, geo) for week in WEEKS for geo in ("north", "south")]
    watched = watched_rows(log, table, None)
    assert watched.arrival.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    predictive = Predictive(np.zeros((10, 8)), np.ones((10, 8)))
    report = judge_watched(watched, np.zeros(8, bool), table, predictive, np.zeros((8, 1)), ["tv"])
    assert set(report.families) == {"level", "geo", "noise"}
    assert report.weeks == 4


def test_a_target_above_every_prediction_is_laid_to_the_level():
    log = [score(week, 1.5) for week in WEEKS]
    table = panel(target=11.5)
    predictive = Predictive(np.full((10, 4), 10.0), np.ones((10, 4)))
    report = judge_watched(
        watched_rows(log, table, None), np.zeros(4, bool), table, predictive, np.zeros((4, 1)), ["tv"]
    )
    # 4 weeks of 1.5 sd: the ratio from the first week on is exp(0.9 * 6 - 0.81 * 4 / 2) for the size 0.9.
    assert report.families["level"] > np.exp(5.4 - 1.62) / 2
    assert (report.suspects[0].name, report.suspects[0].size) == ("level", 0.9)


def test_nothing_scored_yet_is_no_evidence():
    predictive = Predictive(np.zeros((10, 4)), np.ones((10, 4)))
    watched = watched_rows([], panel(), None)
    report = judge_watched(watched, np.ones(4, bool), panel(), predictive, np.zeros((4, 1)), ["tv"])
    assert report.e_detector == 0.0


def test_weeks_before_the_reset_teach_the_model_and_are_not_watched():
    table = panel(target=11.5)
    log = [score(week, 1.5) for week in WEEKS]
    # The level is not known to 3 sd: two weeks before the reset tell it, so that the next two are no surprise.
    level = np.linspace(-3.0, 3.0, 201)[:, None]
    predictive = Predictive(np.broadcast_to(10.0 + level, (201, 4)), np.ones((201, 4)))
    watched = watched_rows(log, table, WEEKS[1])
    learned = judge_watched(watched, np.ones(4, bool), table, predictive, np.zeros((4, 1)), ["tv"])
    unlearned = judge_watched(watched, np.zeros(4, bool), table, predictive, np.zeros((4, 1)), ["tv"])
    assert learned.weeks == 2
    assert learned.families["level"] < 1.5 < unlearned.families["level"]
