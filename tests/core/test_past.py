import pytest
from core.panels import accepted, grid

from evermix.core.past import (
    Exchange,
    exchanged_past,
    misplaced_weeks,
    moved_columns,
    rewritten_columns,
)


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
    ("target", 90.0, 7, False),  # below 8 cells the rules of scale speak
])  # fmt: skip
def test_rewritten_is_a_share_of_past_cells(column, factor, weeks, is_rewritten):
    now = grid()
    now.iloc[:weeks, now.columns.get_loc(column)] *= factor
    assert (list(rewritten_columns(accepted(), now, 0.3)) == [column]) is is_rewritten


@pytest.mark.parametrize(("factor", "weeks", "said"), [
    (10.0, 3, "3 of 59 past cells times 10"),
    (0.01, 5, "5 of 59 past cells times 0.01"),
    (10.0, 2, None),  # two may be anything
    (9.5, 5, None),  # a factor, and no unit
    (0.0, 8, "8 of 59 past cells became 0"),
    (0.0, 7, None),
])  # fmt: skip
def test_units_and_emptied_cells_need_no_share(factor, weeks, said):
    now = grid()
    now.iloc[5 : 5 + weeks, now.columns.get_loc("spend.tv")] *= factor
    assert rewritten_columns(accepted(), now, 0.3).get("spend.tv") == said


def test_the_dust_of_another_rounding_is_no_change():
    was = accepted().assign(**{"spend.search": [0.0, 55.0] * 29 + [0.0]})
    now = grid().assign(**{"spend.search": [0.00001, 55.00001] * 30})
    assert rewritten_columns(was, now, 0.3) == {}


def test_a_column_moved_by_a_week_is_seen_though_few_weeks_changed():
    now = grid()
    place = now.columns.get_loc("spend.tv")
    now.iloc[50:58, place] = grid().iloc[49:57, place].to_numpy()
    # One of the eight differs by less than a percent from its neighbour.
    assert moved_columns(accepted(), now) == {"spend.tv": "7 past cells hold the value of the week before"}
    restated = grid()
    restated.iloc[50:58, place] *= 1.07
    assert moved_columns(accepted(), restated) == {}


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
