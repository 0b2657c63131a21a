"""The plan of a week: checked for validate, and laid out for whoever forecasts."""

from __future__ import annotations

from datetime import date

import pandas as pd

from evermix.config import ModelParams
from evermix.core.plan import plan_panel
from evermix.engines.calendars import add_holidays
from evermix.engines.sources import read_table
from evermix.engines.store import Store
from evermix.errors import DataError
from evermix.records import Fault


def read_plan(
    store: Store, params: ModelParams, as_of: date, panel: pd.DataFrame
) -> tuple[pd.DataFrame | None, list[Fault]]:
    """Return the snapshot's plan as a panel, and warnings; None and none where no plan was delivered.

    Parameters
    ----------
    panel : DataFrame
        The week's accepted panel: the plan must have its geos, and gets its columns.
    """
    file = store.snapshot / "plan.csv"
    return plan_of(file.read_bytes(), params, as_of, panel) if file.is_file() else (None, [])


def plan_of(
    data: bytes, params: ModelParams, as_of: date, panel: pd.DataFrame
) -> tuple[pd.DataFrame | None, list[Fault]]:
    """Return a plan's bytes as a panel of the weeks after ``as_of``, or None and why not."""
    try:
        table = read_table(data, "csv")
    except DataError as err:
        what, _, action = str(err).rpartition(". ")
        return None, [Fault(rule="bad_plan", where="plan", what=what, value="", expected="a CSV table", action=action)]
    planned, warnings = plan_panel(table.frame, params, as_of, sorted(panel["geo"].unique()))
    if planned is None:
        return None, warnings
    return add_holidays(planned, params.columns, params.source.week_start), warnings
