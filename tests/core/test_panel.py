from datetime import date

import numpy as np
import pandas as pd
import pytest
from deliveries import AS_OF, WEEKS, daily_text, model_params, weekly_text
from hypothesis import given, settings
from hypothesis import strategies as st

from evermix.core.panel import (
    WEEKDAYS,
    held_back_weeks,
    is_waiting,
    label_weekday,
    last_day,
    parse_dates,
    parse_numbers,
    to_panel,
    type_rows,
    week_of,
)


def panel(frame, params, as_of=AS_OF):
    return to_panel(frame, params.columns, params.source, as_of)


def text(*cells):
    return pd.Series(list(cells), dtype="str")


def test_panel_has_the_canonical_columns_types_and_order():
    p = panel(weekly_text(), model_params())
    assert list(p) == [
        "week",
        "geo",
        "target",
        "spend.tv",
        "spend.search",
        "exposure.search",
        "control.price",
        "event.promo",
    ]
    assert p["week"].dtype == "datetime64[s]"
    assert p["geo"].unique().tolist() == ["all"]
    assert len(p) == WEEKS
    assert isinstance(p.index, pd.RangeIndex)


def test_daily_rows_add_up_average_and_peak_as_each_column_says():
    # Worked by hand: Thursday 2024-02-01 to Sunday 2024-02-18; the first whole week is 5 to 11, the second 12 to 18.
    frame = daily_text(date(2024, 2, 1), 18)
    frame.loc[frame["week"] == "2024-02-07", "promo"] = "1"
    p = panel(frame, model_params(frequency="daily"), date(2024, 2, 12))
    assert [w.date().isoformat() for w in p["week"]] == ["2024-02-05", "2024-02-12"]
    assert p["target"].tolist() == [7.0, 7.0]
    assert p["spend.tv"].tolist() == [14.0, 14.0]
    assert p["exposure.search"].tolist() == [28.0, 28.0]
    assert p["control.price"].tolist() == [8.0, 15.0]  # means of 5..11 and 12..18
    assert p["event.promo"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("aggregate", "expected"), [("min", 5.0), ("max", 11.0), ("last", 11.0), ("sum", 56.0)])
def test_every_aggregate_of_a_control(aggregate, expected):
    params = model_params(frequency="daily", controls={"price": {"column": "price", "aggregate": aggregate}})
    assert panel(daily_text(date(2024, 2, 5), 7), params, date(2024, 2, 5))["control.price"].tolist() == [expected]


def test_blank_spend_is_zero_and_blank_target_stays_missing():
    frame = daily_text(date(2024, 2, 5), 7)
    frame.loc[2, ["tv_spend", "sales"]] = ""
    p = panel(frame, model_params(frequency="daily"), date(2024, 2, 5))
    assert p["spend.tv"].tolist() == [12.0]
    assert np.isnan(p["target"].iloc[0])  # six days of seven must not pass for a week


def test_incomplete_last_week_of_daily_rows_is_held_back():
    params = model_params(frequency="daily")
    frame = daily_text(date(2024, 2, 5), 13)
    as_of = date(2024, 2, 12)
    assert len(panel(frame, params, as_of)) == 1
    assert held_back_weeks(type_rows(frame, params.columns, params.source), params.source, as_of) == ["2024-02-12"]


def test_weeks_after_as_of_play_no_part():
    assert panel(weekly_text(), model_params(), date(2024, 3, 4))["week"].max() == pd.Timestamp("2024-03-04")


def test_a_channel_not_launched_yet_is_zero_without_its_column():
    late = {"tv": {"spend": "audio_spend", "exposure": None, "launched": "2026-01-05"}}
    assert (panel(weekly_text(), model_params(channels=late))["spend.tv"] == 0.0).all()


def test_geos_are_rows_of_their_own():
    p = panel(weekly_text(geos=("north", "south")), model_params(geo="geo"))
    assert len(p) == 2 * WEEKS
    assert p["geo"].tolist()[:2] == ["north", "south"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_shuffled_rows_give_the_same_panel(seed):
    params = model_params(frequency="daily")
    frame = daily_text(date(2024, 2, 1), 40)
    frame["sales"] = [str(v) for v in np.random.default_rng(0).random(40)]
    shuffled = frame.sample(frac=1.0, random_state=seed)
    pd.testing.assert_frame_equal(
        panel(frame, params, date(2024, 3, 4)), panel(shuffled, params, date(2024, 3, 4)), check_exact=True
    )


def test_week_of_a_sunday_week_is_the_monday_inside_it():
    # The source week Sunday 2024-01-07 to Saturday 2024-01-13 holds Monday 2024-01-08.
    days = pd.Series(pd.to_datetime(["2024-01-07", "2024-01-08", "2024-01-13", "2024-01-14"]))
    named = [w.date().isoformat() for w in week_of(days, "SUN")]
    assert named == ["2024-01-08", "2024-01-08", "2024-01-08", "2024-01-15"]
    assert last_day(date(2024, 1, 8), "SUN") == date(2024, 1, 13)


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.sampled_from(WEEKDAYS))
def test_every_day_lies_in_the_week_that_names_it(day, week_start):
    week = week_of(pd.Series([pd.Timestamp(day)]), week_start).iloc[0].date()
    assert week.weekday() == 0
    assert 0 <= (last_day(week, week_start) - day).days <= 6


def test_label_end_is_dated_on_the_day_before_the_week_starts():
    assert label_weekday(model_params(label="end", week_start="SUN").source) == "SAT"
    assert label_weekday(model_params(label="start", week_start="SUN").source) == "SUN"


def test_label_end_names_the_same_week_as_label_start():
    frame = weekly_text()
    ends = frame.assign(week=[(date.fromisoformat(d) + pd.Timedelta(days=6)).isoformat() for d in frame["week"]])
    pd.testing.assert_frame_equal(panel(frame, model_params()), panel(ends, model_params(label="end")))


def test_dates_of_one_format_are_read_and_others_are_not():
    dates = parse_dates(text("2024-01-29", "2024-02-05 00:00:00", "12/02/2024", "2024-02-19T13:00", "soon", ""))
    assert dates.notna().tolist() == [True, True, False, False, False, False]


def test_day_first_dates_are_told_from_month_first_by_the_whole_column():
    assert parse_dates(text("01/02/2024", "08/02/2024", "15/02/2024")).dt.month.tolist() == [2, 2, 2]
    assert parse_dates(text("02/01/2024", "02/08/2024", "02/15/2024")).dt.month.tolist() == [2, 2, 2]


def test_only_plain_finite_numbers_are_read():
    numbers = parse_numbers(text("1", " -2.5 ", ".5", "1e3", "1,000", "£3", "nan", "inf", "1e999", "", "٣"))
    assert numbers.dropna().tolist() == [1.0, -2.5, 0.5, 1000.0]


@pytest.mark.parametrize(
    ("last", "waiting"), [("2024-01-08", True), ("2024-01-15", False), ("2024-01-22", False), ("soon", False)]
)
def test_weekly_source_is_waiting_until_a_row_of_the_week_or_later(last, waiting):
    dates = parse_dates(text("2024-01-01", last))
    assert is_waiting(dates, model_params().source, date(2024, 1, 15)) is waiting


@pytest.mark.parametrize("mistyped", ["2024-01-14", "2014-01-15"])  # the day before, and another year
def test_a_date_that_may_be_the_one_waited_for_mistyped_does_not_wait(mistyped):
    dates = parse_dates(text("2024-01-01", "2024-01-08", mistyped))
    assert not is_waiting(dates, model_params().source, date(2024, 1, 15))


@pytest.mark.parametrize(("last", "waiting"), [("2024-01-20", True), ("2024-01-21", False), ("2024-01-22", False)])
def test_daily_source_is_waiting_until_the_last_day_of_the_week(last, waiting):
    dates = parse_dates(text("2024-01-08", last))
    assert is_waiting(dates, model_params(frequency="daily").source, date(2024, 1, 15)) is waiting
