"""The budget: what keeping the present plan costs, the best allowed one, and which channel to test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.budget import BudgetReview, Voice, kept_plan, no_budget, review_budget
from evermix.core.prequential import champion_inputs
from evermix.engines.models import load_kind
from evermix.engines.sources import read_panel
from evermix.engines.store import Store
from evermix.records import VersionFile


def review_request(
    store: Store,
    request: dict[str, Any],
    panel: pd.DataFrame,
    challenger: Voice,
    noise_sd: NDArray[np.float64],
    champion: Voice | None,
) -> BudgetReview:
    """Return what the fit of a request says of the plan that the request carries, or of its last weeks."""
    settings = request["evaluation"]
    if "plan_weeks" not in settings:
        return no_budget("the request is of a version of evermix that did not ask about plans")
    plan = kept_plan(panel, read_panel(store.request / "plan.parquet"), request["columns"], settings["plan_weeks"])
    return review_budget(plan, challenger, noise_sd, champion, settings["plan_max_change"], request["suspects"])


def voice_of(version: VersionFile, draws: xr.Dataset, panel: pd.DataFrame) -> Voice:
    """Return a version in use, to be asked about panels with the columns of this one."""
    # Components add up, so inputs that only the version has can be 0 without touching the shared ones.
    absent = dict.fromkeys((c for c in champion_inputs(version.columns) if c not in panel), 0.0)
    kind, args = load_kind(version.kind), (version.columns, version.spec, version.basis)
    channels = tuple(version.columns["channels"])
    return Voice("champion", lambda rows: kind.contributions(draws, rows.assign(**absent), *args), channels)
