"""All that is measured of a challenger, gathered: what evaluate writes, before it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core import diagnostics
from evermix.core.amend import current_since
from evermix.core.audit import Audit
from evermix.core.budget import CURVES, BudgetReview
from evermix.core.predictive import Predictive

HOLDOUT = (
    "holdout_crps",
    "holdout_log_score",
    "holdout_coverage_50",
    "holdout_coverage_90",
    "holdout_crps_ratio",
    "holdout_crps_excess",
)
CONVERGENCE = ("rhat_max", "ess_bulk_min", "ess_tail_min", "divergence_share", "bfmi_min")


@dataclass(frozen=True)
class Challenger:
    """A requested fit, asked about every row of its training panel.

    Attributes
    ----------
    predictive : Predictive
        By the fit of all rows, shapes (draw, row).
    early_predictive : Predictive or None
        By the fit that did not see the last ``holdout_weeks`` weeks, of the same rows; adopted draws have none.
    contributions : DataArray
        Dims (draw, week, geo, component), target units.
    convergence : mapping
        Diagnostics of the fit; None where one is not finite.
    budget : BudgetReview
        What it says of the present plan.
    audit : Audit
        How far it is from the champion's fit, updated to the same data.
    """

    predictive: Predictive
    early_predictive: Predictive | None
    contributions: xr.DataArray
    convergence: Mapping[str, Any]
    budget: BudgetReview
    audit: Audit


@dataclass(frozen=True)
class Evaluation:
    """``record`` for the gate, flat ``metrics``, and the tables to plot."""

    record: dict[str, Any]
    metrics: dict[str, float]
    contributions: pd.DataFrame
    ppc: pd.DataFrame
    holdout: pd.DataFrame
    curves: pd.DataFrame


def nothing_requested() -> Evaluation:
    """Return the evaluation of no request: no values, and tables with a header and no rows."""
    record: dict[str, Any] = {"status": "nothing requested", "request": None, "roas": [], "totals": {}, "budget": None}
    record |= {name: {} for name in ("values", "not_applicable", "notes", "metrics")}
    intervals = ["week", "geo", "observed", "mean", "low_50", "high_50", "low_90", "high_90"]
    headers = (["week", "geo", "component", "mean"], intervals, [*intervals, "seasonal_naive", "ridge"], CURVES)
    return Evaluation(record, {}, *(pd.DataFrame(columns=header) for header in headers))


def evaluate_challenger(
    request: Mapping[str, Any],
    panel: pd.DataFrame,
    challenger: Challenger,
    champion: xr.DataArray | None,
    no_champion: str,
) -> Evaluation:
    """Return convergence, predictive checks, holdout skill, contributions, and stability against the champion.

    Parameters
    ----------
    request : mapping
        As decide wrote it.
    panel : DataFrame
        The training panel of the request.
    champion : DataArray or None
        The champion's contributions on the same panel, dims (draw, week, geo, component).
    no_champion : str
        Why there are none; a request without a champion makes the comparison not applicable, one with a
        champion leaves it missing.
    """
    settings = request["evaluation"]
    known = panel["target"].notna().to_numpy()
    rows = panel[known]
    observed = rows["target"].to_numpy(float)
    inside = challenger.predictive.rows(known)
    held, unscored = diagnostics.scored_rows(panel, settings["holdout_weeks"])
    values: dict[str, Any] = {name: challenger.convergence.get(name) for name in CONVERGENCE}
    values |= diagnostics.predictive_p_values(inside, rows, settings["seed"])
    values |= {f"coverage_{level}": diagnostics.coverage(inside, observed, level / 100) for level in (50, 90)}
    notes = {} if unscored is None else {"holdout_crps_ratio": unscored}
    skill, not_applicable, holdout = _skill(request, panel, challenger.early_predictive, held)
    channels = list(request["columns"]["channels"])
    since = current_since(request["spec"], channels)
    table = diagnostics.contribution_table(
        diagnostics.total_contributions(challenger.contributions, since),
        diagnostics.total_contributions(champion, since) if champion is not None else None,
        {name: value for name, value in diagnostics.recent_spend(panel, since).items() if name in channels},
    )
    values |= skill | {"champion_overlap_min": diagnostics.champion_overlap(table, channels)}
    values |= challenger.budget.values | challenger.audit.values
    not_applicable |= challenger.audit.not_applicable
    notes |= challenger.audit.notes
    if champion is not None or request["champion"] is None or not challenger.budget.values:
        not_applicable |= challenger.budget.not_applicable
    if not channels:
        not_applicable["champion_overlap_min"] = "the model has no channels"
    elif request["champion"] is None:
        not_applicable["champion_overlap_min"] = no_champion
    elif champion is None or values["champion_overlap_min"] is None:
        notes["champion_overlap_min"] = no_champion or "champion and challenger share no channel"
    numbers, roas = diagnostics.finite_values(values), diagnostics.roas_rows(table)
    metrics = {name: value for name, value in numbers.items() if value is not None}
    metrics |= {f"roas_{row['channel']}": row["mean"] for row in roas if row["version"] == "challenger"}
    record = {
        "status": "evaluated",
        "request": request["id"],
        "values": numbers,
        "not_applicable": not_applicable,
        "notes": notes,
        "metrics": metrics,
        "roas": roas,
        "budget": challenger.budget.record,
        "totals": {str(name): diagnostics.finite_values(dict(table.loc[name])) for name in table.index},
    }
    weekly = diagnostics.weekly_contributions(challenger.contributions)
    fitted = diagnostics.interval_table(inside, rows)
    return Evaluation(record, metrics, weekly, fitted, holdout, challenger.budget.curves)


def _skill(
    request: Mapping[str, Any], panel: pd.DataFrame, early: Predictive | None, held: NDArray[np.bool_]
) -> tuple[dict[str, Any], dict[str, str], pd.DataFrame]:
    """Return holdout skill; of adopted draws it cannot be told, and the person who adopted them answers for that."""
    settings = request["evaluation"]
    if early is not None:
        return diagnostics.holdout_skill(early.rows(held), panel, held, settings["season_weeks"], settings["seed"])
    if "adopted" not in request:
        return {}, {}, nothing_requested().holdout
    why = f"the draws were adopted by {request['adopted']['by']}: no fit without the last weeks was made"
    return {}, dict.fromkeys(HOLDOUT, why), nothing_requested().holdout
