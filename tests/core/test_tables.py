from datetime import date

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from evermix.core.diagnostics import WINDOW_WEEKS
from evermix.core.tables import TABLES, contribution_rows, decision_rows, one_step_rows, roas_rows, tidy

COLUMNS = {"channels": {"tv": {}}, "controls": {"price": {}}, "events": {"promo": {}}}
WEEKS = pd.date_range("2026-01-05", periods=2, freq="7D")


def parts(values, geos=("n", "s"), components=("tv", "intercept"), weeks=WEEKS):
    """Contributions by (draw, week, geo, component)."""
    coords = {"week": weeks, "geo": list(geos), "component": list(components)}
    return xr.DataArray(np.asarray(values, float), dims=("draw", "week", "geo", "component"), coords=coords)


def spend(values, geos=("n", "s"), weeks=WEEKS):
    rows = [{"week": week, "geo": geo} for week in weeks for geo in geos]
    return pd.DataFrame(rows).assign(**{"spend.tv": values})


# Two draws; tv brings 10 and 20 (draw one), 30 and 40 (draw two) in each week, in north and south.
TV = [[[[10, 1], [20, 1]]] * 2, [[[30, 1], [40, 1]]] * 2]


def test_roas_by_hand_per_geo_and_for_all_geos_together():
    got = roas_rows(parts(TV), spend([5, 10, 5, 10]), ["tv"], {}).set_index("geo")
    assert got["spend"].to_dict() == {"n": 10, "s": 20, "all": 30}
    # North: 20 / 10 and 60 / 10; south: 40 / 20 and 80 / 20; together: 60 / 30 and 140 / 30.
    assert got["mean"].to_dict() == pytest.approx({"n": 4.0, "s": 3.0, "all": 10 / 3})
    assert got["median"].to_dict() == pytest.approx({"n": 4.0, "s": 3.0, "all": 10 / 3})
    assert got.loc["n", ["low_90", "high_90"]].tolist() == pytest.approx([2.2, 5.8])


def test_one_geo_has_no_total_beside_it_and_a_channel_without_spend_no_roas():
    one = parts([[[[10, 1]]] * 2], geos=("all",))
    assert roas_rows(one, spend([5, 5], geos=("all",)), ["tv"], {})["geo"].tolist() == ["all"]
    assert roas_rows(one, spend([0, 0], geos=("all",)), ["tv"], {}).empty


def test_the_window_of_roas_is_the_last_year():
    weeks = pd.date_range("2024-01-01", periods=WINDOW_WEEKS + 3, freq="7D")
    long = parts(np.full((1, len(weeks), 1, 1), 2.0), geos=("all",), components=("tv",), weeks=weeks)
    money = spend([1000.0] * 3 + [1.0] * WINDOW_WEEKS, geos=("all",), weeks=weeks)
    row = roas_rows(long, money, ["tv"], {}).iloc[0]
    assert (row["mean"], row["weeks"], row["first_week"]) == (2.0, WINDOW_WEEKS, weeks[3])


def test_roas_of_a_changed_effect_begins_with_the_change_and_what_came_before_has_a_row_of_its_own():
    got = roas_rows(parts(TV), spend([5, 10, 5, 10]), ["tv"], {"tv": "2026-01-12"}).set_index(["geo", "channel"])
    now, before = got.loc[("n", "tv")], got.loc[("n", "tv before 2026-01-12")]
    assert (now["first_week"], now["weeks"], now["spend"], now["mean"]) == (WEEKS[1], 1, 5, 4.0)
    assert (before["last_week"], before["weeks"], before["spend"]) == (WEEKS[0], 1, 5)
    long_ago = roas_rows(parts(TV), spend([5, 10, 5, 10]), ["tv"], {"tv": "2020-01-06"})
    assert long_ago["channel"].unique().tolist() == ["tv"]


def test_each_part_has_its_role_and_all_that_params_do_not_name_is_base():
    got = contribution_rows(parts(np.ones((1, 2, 1, 4)), ("all",), ("tv", "price", "promo", "trend")), COLUMNS)
    roles = got.groupby("component")["role"].first().to_dict()
    assert roles == {"tv": "channel", "price": "control", "promo": "event", "trend": "base"}
    assert len(got) == 8


def test_parts_stand_in_order_whatever_the_order_of_dimensions():
    straight = contribution_rows(parts(TV), COLUMNS)
    turned = contribution_rows(parts(TV).transpose("component", "geo", "draw", "week"), COLUMNS)
    pd.testing.assert_frame_equal(straight, turned)
    assert straight.query("geo == 's' and component == 'tv'")["mean"].tolist() == [30.0, 30.0]


def test_a_row_is_plain_and_what_is_missing_is_none():
    frame = pd.DataFrame({"week": [WEEKS[0]], "geo": ["n"], "component": ["tv"], "role": ["channel"], "mean": [np.nan]})
    (row,) = tidy("contributions", frame, "brand", "brand/2026-01-05/0badcafe", "2026-01-12")
    assert list(row) == list(TABLES["contributions"])
    assert (row["as_of"], row["week"]) == (date(2026, 1, 12), date(2026, 1, 5))
    assert row["mean"] is None
    assert row["low_90"] is None


def test_a_decision_keeps_its_own_week_and_version_and_says_who_approved():
    week = {"as_of": "2026-01-05", "version": None, "decision": "refit", "verdict": "hold", "reasons": ["a", "b"]}
    week |= {"approval": {"state": "approved", "by": "ann"}, "healed": True, "reconstructed": False, "at": "now"}
    (row,) = tidy("decisions", decision_rows([week]), "brand", "brand/x/1", "2026-02-02")
    assert (row["as_of"], row["version"]) == (date(2026, 1, 5), None)
    assert (row["approval"], row["approved_by"], row["reasons"]) == ("approved", "ann", "a; b")
    assert (row["healed"], row["reconstructed"]) == (True, False)


def test_nothing_to_tell_is_no_row():
    assert tidy("forecasts", one_step_rows([]), "brand", None, "2026-01-05") == []
    assert tidy("decisions", decision_rows([]), "brand", None, "2026-01-05") == []
