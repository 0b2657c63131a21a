import numpy as np
import pandas as pd
from deliveries import AS_OF, model_params, weekly_text

from evermix.core.diff import diff_panels, differs
from evermix.core.panel import to_panel
from evermix.records import Cell

PARAMS = model_params()


def panel(weeks=60):
    return to_panel(weekly_text(60), PARAMS.columns, PARAMS.source, AS_OF).iloc[:weeks].copy()


def test_without_a_panel_before_every_week_is_new():
    found = diff_panels(None, panel(2))
    assert found.new_weeks == ["2024-01-01", "2024-01-08"]
    assert found.restated == []


def test_equal_panels_differ_in_nothing():
    found = diff_panels(panel(), panel())
    assert not any(found.model_dump().values())


def test_new_and_missing_weeks_are_named_once():
    found = diff_panels(panel(59), panel().iloc[1:])
    assert found.new_weeks == ["2025-02-17"]
    assert found.missing_weeks == ["2024-01-01"]


def test_restated_week_is_reported_with_old_and_new_value():
    now = panel()
    old = float(now.at[3, "target"])
    now.at[3, "target"] = 7.0
    assert diff_panels(panel(), now).restated == [Cell(week="2024-01-22", geo="all", column="target", old=old, new=7.0)]


def test_a_late_target_that_arrived_is_completed_and_a_withdrawn_one_restated():
    before, now = panel(), panel()
    before.at[58, "target"] = np.nan
    now.at[59, "target"] = np.nan
    found = diff_panels(before, now)
    assert [(c.week, c.old) for c in found.completed] == [("2025-02-10", None)]
    assert [(c.week, c.new) for c in found.restated] == [("2025-02-17", None)]


def test_rounding_noise_is_no_restatement():
    old = pd.Series([1.0, 0.1 + 0.2, np.nan, 0.0])
    assert differs(old, pd.Series([1.0, 0.3, np.nan, 0.0])).tolist() == [False] * 4
    assert differs(old, pd.Series([1.0001, 0.3, 0.0, 1e-12])).tolist() == [True, False, True, True]


def test_channel_is_launched_with_its_first_spend_and_retired_with_its_column():
    before = panel().assign(**{"spend.search": 0.0})
    found = diff_panels(before, panel().drop(columns="spend.tv"))
    assert found.channels_launched == ["search"]
    assert found.channels_retired == ["tv"]
    assert found.columns_removed == ["spend.tv"]


def test_cells_come_in_the_order_of_weeks_geos_and_columns():
    now = panel()
    now.loc[[5, 2], ["spend.tv", "target"]] += 1.0
    cells = [(c.week, c.column) for c in diff_panels(panel(), now).restated]
    assert cells == [(w, c) for w in ("2024-01-15", "2024-02-05") for c in ("target", "spend.tv")]


def test_a_target_that_params_mask_is_not_restated():
    now = panel()
    now.loc[3, ["target", "spend.tv"]] = [float("nan"), 9.0]
    week = now["week"].iloc[3].date().isoformat()
    assert [c.column for c in diff_panels(panel(), now).restated] == ["target", "spend.tv"]
    assert [c.column for c in diff_panels(panel(), now, [week]).restated] == ["spend.tv"]
