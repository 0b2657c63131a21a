"""How far inputs go beyond the training weeks."""

import pandas as pd
import pytest

from evermix.core.extrapolation import measure_reach, response_columns


def panel(spend, geo="all", **more):
    weeks = pd.date_range("2024-01-01", periods=len(spend), freq="7D")
    return pd.DataFrame({"week": weeks, "geo": geo, "target": 1.0, "spend.tv": spend, **more})


def reach(table, fitted=7):
    return measure_reach(table, table["week"].drop_duplicates().iloc[fitted])


def test_reach_by_hand():
    (tv,) = reach(panel([1.0, 1, 2, 4, 3, 1, 1, 1, 1, 3, 5, 6]))
    # The largest month of training is 2, 4, 3, 1; the last month 1, 3, 5, 6, of which two weeks are above 4.
    assert tv.ratio == pytest.approx(15 / 10)
    assert tv.share_beyond == pytest.approx(0.5)
    assert (tv.column, tv.geo) == ("spend.tv", "all")


def test_the_same_level_reaches_exactly_as_far_as_training():
    (tv,) = reach(panel([3.0] * 12))
    assert tv.ratio == 1.0 and tv.share_beyond == 0.0


def test_fewer_than_four_weeks_since_the_fit_say_nothing():
    assert reach(panel([3.0] * 11)) == []


def test_a_channel_without_training_spend_has_no_curve():
    assert reach(panel([0.0] * 8 + [5.0] * 4)) == []


def test_each_geo_has_a_reach_of_its_own_and_the_farthest_comes_first():
    table = pd.concat([panel([2.0] * 12, "north"), panel([1.0] * 8 + [3.0] * 4, "south")])
    assert [(r.geo, r.ratio) for r in reach(table)] == [("south", 3.0), ("north", 1.0)]


def test_exposure_drives_the_response_where_there_is_one():
    assert response_columns(["week", "spend.tv", "exposure.tv", "spend.search"]) == ["spend.search", "exposure.tv"]
