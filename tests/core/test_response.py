import numpy as np
import pandas as pd
import pytest
import xarray as xr

from evermix.core.response import LOOKBACK_WEEKS, curve_table, repeat_weeks, response_curves
from evermix.core.transforms import carry_over, geometric_weights

ALPHA = np.array([0.3, 0.6])


def panel_of(spend, geos=("all",)):
    """Return a panel in which every geo spends the same; spend is (week, channel)."""
    week = pd.date_range("2024-01-01", periods=len(spend), freq="7D", unit="s")
    rows = pd.DataFrame({"week": np.repeat(week, len(geos)), "geo": list(geos) * len(spend), "target": 1.0})
    return rows.assign(**{f"spend.c{i}": np.repeat(spend[:, i], len(geos)) for i in range(spend.shape[1])})


def contribute(rows):
    """Square roots of adstock, doubled in the second draw."""
    media = rows[["spend.c0", "spend.c1"]].to_numpy().reshape(-1, rows["geo"].nunique(), 2)
    weights = geometric_weights(ALPHA, 8, normalize=True)[None, None]
    value = np.sqrt(carry_over(media, weights)) * np.array([1.0, 2.0])[:, None, None, None]
    return xr.DataArray(value, dims=("draw", "week", "geo", "component"), coords={"component": ["c0", "c1"]})


def test_even_spend_brings_what_the_saturation_says_at_every_level():
    panel = panel_of(np.full((80, 2), 100.0))
    found = response_curves(contribute, panel, repeat_weeks(panel, 13), ["c0", "c1"], 0.3)
    assert found.spend.tolist() == [100.0, 100.0]
    assert found.value[0, 0] == pytest.approx(np.sqrt(100.0 * found.factors))
    assert found.value[1] == pytest.approx(2.0 * found.value[0])
    assert found.factors.min() == 0.0 and found.factors.max() == 1.5 and 1.0 in found.factors


def test_a_bursty_channel_keeps_its_bursts_so_the_present_plan_is_worth_what_the_model_credits():
    spend = np.full((78, 2), 100.0)
    spend[:, 1] = np.where(np.arange(78) % 13 < 4, 325.0, 0.0)  # the same budget in four weeks of a quarter
    panel = panel_of(spend)
    found = response_curves(contribute, panel, repeat_weeks(panel, 13), ["c0", "c1"], 0.3)
    credited = contribute(panel).isel(week=slice(-13, None)).mean("week").to_numpy()[:, 0]
    assert found.spend == pytest.approx([100.0, 100.0])
    assert found.kept == pytest.approx(credited)
    assert found.kept[0, 1] < found.kept[0, 0]


def test_spend_and_value_are_sums_over_geos():
    one, two = (panel_of(np.full((60, 2), 50.0), geos) for geos in (("a",), ("a", "b")))
    alone, both = (response_curves(contribute, p, repeat_weeks(p, 4), ["c0", "c1"], 0.3) for p in (one, two))
    assert both.spend == pytest.approx(2 * alone.spend)
    assert both.value == pytest.approx(2 * alone.value)


def test_a_channel_without_spend_brings_nothing_at_any_factor():
    spend = np.full((60, 2), 100.0)
    spend[:, 1] = 0.0
    panel = panel_of(spend)
    found = response_curves(contribute, panel, repeat_weeks(panel, 13), ["c0", "c1"], 0.3)
    assert not found.value[:, 1].any()


def test_repeated_weeks_follow_the_panel_and_have_no_target():
    panel = panel_of(np.arange(40.0).reshape(20, 2))
    plan = repeat_weeks(panel, 4)
    assert plan["week"].min() == panel["week"].max() + pd.Timedelta(weeks=1)
    assert plan["spend.c1"].tolist() == panel["spend.c1"].tolist()[-4:]
    assert plan["target"].isna().all()


def test_no_more_weeks_are_asked_than_carry_over_can_need():
    seen = []

    def spy(rows):
        seen.append(rows["week"].nunique())
        return contribute(rows)

    panel = panel_of(np.full((300, 2), 100.0))
    response_curves(spy, panel, repeat_weeks(panel, 13), ["c0"], 0.3)
    assert set(seen) == {LOOKBACK_WEEKS + 13}


def test_the_table_to_plot_has_one_row_per_channel_and_level():
    panel = panel_of(np.full((60, 2), 100.0))
    found = response_curves(contribute, panel, repeat_weeks(panel, 13), ["c0", "c1"], 0.3)
    rows = curve_table(found).set_index(["channel", "factor"])
    assert len(rows) == 2 * len(found.factors)
    assert rows.loc[("c1", 1.0), "spend"] == 100.0
    assert rows.loc[("c1", 1.0), "mean"] == pytest.approx(15.0)
    assert rows.loc[("c0", 0.0), ["mean", "low_90", "high_90"]].tolist() == [0.0, 0.0, 0.0]
