"""Quality limits on the weeks of a real brand, each taken as the newest one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from deliveries import model_params
from reference import reference_file

from evermix.core.panel import type_rows, weekly_grid
from evermix.core.quality_limits import judge_week
from evermix.core.quality_series import Delivered, told_series

pytestmark = pytest.mark.real

NOTHING = pd.DataFrame()
NAMES = ("google_paid_search", "google_shopping", "meta_facebook")
CHANNELS = {n: {"spend": f"{n}_spend", "exposure": f"{n}_impressions", "launched": None} for n in NAMES}


@pytest.fixture(scope="module")
def brand():
    frame = pd.read_csv(reference_file("conjura/home_appliances_gbp_weekly.csv"), dtype=str, keep_default_na=False)
    target = {"column": "net_revenue", "aggregate": "sum"}
    params = model_params(date="week_start", target=target, channels=CHANNELS, controls={}, events={})
    as_of = pd.to_datetime(frame["week_start"]).max().date()
    rows = type_rows(frame, params.columns, params.source)
    grid = weekly_grid(rows, params.columns, params.source, as_of)
    seen = Delivered(as_of, 1, frame, rows, grid, None, None, True, None)
    return seen, told_series(seen, params)


def tracking_calls(seen, told, first, last):
    calls = set()
    for place in range(first, last):
        week = replace(seen, as_of=told.index[place].date())
        points = judge_week(told.iloc[: place + 1], {}, NOTHING, week, 1.0, 26)
        calls |= {(place, point.column) for point in points if point.outside and point.measure == "tracking"}
    return calls


def test_true_weeks_of_three_years_call_few_breaks_of_tracking(brand):
    seen, told = brand
    assert len(tracking_calls(seen, told, 35, len(told))) <= 4


def test_impressions_that_stop_while_money_is_spent_are_called_at_once(brand):
    seen, told = brand
    for name in ("google_shopping", "google_paid_search"):
        key = ("tracking", f"exposure.{name} per spend.{name}")
        place = int(np.flatnonzero(told[key].notna())[-1])
        broken = told.copy()
        broken.loc[broken.index[place], key] *= 0.01
        assert (place, key[1]) in tracking_calls(seen, broken, place, place + 1)
