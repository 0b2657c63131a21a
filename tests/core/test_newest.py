import numpy as np
import pandas as pd
import pytest
from core.panels import WEEKS, accepted, grid

from evermix.core.newest import (
    copied_columns,
    exchanged_now,
    has_whole_media,
    is_not_frozen,
    is_own_week,
    is_whole_week,
)


def test_one_value_in_two_columns_is_a_copy_unless_they_are_one_by_nature():
    past = accepted()
    week = past.iloc[-1].replace(past.iloc[-1]["spend.search"], past.iloc[-1]["spend.tv"])
    assert copied_columns(past, week) == [("spend.tv", "spend.search")]
    assert copied_columns(past, past.iloc[-1]) == []
    twins = past.assign(**{"spend.search": past["spend.tv"]})
    assert copied_columns(twins, week) == []


@pytest.mark.parametrize(("factor", "whole"), [(2 / 7, False), (5 / 7, True), (0.0, True)])
def test_a_week_of_two_days_is_short_and_one_of_five_is_not_told(factor, whole):
    now = grid()
    now.iloc[-1, 1:4] *= factor
    assert is_whole_week(now).iloc[-1] == whole
    now.iloc[-1, 2] = 110.0
    assert is_whole_week(now).all()


@pytest.mark.parametrize(
    ("tv", "search", "whole"), [(0.1, 0.1, False), (0.1, 0.5, True), (0.1, 0.0, True), (0.4, 0.4, True)]
)
def test_media_that_all_fall_to_a_tenth_are_not_whole(tv, search, whole):
    now = grid()
    now.loc[now.index[-1], ["spend.tv", "spend.search"]] *= [tv, search]
    assert has_whole_media(now).iloc[-1] == whole
    assert has_whole_media(now.iloc[:-1]).all()


def test_a_week_is_exchanged_where_each_value_fits_the_others_year_alone():
    past, week = (
        accepted(),
        pd.Series({"target": 1000.0, "spend.tv": 55.0, "spend.search": 110.0, "control.price": 9.5}),
    )
    assert exchanged_now(past, week) == [("spend.tv", "spend.search")]
    assert exchanged_now(past, week.replace(55.0, 70.0)) == []
    assert exchanged_now(past.head(20), week) == []


def test_a_false_exchange_is_rare_in_series_of_one_size():
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(400):
        past = pd.DataFrame(np.exp(rng.normal(0, [0.2, 0.4, 0.8, 0.2], (52, 4))), columns=list("abcd"))
        found += len(exchanged_now(past, pd.Series(np.exp(rng.normal(0, [0.2, 0.4, 0.8, 0.2])), index=list("abcd"))))
    assert found == 0


def test_a_repeated_week_is_seen_and_one_own_value_is_enough():
    now = grid()
    now.iloc[-1] = now.iloc[-2]
    assert not is_own_week(now).iloc[-1]
    now.iloc[-1, 1] += 1
    assert is_own_week(now).all()
    assert not is_own_week(now, ["spend.tv", "spend.search"]).iloc[-1]
    now.iloc[-1] = now.iloc[-50]
    assert not is_own_week(now).iloc[-1]


def test_round_budgets_and_pauses_that_come_again_are_weeks_of_their_own():
    now = grid()
    now["spend.tv"], now["spend.search"] = [0.0, 50_000.0] * (WEEKS // 2), [20_000.0, 0.0] * (WEEKS // 2)
    assert is_own_week(now, ["spend.tv", "spend.search"]).all()


def test_a_seasonal_pair_is_exchanged_where_only_the_last_weeks_can_tell():
    wave = 1 + 0.4 * np.sin(np.arange(WEEKS) / 52 * 2 * np.pi)
    rng = np.random.default_rng(2)
    past = pd.DataFrame(
        {"a": 100 * wave * np.exp(rng.normal(0, 0.05, WEEKS)), "b": 50 * wave * np.exp(rng.normal(0, 0.05, WEEKS))}
    )
    now = past.iloc[-1]
    assert exchanged_now(past.iloc[:-1], now) == []
    assert exchanged_now(past.iloc[:-1], pd.Series({"a": now["b"], "b": now["a"]})) == [("a", "b")]


def test_frozen_needs_three_weeks_in_a_series_that_never_repeated():
    values = grid()["target"].copy()
    values.iloc[-2:] = values.iloc[-3]
    assert not is_not_frozen(values, None).iloc[-1]
    assert is_not_frozen(values, values).all()  # accepted before
    values.iloc[10] = values.iloc[11]
    assert is_not_frozen(values, None).all()
