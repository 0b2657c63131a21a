"""Limits from a series' own past: hand-worked cases, what they call, and what they leave alone."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evermix.core.quality_limits import judge_week, usual_step, usual_value, width_of
from evermix.core.quality_record import (
    append_points,
    delivery_number,
    points_table,
    quality_evidence,
    read_points,
    to_text,
)
from evermix.core.quality_series import Delivered

FIRST = date(2023, 1, 2)
EMPTY = pd.DataFrame()
KEY = ("tracking", "clicks per spend")


def seen(weeks, number=1, accepted=True):
    return Delivered(FIRST + timedelta(weeks=weeks - 1), number, EMPTY, EMPTY, EMPTY, None, None, accepted, None)


def told(values, key=KEY):
    weeks = pd.date_range(FIRST, periods=len(values), freq="7D", unit="s")
    table = pd.DataFrame({0: np.asarray(values, float)}, index=weeks)
    table.columns = pd.MultiIndex.from_tuples([key])
    return table


def judge(values, key=KEY, delivered=None, recorded=None, week=None, budget=1.0):
    table = told(values, key) if len(values) else EMPTY
    record = points_table("") if recorded is None else recorded
    return judge_week(table, delivered or {}, record, week or seen(max(1, len(values))), budget, 26)


def relation(weeks, seed=1, sd=0.1):
    return np.exp(sd * np.random.default_rng(seed).standard_normal(weeks))


def test_width_gives_each_series_its_share_of_the_years_false_calls():
    scale = 1.4826 * stats.t(5).ppf(0.75)
    for series in (1, 7):
        rate = 2 * stats.t(5).sf(width_of(1.0, series) * scale)
        assert series * 52 * rate == pytest.approx(1.0)


def test_usual_step_is_measured_from_the_median_of_the_eight_values_before():
    values = np.exp(np.arange(12.0))
    usual = usual_step(values, 0.01)
    # A line of slope 1 lies 4.5 above the median of its last eight values.
    assert usual.centre == pytest.approx(11.0)
    assert usual.scale == 0.01
    assert usual.weeks == 3


def test_usual_value_takes_the_larger_of_two_robust_spreads():
    usual = usual_value([0.0] * 60 + [1.0] * 40)
    assert (usual.centre, usual.least, usual.most) == (0.0, 0.0, 1.0)
    assert usual.scale == pytest.approx(1 / 1.349)


def test_a_lasting_break_is_outside_at_once_and_usual_again_a_month_later():
    values = relation(110)
    values[100:] *= 0.4
    outside = [judge(values[:n])[0].outside for n in range(95, 110)]
    assert outside[:6] == [False] * 6
    assert outside[6] is True
    assert outside[-2:] == [False, False]


def test_slow_change_and_growth_move_the_limits_along():
    values = relation(150) * np.exp(0.01 * np.arange(150))
    assert not any(judge(values[:n])[0].outside for n in range(60, 150))


def test_too_few_weeks_set_no_limit():
    (point,) = judge(relation(26 + 8))
    assert (point.limit, point.low, point.high, point.outside) == ("too few weeks", None, None, False)
    (point,) = judge(relation(26 + 8 + 1))
    assert point.limit == "spread"
    assert point.weeks == 26


def test_a_relation_that_always_stood_still_may_move_by_some_percent():
    assert not judge([2.0] * 60 + [2.06])[0].outside
    assert judge([2.0] * 60 + [2.4])[0].outside


def test_what_comes_again_is_not_outside_by_its_last_digit():
    third = 1 / 3
    record = record_of("restated_share", [third] * 40)
    (point,) = judge([], delivered={("restated_share", "all"): third}, recorded=record, week=seen(41))
    assert (point.value, point.high, point.outside) == (0.333333, 0.333333, False)


def record_of(measure, values, accepted=True):
    text = ""
    for n, value in enumerate(values, 1):
        points = judge([], delivered={(measure, "all"): value}, week=seen(n, accepted=accepted))
        text = append_points(text, to_text(points))
    return points_table(text)


def test_the_worst_so_far_is_the_limit_of_what_hardly_ever_happens():
    record = record_of("restated_share", [0.0] * 39 + [0.02])
    point = lambda value: judge([], delivered={("restated_share", "all"): value}, recorded=record, week=seen(41))[0]  # noqa: E731
    assert (point(0.02).outside, point(0.021).outside) == (False, True)
    assert point(0.02).limit == "worst"


def test_what_varies_must_leave_its_spread_and_be_the_worst_so_far():
    late = [float(v) for v in np.random.default_rng(0).integers(0, 4, 60)]
    record = record_of("freshness_days", late)
    point = lambda value: judge([], delivered={("freshness_days", "all"): value}, recorded=record, week=seen(61))[0]  # noqa: E731
    assert not point(4.0).outside
    assert point(30.0).outside
    assert point(30.0).low is None


def test_the_contract_allows_no_duplicate_from_the_first_week_on():
    (point,) = judge([], delivered={("duplicates", "all"): 1.0})
    assert (point.limit, point.high, point.outside) == ("none", 0.0, True)


def test_refused_deliveries_are_recorded_and_set_no_limit():
    record = record_of("restated_share", [0.0] * 30)
    bad = judge([], delivered={("restated_share", "all"): 0.9}, recorded=record, week=seen(31, accepted=False))
    assert bad[0].outside
    record = points_table(append_points(as_text(record), to_text(bad)))
    assert delivery_number(record, seen(31).as_of) == 2
    again = judge([], delivered={("restated_share", "all"): 0.5}, recorded=record, week=seen(32))
    assert again[0].high == 0.0


def as_text(record):
    return record.to_csv(index=False, lineterminator="\n")


def test_completeness_is_compared_with_what_was_told_then_not_with_todays_telling():
    record = record_of("completeness", [1.0] * 30)
    # Today's delivery lacks the column in every week; what was recorded had it.
    (point,) = judge([0.0] * 31, key=("completeness", "all"), recorded=record)
    assert (point.low, point.outside, point.weeks) == (1.0, True, 30)


def test_a_week_without_a_value_is_not_measured_and_not_outside():
    (point,) = judge([*relation(60), np.nan])
    assert (point.value, point.limit, point.outside) == (None, "not measured", False)


def test_a_record_reads_back_as_it_was_written():
    points = judge(relation(60)) + judge([], delivered={("duplicates", "all"): 1.0, ("freshness_days", "all"): None})
    assert read_points(to_text(points)) == points


def test_evidence_counts_what_is_outside_and_names_it():
    values = relation(60)
    values[-1] *= 0.1
    points = judge(values, delivered={("duplicates", "all"): 2.0, ("freshness_days", "all"): None})
    numbers, notes = quality_evidence(points)
    assert numbers["quality.breaks"] == 2.0
    assert numbers["quality.tracking_breaks"] == 1.0
    assert numbers["quality.outliers"] == 0.0
    assert "quality.freshness_days" not in numbers
    assert "tracking of clicks per spend: 0.09691, limits 0.7463 to 1.264" in notes["quality.breaks"]
    assert "duplicates of all: 2, limits at most 0" in notes["quality.breaks"]


def test_quiet_series_are_outside_about_as_often_as_is_said():
    rng = np.random.default_rng(20260105)
    calls, years = 0, 0.0
    for _ in range(15):
        table = pd.concat([told(np.exp(0.2 * rng.standard_t(5, 140)), ("tracking", str(i))) for i in range(6)], axis=1)
        for n in range(88, 140):
            week = replace(seen(n), as_of=table.index[n - 1].date())
            calls += sum(p.outside for p in judge_week(table, {}, points_table(""), week, 1.0, 26))
        years += 1
    assert 0.5 < calls / years < 2.0
