"""Challengers held against each other: one honest yardstick for all, and which of them a review proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evermix.core.amend import REFIT
from evermix.core.challengers import BREAK_ANY
from evermix.core.diagnostics import finite_values
from evermix.core.evaluation import CONVERGENCE, Evaluation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """How one fit foretold the held-out weeks.

    Attributes
    ----------
    weekly : Series
        Log score of each week, one week ahead, nats; index week.
    draws_left : float
        Effective draws once all weeks but the last are weighed in: below some fifty the last scores are noise.
    """

    weekly: pd.Series
    draws_left: float


def foretell(log_density: Floats, weeks: pd.Series) -> Scores:
    """Return the scores of a fit that saw none of these weeks.

    Each week is predicted by the draws weighted with the likelihood of the weeks before it: what the fit would have
    said after an update a week.  The scores add up to the log of the mean joint density.

    Parameters
    ----------
    log_density : ndarray, shape (draw, row)
        Log density of each held-out row, nats per target unit.
    weeks : Series, length row
        The week of each row; the geos of a week are predicted together.
    """
    weekly = pd.DataFrame(log_density.T).groupby(weeks.to_numpy()).sum()
    joint = weekly.to_numpy().cumsum(axis=0)
    total = special.logsumexp(joint, axis=1) - np.log(log_density.shape[0])
    before = joint[-2] if len(joint) > 1 else np.zeros(log_density.shape[0])
    left = np.exp(2.0 * special.logsumexp(before) - special.logsumexp(2.0 * before))
    return Scores(pd.Series(np.diff(total, prepend=0.0), index=weekly.index), float(left))


def lead_over(scores: pd.Series, other: pd.Series) -> tuple[float, float]:
    """Return by how much the scores of the same weeks add up to more than another's, and its standard error.

    The error is that of a sum of independent weekly differences (Diebold and Mariano 1995); NaN below three weeks.
    """
    difference = (scores - other).dropna().to_numpy(float)
    if len(difference) < 3:
        return float(difference.sum()) if len(difference) else float("nan"), float("nan")
    return float(difference.sum()), float(difference.std(ddof=1) * np.sqrt(len(difference)))


def propose(scores: Mapping[str, pd.Series], min_lead_se: float) -> str:
    """Return the name of the fit that a review proposes.

    An alarm says that something changed, and a few weeks seldom say what: so it is the challenger in which every
    part may have changed, whose intervals hold the truth whichever part it was, unless another one predicts better
    beyond doubt.  Without it, it is the plain refit.

    Parameters
    ----------
    scores : mapping
        One-step scores by name, of the fits that converged; index week.
    min_lead_se : float
        So many standard errors another fit must lead by.
    """
    base = BREAK_ANY if BREAK_ANY in scores else REFIT
    if base not in scores:
        return REFIT
    leads = {name: lead_over(series, scores[base]) for name, series in scores.items() if name != base}
    ahead = {name: lead for name, (lead, error) in leads.items() if lead > 0 and lead >= min_lead_se * error}
    return max(ahead, key=lambda name: ahead[name]) if ahead else base


def settle(
    request: Mapping[str, Any],
    fits: Mapping[str, Mapping[str, Any]],
    found: Mapping[str, Evaluation],
    scores: Mapping[str, Scores],
    proposed: str,
) -> Evaluation:
    """Return the evaluation of the proposed fit, with the contest that it was proposed by.

    Parameters
    ----------
    request : mapping
        With ``challengers`` and ``champion_scores``.
    fits : mapping
        Record of each fit by name, in order: ``status``, and ``converged`` or ``why`` not fitted.
    found, scores : mapping
        By name, of those that could be fitted.
    proposed : str
        From `propose`.
    """
    champion = _champion_scores(request["champion_scores"], scores[REFIT].weekly.index)
    why = {plan["name"]: plan["why"] for plan in request["challengers"]} | {REFIT: "the spec in use, on all weeks"}
    rows = []
    for name, fit in fits.items():
        row: dict[str, Any] = {"name": name, "why": why[name], "status": fit["status"], "proposed": name == proposed}
        if name in found:
            record, weekly = found[name].record, scores[name].weekly
            lead, error = lead_over(weekly, scores[REFIT].weekly)
            ahead, unsure = lead_over(weekly, champion)
            numbers = {key: record["values"].get(key) for key in (*CONVERGENCE, "holdout_crps")}
            numbers |= {"log_score": float(weekly.sum()), "draws_left": scores[name].draws_left}
            numbers |= {"lead": lead, "lead_se": error, "champion_lead": ahead, "champion_lead_se": unsure}
            row |= finite_values(numbers) | {"converged": fit["converged"], "roas": record["roas"]}
        else:
            row |= {"fault": fit["why"]}
        rows.append(row)
    contest = {
        "weeks": len(scores[REFIT].weekly),
        "champion": finite_values({"weeks": len(champion), "log_score": champion.sum() if len(champion) else None}),
        "rows": rows,
    }
    kept = found[proposed]
    return replace(kept, record=kept.record | {"proposed": proposed, "contest": contest})


def _champion_scores(rows: list[Mapping[str, Any]], weeks: pd.Index) -> pd.Series:
    """Return the log score of each week by the versions that were live before it came, geos together."""
    table = pd.DataFrame(rows, columns=["week", "geo", "log_score"])
    weekly = table.assign(week=pd.to_datetime(table["week"])).groupby("week")["log_score"].sum()
    return weekly[weekly.index.isin(weeks)]
