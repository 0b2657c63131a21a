"""Which forecasts are due, and the total over geos: worked by hand."""

import numpy as np
import pandas as pd
import pytest

from evermix.core import prequential as pq
from evermix.core.horizons import due_rows, expired, weekly_total
from evermix.core.predictive import Predictive
from evermix.records import Score


def make_score(week: str, horizon: int = 1, geo: str = "all", z: float = 0.0) -> Score:
    numbers = dict.fromkeys(("observed", "mean", "log_score", "crps"), 1.0)
    bounds = {"low_50": 0.0, "high_50": 2.0, "low_90": 0.0, "high_90": 2.0}
    return Score(week=week, geo=geo, as_of=week, version="v", pit=0.5, z=z, horizon=horizon, **numbers, **bounds)


def make_panel(weeks: int, geos: tuple[str, ...] = ("all",)) -> pd.DataFrame:
    days = pd.date_range("2026-01-05", periods=weeks, freq="7D").astype("datetime64[s]")
    panel = pd.DataFrame([(day, geo) for day in days for geo in geos], columns=["week", "geo"])
    return panel.assign(target=np.arange(float(len(panel))))


def week(number: int) -> str:
    return str((pd.Timestamp("2026-01-05") + pd.Timedelta(weeks=number)).date())


def due(panel, origins, log=()):
    known = np.isfinite(panel["target"].to_numpy())
    return {key: np.flatnonzero(rows).tolist() for key, rows in due_rows(panel, known, origins, log).items()}


def test_a_week_is_due_by_the_origin_four_and_thirteen_weeks_before_it():
    origins = {week(0): None, week(9): None}
    assert due(make_panel(14), origins) == {(4, week(0)): [4], (4, week(9)): [13], (13, week(0)): [13]}


def test_what_was_scored_is_never_due_again_and_a_late_target_is_due_when_it_comes():
    panel, origins = make_panel(5), {week(0): None}
    late = panel.assign(target=panel["target"].where(panel["week"] < panel["week"].max()))
    assert due(late, origins) == {}
    assert due(panel, origins) == {(4, week(0)): [4]}
    assert due(panel, origins, [make_score(week(4), horizon=4)]) == {}
    assert due(panel, origins, [make_score(week(4))]) == {(4, week(0)): [4]}


def test_the_total_of_two_geos_is_their_sum_draw_by_draw():
    said = Predictive(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[3.0, 4.0], [6.0, 8.0]]))
    rows = make_panel(1, ("north", "south"))
    total, sums = weekly_total(said, rows, 2)
    assert total.mean.tolist() == [[3.0], [7.0]]
    assert total.sd.tolist() == [[5.0], [10.0]]
    assert (sums["geo"].tolist(), sums["target"].tolist()) == ([pq.TOTAL_GEO], [1.0])


def test_a_week_that_lacks_a_geo_has_no_total_and_one_geo_needs_none():
    rows = make_panel(2, ("north", "south")).iloc[:3]
    said = Predictive(np.zeros((2, 3)), np.ones((2, 3)))
    _, sums = weekly_total(said, rows, 2)
    assert sums["week"].tolist() == [rows["week"].iloc[0]]
    assert weekly_total(said, rows, 3) is None
    assert weekly_total(said, make_panel(3), 1) is None


def test_an_origin_expires_after_half_a_year():
    assert not expired(week(0), week(26))
    assert expired(week(0), week(27))


def test_alarms_look_at_single_geos_a_week_ahead_alone():
    plain = [make_score(week(0)), make_score(week(1), z=2.0)]
    more = [*plain, make_score(week(1), horizon=4, z=9.0), make_score(week(1), geo=pq.TOTAL_GEO, z=9.0)]
    assert [*pq.weekly_z(more, None).values()] == [*pq.weekly_z(plain, None).values()]
    assert pq.surprise([], more, 0.5, None) == pq.surprise([], plain, 0.5, None)
    assert len(pq.log_table(more, 0.5, None)) == 2


def test_the_summary_names_horizons_and_totals_apart():
    log = [make_score(week(0)), make_score(week(0), horizon=4), make_score(week(0), geo=pq.TOTAL_GEO)]
    named = {name for name in pq.log_summary(log) if name.startswith("coverage_90")}
    assert named == {"coverage_90", "coverage_90_4", "coverage_90_total"}
    assert pq.log_summary([make_score(week(0))])["crps_mean"] == pytest.approx(make_score(week(0)).crps)
