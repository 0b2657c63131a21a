import numpy as np
import pandas as pd
import pytest

from evermix.core.past import (
    Exchange,
    exchanged_now,
    exchanged_past,
    is_not_frozen,
    is_own_week,
    misplaced_weeks,
    rewritten_columns,
)

WEEKS = 60


def grid(weeks=WEEKS, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [pd.date_range("2024-01-01", periods=WEEKS, freq="7D"), ["all"]], names=["week", "geo"]
    )
    frame = pd.DataFrame(
        {
            "rows": 1,
            "target": rng.normal(1000, 50, WEEKS),
            "spend.tv": rng.uniform(100, 120, WEEKS),
            "spend.search": rng.uniform(50, 60, WEEKS),
            "control.price": rng.uniform(9, 10, WEEKS),
        },
        index=index,
    )
    return frame.head(weeks)


def accepted(weeks=WEEKS - 1):
    return grid(weeks).drop(columns="rows")


def test_the_same_past_is_neither_rewritten_nor_exchanged():
    assert rewritten_columns(accepted(), grid(), 0.3) == {}
    assert exchanged_past(accepted(), grid()) == {}


@pytest.mark.parametrize(("column", "factor", "weeks", "is_rewritten"), [
    ("target", 1.1, 17, False),  # 17 of 59 is under the limit of 0.3
    ("target", 1.1, 18, True),
    ("target", 1.005, 59, False),  # rounding
    ("spend.tv", 1.3, 53, False),  # one ordinary factor: a supplier's rate, up to 90 %
    ("spend.tv", 1.3, 54, True),
    ("spend.tv", 100.0, 18, True),  # no ordinary factor
    ("target", 100.0, 7, False),  # below 8 cells the rules of scale speak
])  # fmt: skip
def test_rewritten_is_a_share_of_past_cells(column, factor, weeks, is_rewritten):
    now = grid()
    now.iloc[:weeks, now.columns.get_loc(column)] *= factor
    assert (list(rewritten_columns(accepted(), now, 0.3)) == [column]) is is_rewritten


def test_exchanged_cells_are_counted():
    now = grid()
    now.iloc[10:15, [2, 3]] = now.iloc[10:15, [3, 2]].to_numpy(copy=True)
    assert exchanged_past(accepted(), now) == {("spend.tv", "spend.search"): Exchange(5, False)}


def swap(frame, week):
    out = frame.copy()
    out.iloc[week, out.columns.get_indexer(["spend.tv", "spend.search"])] = frame.iloc[week][
        ["spend.search", "spend.tv"]
    ].to_numpy()
    return out


def test_one_exchanged_cell_is_a_correction_where_it_fits_no_worse():
    pair = ("spend.tv", "spend.search")
    assert exchanged_past(accepted(), swap(grid(), 20)) == {pair: Exchange(1, False)}
    assert exchanged_past(swap(accepted(), 20), grid()) == {pair: Exchange(1, True)}
    # Nobody can tell which of two columns of one size was meant: the later telling stands, and is told.
    alike = grid().assign(**{"spend.search": grid()["spend.tv"].to_numpy()[::-1]})
    assert exchanged_past(alike.drop(columns="rows"), swap(alike, 20)) == {pair: Exchange(1, True)}


def test_a_past_week_that_holds_another_ones_values_is_misplaced():
    was, now = accepted(), grid()
    assert misplaced_weeks(was, now) == []
    now.iloc[[10, 14]] = grid().iloc[[14, 10]].to_numpy()
    weeks = was.index.get_level_values("week")
    assert misplaced_weeks(was, now) == [(weeks[10], "all", weeks[14]), (weeks[14], "all", weeks[10])]
    one_restated = grid()
    one_restated.iloc[10, 1] = grid().iloc[14, 1]
    assert misplaced_weeks(was, one_restated) == []


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
