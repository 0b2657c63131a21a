"""What is measured of a delivery: hand-worked numbers on small tables."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from deliveries import AS_OF, daily_text, model_params, weekly_text

from evermix.core.panel import panel_of, type_rows, weekly_grid
from evermix.core.quality_series import MEASURES, Delivered, delivery_values, told_series


def delivered(frame, params, as_of=AS_OF, before=None, accepted=True, number=1, arrived=None):
    rows = type_rows(frame, params.columns, params.source)
    grid = weekly_grid(rows, params.columns, params.source, as_of)
    return Delivered(as_of, number, frame, rows, grid, before, None, accepted, arrived)


def panel_as_delivered(frame, params, as_of=AS_OF):
    return panel_of(delivered(frame, params, as_of).grid)


def test_tracking_is_a_count_per_spend_and_per_first_count():
    frame = weekly_text().assign(search_views=lambda f: (2 * f["search_clicks"].astype(int)).astype(str))
    told = told_series(delivered(frame, model_params_tracked()), model_params_tracked())
    clicks, spend = float(frame["search_clicks"].iloc[-1]), float(frame["search_spend"].iloc[-1])
    newest = told.iloc[-1]
    assert newest["tracking", "exposure.search per spend.search"] == pytest.approx(clicks / spend)
    assert newest["tracking", "search_views per spend.search"] == pytest.approx(2 * clicks / spend)
    assert newest["tracking", "search_views per exposure.search"] == pytest.approx(2.0)


def model_params_tracked():
    return model_params(tracked={"search": ["search_views"]})


def test_a_count_that_is_zero_while_money_is_spent_stands_for_a_hundredth_of_its_usual_week():
    frame = weekly_text()
    frame.loc[frame.index[-1], "search_clicks"] = "0"
    told = told_series(delivered(frame, model_params()), model_params())["tracking", "exposure.search per spend.search"]
    usual = np.median(frame["search_clicks"].iloc[-53:-1].astype(float))
    assert told.iloc[-1] == pytest.approx(0.01 * usual / float(frame["search_spend"].iloc[-1]))


def test_a_channel_that_is_off_is_not_judged():
    frame = weekly_text()
    frame.loc[frame.index[-1], ["search_clicks", "search_spend"]] = "0"
    newest = told_series(delivered(frame, model_params()), model_params()).iloc[-1]
    assert np.isnan(newest["tracking", "exposure.search per spend.search"])
    assert np.isnan(newest["outlier", "spend.search"])


def test_tracking_of_geos_is_of_their_totals():
    params = model_params(geo="geo")
    told = told_series(delivered(weekly_text(geos=("north", "south")), params), params)
    frame = weekly_text(geos=("north", "south")).tail(2)
    ratio = frame["search_clicks"].astype(float).sum() / frame["search_spend"].astype(float).sum()
    assert told["tracking", "exposure.search per spend.search"].iloc[-1] == pytest.approx(ratio)


def test_completeness_counts_the_days_that_hold_a_value():
    params = model_params(frequency="daily")
    frame = daily_text(date(2025, 1, 6), 28)
    frame.loc[frame.index[-2:], "price"] = ""
    told = told_series(delivered(frame, params, date(2025, 1, 27)), params)
    assert told["completeness", "control.price"].tolist() == [1.0, 1.0, 1.0, pytest.approx(5 / 7)]
    # Rows, target, price, promo, and clicks where money was spent.
    assert told["completeness", "all"].iloc[-1] == pytest.approx((4 + 5 / 7) / 5)


def test_a_count_is_due_where_money_was_spent_and_a_blank_spend_is_zero():
    frame = weekly_text()
    frame.loc[frame.index[-1], "search_clicks"] = ""
    frame.loc[frame.index[-2], ["search_spend", "search_clicks"]] = ""
    told = told_series(delivered(frame, model_params()), model_params())["completeness", "exposure.search"]
    assert told.iloc[-1] == 0.0
    assert np.isnan(told.iloc[-2])
    assert told.iloc[-3] == 1.0


def test_a_target_that_may_still_be_late_is_not_due():
    frame = weekly_text()
    frame.loc[frame.index[-1], "sales"] = ""
    params = model_params(label_delay_weeks=1)
    told = told_series(delivered(frame, params), params)["completeness", "target"]
    assert np.isnan(told.iloc[-1])
    assert told.iloc[-2] == 1.0


def test_a_watched_count_whose_column_is_gone_is_incomplete_and_not_measured():
    told = told_series(delivered(weekly_text(), model_params_tracked()), model_params_tracked())
    assert told["completeness", "search_views"].iloc[-1] == 0.0
    assert told["tracking", "search_views per spend.search"].isna().all()


@pytest.mark.parametrize(("days", "expected"), [(1, 0.0), (3, 2.0), (0, -1.0)])
def test_freshness_counts_days_after_the_last_day_of_the_week(days, expected):
    sunday = AS_OF + timedelta(days=6)
    seen = delivered(weekly_text(), model_params(), arrived=sunday + timedelta(days=days))
    assert delivery_values(seen, model_params())["freshness_days", "all"] == expected


def test_freshness_of_a_rebuilt_week_is_unknown():
    assert delivery_values(delivered(weekly_text(), model_params()), model_params())["freshness_days", "all"] is None


def test_restated_share_and_size_are_of_the_past_that_both_deliveries_tell():
    params = model_params()
    before = panel_as_delivered(weekly_text(59), params, AS_OF - timedelta(weeks=1))
    frame = weekly_text()
    frame.loc[frame.index[[10, 11]], "tv_spend"] = "0"
    values = delivery_values(delivered(frame, params, before=before), params)
    lost = before["spend.tv"].iloc[[10, 11]].sum()
    assert values["restated_share", "spend.tv"] == pytest.approx(2 / 59)
    assert values["restated_size", "spend.tv"] == pytest.approx(lost / before["spend.tv"].sum())
    assert values["restated_share", "target"] == 0.0
    cells = 59 * sum(c not in ("week", "geo") for c in before)
    assert values["restated_share", "all"] == pytest.approx(2 / cells)


def test_label_delay_is_the_longest_way_of_a_target_that_came_or_is_still_due():
    params = model_params(label_delay_weeks=3)
    earlier = weekly_text(59)
    earlier.loc[earlier.index[-3:], "sales"] = ""
    before = panel_as_delivered(earlier, params, AS_OF - timedelta(weeks=1))
    frame = weekly_text()
    # Of the three that were due two came, one and two weeks after their own; one is still missing after three.
    frame.loc[frame.index[[-4, -1]], "sales"] = ""
    values = delivery_values(delivered(frame, params, before=before), params)
    assert values["label_delay_weeks", "all"] == 3.0
    frame.loc[frame.index[-4], "sales"] = weekly_text()["sales"].iloc[-4]
    assert delivery_values(delivered(frame, params, before=before), params)["label_delay_weeks", "all"] == 3.0
    punctual = panel_as_delivered(weekly_text(59), params, AS_OF - timedelta(weeks=1))
    assert delivery_values(delivered(weekly_text(), params, before=punctual), params)["label_delay_weeks", "all"] == 0.0


def test_duplicates_and_refusals_are_counted():
    frame = pd.concat([weekly_text(), weekly_text().tail(2)])
    frame.index = pd.RangeIndex(2, 2 + len(frame))
    values = delivery_values(delivered(frame, model_params(), accepted=False, number=2), model_params())
    assert values["duplicates", "all"] == 2.0
    assert values["refusals", "all"] == 2.0


def test_a_delivery_that_cannot_be_read_is_wholly_incomplete():
    empty = pd.DataFrame()
    seen = Delivered(AS_OF, 1, empty, empty, empty, None, None, False, AS_OF + timedelta(days=7))
    assert told_series(seen, model_params()).empty
    values = delivery_values(seen, model_params())
    assert values["completeness", "all"] == 0.0
    assert values["refusals", "all"] == 1.0
    assert values["freshness_days", "all"] == 0.0


def test_every_measure_that_is_taken_is_described():
    params = model_params_tracked()
    seen = delivered(weekly_text(), params, before=panel_as_delivered(weekly_text(), params))
    assert {key[0] for key in (*told_series(seen, params), *delivery_values(seen, params))} == set(MEASURES)


def test_the_past_of_a_told_series_does_not_depend_on_the_weeks_after():
    whole = told_series(delivered(weekly_text(), model_params()), model_params())
    cut = told_series(delivered(weekly_text(50), model_params(), AS_OF - timedelta(weeks=10)), model_params())
    pd.testing.assert_frame_equal(whole.iloc[:50], cut)
