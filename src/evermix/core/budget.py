"""The budget under a posterior: the plan that is kept, the best allowed one, what keeping costs, and what to test.

Pure: versions are asked through their contributions; what comes out is one JSON record and the curves to plot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.core import regret
from evermix.core.experiment import Market, list_tests, losses_while_off, propose_test
from evermix.core.predictive import Predictive
from evermix.core.response import Contribute, Responses, curve_table, repeat_weeks, response_curves

Floats = NDArray[np.float64]

METRICS = (
    "regret_per_week",
    "regret_se",
    "regret_share",
    "perfect_information_per_week",
    "champion_plan_regret_per_week",
    "champion_plan_regret_se",
    "champion_plan_regret_share",
)
CURVES = ["version", "channel", "factor", "spend", "mean", "low_90", "high_90"]


@dataclass(frozen=True)
class Plan:
    """What is spent if nobody changes anything.

    Attributes
    ----------
    panel : DataFrame
        Canonical panel of the weeks so far.
    weeks : DataFrame
        Canonical panel of the plan's weeks, which follow.
    source : str
        Where it comes from, in words.
    channels : tuple of str
    target : str
        What the target is called.
    """

    panel: pd.DataFrame
    weeks: pd.DataFrame
    source: str
    channels: tuple[str, ...]
    target: str


@dataclass(frozen=True)
class Voice:
    """A version that can be asked what its channels bring, ``champion`` or ``challenger``; it may not know them all."""

    name: str
    contribute: Contribute
    channels: tuple[str, ...]


@dataclass(frozen=True)
class BudgetReview:
    """``record`` for question and report, ``values`` for the gate, ``not_applicable`` by value, ``curves`` to plot."""

    record: dict[str, Any]
    values: dict[str, float]
    not_applicable: dict[str, str]
    curves: pd.DataFrame


def kept_plan(panel: pd.DataFrame, planned: pd.DataFrame | None, columns: Mapping[str, Any], weeks: int) -> Plan:
    """Return the plan that was delivered, or that the weeks to come will be like the last ones.

    Parameters
    ----------
    columns : mapping
        The version's columns.
    weeks : int
        How many last weeks.
    """
    channels, target = tuple(columns["channels"]), str(columns["target"]["column"])
    if planned is not None:
        return Plan(panel, planned, f"the {planned['week'].nunique()} planned weeks", channels, target)
    repeated = repeat_weeks(panel, weeks)
    return Plan(panel, repeated, f"the last {repeated['week'].nunique()} weeks", channels, target)


def review_budget(
    plan: Plan,
    believed: Voice,
    noise_sd: Floats,
    champion: Voice | None,
    max_change: float,
    suspects: Sequence[Mapping[str, Any]],
) -> BudgetReview:
    """Return what keeping the plan costs under the version that is believed, and which channel to test.

    Parameters
    ----------
    noise_sd : ndarray, shape (geo,)
        Of a week's target, geos in sorted order, target units.
    champion : Voice or None
        The version in use, if another one is believed: the plan that it calls best is judged too.
    max_change : float
        Largest share of its spend by which a channel may move; the total is kept.
    suspects : sequence of mapping
        As an alarm ranks them; none without an alarm.
    """
    if not plan.channels:
        return no_budget("the model has no channels")
    curves = response_curves(believed.contribute, plan.panel, plan.weeks, plan.channels, max_change)
    if not curves.spend.any():
        return no_budget("the plan spends nothing")
    kept = regret.regret_of_keeping(curves, max_change)
    brought = float(curves.kept.sum(axis=1).mean())
    values = {
        "regret_per_week": kept.per_week,
        "regret_se": kept.se,
        "regret_share": kept.per_week / brought if brought > 0 else float("nan"),
        "perfect_information_per_week": kept.perfect_information,
    }
    tables = [curve_table(curves).assign(version=believed.name)]
    theirs, absent = None, {}
    if champion is None:
        absent = dict.fromkeys(METRICS[-3:], "there is no other version whose plan could be judged")
    else:
        theirs, table = _champions_plan(plan, champion, max_change)
        judged = regret.regret_of_keeping(curves, max_change, theirs)
        values["champion_plan_regret_per_week"] = judged.per_week
        values["champion_plan_regret_se"] = judged.se
        values["champion_plan_regret_share"] = judged.per_week / brought if brought > 0 else float("nan")
        tables.append(table)
    record = {
        "status": "computed",
        "source": plan.source,
        "target": plan.target,
        "max_change": max_change,
        "channels": _channel_rows(curves, kept.best, theirs),
        "brought_per_week": brought,
        "chance_better": kept.chance,
        **{name: value if np.isfinite(value) else None for name, value in values.items()},
        "experiment": _experiment(plan, believed, curves, noise_sd, max_change, suspects),
    }
    return BudgetReview(record, values, absent, pd.concat(tables, ignore_index=True)[CURVES])


def no_budget(why: str) -> BudgetReview:
    """Return the review of a model that has no budget to plan."""
    record = {"status": "not applicable", "why": why}
    return BudgetReview(record, {}, dict.fromkeys(METRICS, why), pd.DataFrame(columns=CURVES))


def noise_by_geo(predictive: Predictive, rows: pd.DataFrame) -> Floats:
    """Return the noise of the last week, by geo in sorted order, shape (geo,), target units.

    For Student-t noise it is that of a Normal which tells as much about the mean: the scale times
    ``sqrt((nu + 3) / (nu + 1))``, by the Fisher information.
    """
    last = (rows["week"] == rows["week"].max()).to_numpy()
    sd = predictive.sd[:, last]
    if predictive.nu is not None:
        sd = sd * np.sqrt((predictive.nu + 3.0) / (predictive.nu + 1.0))[:, None]
    return np.asarray(sd.mean(axis=0))


def _champions_plan(plan: Plan, champion: Voice, max_change: float) -> tuple[Floats, pd.DataFrame]:
    """Return the factors that the champion calls best, and its curves; a channel that it does not know stays."""
    known = [name for name in plan.channels if name in champion.channels]
    curves = response_curves(champion.contribute, plan.panel, plan.weeks, known, max_change)
    best = dict(zip(known, regret.best_plan(curves, max_change), strict=True)) if known else {}
    return np.array([best.get(name, 1.0) for name in plan.channels]), curve_table(curves).assign(version=champion.name)


def _channel_rows(curves: Responses, best: Floats, theirs: Floats | None) -> list[dict[str, Any]]:
    rows = []
    for c, name in enumerate(curves.channels):
        row = {"channel": name, "spend": float(curves.spend[c]), "best_spend": float(curves.spend[c] * best[c])}
        if theirs is not None:
            row["champion_best_spend"] = float(curves.spend[c] * theirs[c])
        rows.append(row | {"brings": float(curves.kept[:, c].mean())})
    return rows


def _experiment(
    plan: Plan,
    believed: Voice,
    curves: Responses,
    noise_sd: Floats,
    max_change: float,
    suspects: Sequence[Mapping[str, Any]],
) -> dict[str, Any] | None:
    geos = tuple(sorted(plan.weeks["geo"].unique()))
    usual = plan.weeks.groupby("geo")[[f"spend.{name}" for name in plan.channels]].mean().loc[list(geos)]
    spend = {name: usual[f"spend.{name}"].to_numpy(float) for name in plan.channels}
    losses = losses_while_off(believed.contribute, plan.weeks, plan.channels)
    return propose_test(list_tests(curves, max_change, losses, Market(geos, spend, noise_sd)), suspects)
