"""Which rows an update counts, worked by hand, and what is said of its weights."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evermix.core import update

COLUMNS = {
    "channels": {"tv": {"spend": "tv", "exposure": None, "launched": None}},
    "controls": {},
    "events": {},
}


def make_panel(weeks: int, geos: tuple[str, ...] = ("all",), first: str = "2025-01-06") -> pd.DataFrame:
    days = pd.date_range(first, periods=weeks, freq="7D").astype("datetime64[s]")
    panel = pd.DataFrame([(day, geo) for day in days for geo in geos], columns=["week", "geo"])
    numbers = np.arange(float(len(panel)))
    return panel.assign(target=100.0 + numbers, **{"spend.tv": 1.0 + numbers})


def counted(base, now, carry=2, masked=()):
    return update.rows_that_count(base, now, COLUMNS, carry, masked)


def places(mask) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_new_weeks_count_and_nothing_of_the_past_does():
    found = counted(make_panel(6), make_panel(8))
    assert places(found.now) == [6, 7]
    assert places(found.then) == []
    assert found.weeks == ("2025-02-17", "2025-02-24")
    assert found.rows == 2


def test_the_same_panel_leaves_nothing_to_count():
    found = counted(make_panel(6), make_panel(6))
    assert (found.rows, found.weeks) == (0, ())


def test_a_late_target_counts_when_it_arrives_and_a_new_week_without_one_does_not():
    base = make_panel(6)
    base.loc[4, "target"] = np.nan
    now = make_panel(7)
    now.loc[6, "target"] = np.nan
    found = counted(base, now)
    assert (places(found.now), places(found.then)) == ([4], [])


def test_a_restated_target_counts_with_its_new_value_and_takes_back_the_old_one():
    now = make_panel(6)
    now.loc[2, "target"] += 5.0
    found = counted(make_panel(6), now)
    assert (places(found.now), places(found.then), found.rows) == ([2], [2], 1)


def test_a_withdrawn_target_is_taken_back():
    now = make_panel(6)
    now.loc[2, "target"] = np.nan
    found = counted(make_panel(6), now)
    assert (places(found.now), places(found.then)) == ([], [2])


def test_a_restated_input_counts_for_its_week_and_those_it_carries_over_into():
    now = make_panel(8)
    now.loc[3, "spend.tv"] *= 2
    found = counted(make_panel(8), now, carry=2)
    assert places(found.now) == places(found.then) == [3, 4, 5]


def test_carry_over_stays_in_its_geo():
    base, now = make_panel(6, ("north", "south")), make_panel(6, ("north", "south"))
    now.loc[5, "spend.tv"] *= 2
    assert places(counted(base, now, carry=1).now) == [5, 7]


def test_a_masked_week_never_counts():
    now = make_panel(8)
    now.loc[2, "target"] += 5.0
    found = counted(make_panel(6), now, masked=["2025-01-20", "2025-02-24"])
    assert (places(found.now), places(found.then)) == ([6], [])


def test_a_change_in_the_last_digits_that_a_writer_of_csv_makes_is_none():
    now = make_panel(6)
    now["target"] *= 1 + 1e-12
    assert counted(make_panel(6), now).rows == 0


def test_weeks_that_the_source_no_longer_tells_are_taken_back_with_their_carry_over():
    now = make_panel(6).iloc[1:].reset_index(drop=True)
    found = counted(make_panel(6), now, carry=2)
    assert (places(found.now), places(found.then)) == ([0, 1], [0, 1, 2])


@settings(deadline=None)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=6), st.integers(0, 40))
def test_stretches_hold_every_row_once_with_its_lookback_and_nothing_beyond(chosen, carry):
    panel = make_panel(30)
    rows = np.zeros(30, dtype=bool)
    rows[chosen] = True
    stretches = update.cut_to_rows(panel, rows, carry)
    known = pd.concat(stretches).dropna(subset=["target"])
    assert known["week"].tolist() == panel["week"][rows].tolist()
    for stretch in stretches:
        assert (stretch["week"].diff().dropna() == pd.Timedelta(weeks=1)).all()
        for week in stretch.dropna(subset=["target"])["week"]:
            lookback = max(panel["week"].min(), week - carry * pd.Timedelta(weeks=1))
            assert stretch["week"].min() <= lookback


def test_stretches_far_apart_are_cut_apart():
    rows = np.zeros(60, dtype=bool)
    rows[[5, 50]] = True
    assert [len(s) for s in update.cut_to_rows(make_panel(60), rows, 3)] == [4, 4]


def reweighed(log_weights) -> update.Reweighed:
    nothing = np.zeros(0, dtype=bool)
    return update.Reweighed(
        np.asarray(log_weights), 0.1, np.asarray(log_weights), update.Counted(nothing, nothing, 0, ()), None
    )


def test_effective_size_of_equal_weights_is_that_of_the_chains():
    equal = reweighed(np.full(1000, -np.log(1000)))
    assert equal.weight_ess == pytest.approx(1000)
    assert update.effective_ess(equal, 400.0) == pytest.approx(400)
    assert update.effective_ess(equal, 5000.0) == pytest.approx(1000)
    assert update.effective_ess(equal, None) is None


def test_effective_size_of_one_draw_with_all_the_weight_is_one():
    with np.errstate(divide="ignore"):
        assert reweighed(np.log([1.0, 0.0, 0.0])).weight_ess == pytest.approx(1.0)


def test_restated_alone_leaves_out_new_weeks_and_targets_that_were_late():
    before, now = make_panel(6), make_panel(8)
    before.loc[5, "target"] = np.nan
    now.loc[2, "target"] += 5.0
    alone = update.restated_alone(before, now)
    assert len(alone) == 6
    assert np.isnan(alone["target"].iloc[5])
    found = counted(before, alone)
    assert (places(found.now), places(found.then)) == ([2], [2])


def test_shifts_are_in_sd_of_the_old_posterior_and_unknown_where_it_has_none():
    old = np.array([[0.0, 3.0], [2.0, 3.0]])
    half = np.array([0.5, 0.5])
    shifts = update.shifts_in_sd(old, half, old, np.array([0.0, 1.0]))
    assert shifts[0] == pytest.approx(1.0)
    assert np.isnan(shifts[1])
