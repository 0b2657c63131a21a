"""The champion's posterior given what has come since its fit, by reweighting the fit's draws.

An update is a function of the base draws, the panel they were fitted on and the panel of today: nothing of earlier
updates enters, so that errors cannot add up.  The log weight of a draw is the log likelihood of today's rows less that
of the rows as trained, over the rows that differ (Buerkner, Gabry and Vehtari 2020, used forwards).  Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.core.diff import values_differ
from evermix.core.draws import hash_weights
from evermix.core.prequential import champion_inputs
from evermix.records import VersionFile

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

EVIDENCE = ("update.khat", "update.ess", "update.rows", "update.new_weeks", "update.restated_shift_sd")

_KEYS = ["week", "geo"]
_WEEK = pd.Timedelta(weeks=1)


@dataclass(frozen=True)
class Counted:
    """Rows whose likelihood is not what it was when the base was fitted.

    Attributes
    ----------
    now : ndarray of bool, shape (row of today's panel,)
        Rows whose log likelihood is added.
    then : ndarray of bool, shape (row of the base's panel,)
        Rows whose log likelihood, as trained, is taken away.
    rows : int
        Number of weeks and geos among both.
    weeks : tuple of str
        The weeks of both, ISO Mondays in order.
    """

    now: Mask
    then: Mask
    rows: int
    weeks: tuple[str, ...]


@dataclass(frozen=True)
class Reweighed:
    """A posterior as weights over base draws.

    Attributes
    ----------
    log_weights : ndarray, shape (draw,)
        Pareto-smoothed, normalised: their exponentials sum up to 1.
    khat : float
        Shape of the tail of the raw weights: over 0.7 the weights cannot be trusted (Vehtari et al. 2024).
    log_ratio : ndarray, shape (draw,)
        Log likelihood of those rows as they are now less as trained: the weights before smoothing.
    counted : Counted
        The rows that made them.
    through : str or None
        The last week whose target counts, ISO Monday.
    """

    log_weights: Floats
    khat: float
    log_ratio: Floats
    counted: Counted
    through: str | None

    @property
    def weight_ess(self) -> float:
        """Effective number of draws, were the base draws independent: 1 / sum(w^2)."""
        return float(1.0 / np.sum(np.exp(2.0 * self.log_weights)))


def effective_ess(reweighed: Reweighed, ess_bulk_min: float | None) -> float | None:
    """Return weight ESS times MCMC ESS over draws; None where the fit does not say its ESS.

    Antithetic chains have more effective draws than draws; that is no credit for the weights, so the ratio ends at 1.
    """
    if ess_bulk_min is None:
        return None
    return reweighed.weight_ess * min(1.0, ess_bulk_min / reweighed.log_weights.size)


def rows_that_count(
    base: pd.DataFrame, now: pd.DataFrame, columns: Mapping[str, Any], carry: int, masked: Collection[str]
) -> Counted:
    """Return the rows of both panels that the posterior of today weighs otherwise than the fit did.

    They are new rows, late targets that arrived, restated or withdrawn targets, and rows whose inputs, or those of one
    of the ``carry`` weeks before in the same geo, are not what they were.  A week that a panel does not have counts
    as inputs that changed, since a fit of that panel would not have its carry-over.

    Parameters
    ----------
    base : DataFrame
        The panel the base was fitted on.
    now : DataFrame
        Today's panel, with the inputs of the version.
    columns : mapping
        The version's columns.
    carry : int
        Weeks that inputs act on after their own.
    masked : collection of str
        Weeks (ISO Mondays) whose target never counts.
    """
    names = [*champion_inputs(columns), "target"]
    first = min(base["week"].min(), now["week"].min())
    geos = sorted(set(base["geo"]) | set(now["geo"]))
    weeks = (max(base["week"].max(), now["week"].max()) - first) // _WEEK + 1
    (was, old), (place, new) = (_on_grid(panel, names, first, weeks, geos) for panel in (base, now))
    # Inputs are never NaN in a panel, so that a week which one of the two lacks differs in all of them.
    apart = values_differ(old, new)
    counts = spread_forward(np.logical_or.reduce(apart[..., :-1], axis=2), carry) | apart[..., -1]
    days = pd.date_range(first, periods=weeks, freq=_WEEK).strftime("%Y-%m-%d")
    counts &= ~days.isin(list(masked))[:, None]
    then, added = (counts & np.isfinite(grid[..., -1]) for grid in (old, new))
    return Counted(
        now=added.ravel()[place],
        then=then.ravel()[was],
        rows=int((then | added).sum()),
        weeks=tuple(days[np.flatnonzero(then | added) // len(geos)].unique()),
    )


def _on_grid(
    panel: pd.DataFrame, names: list[str], first: pd.Timestamp, weeks: int, geos: list[str]
) -> tuple[NDArray[np.int64], Floats]:
    """Return the place of each row among all weeks and geos, and the columns there, shape (week, geo, name)."""
    week = (panel["week"] - first).to_numpy() // _WEEK.to_timedelta64()
    place = week * len(geos) + panel["geo"].map({geo: i for i, geo in enumerate(geos)}).to_numpy()
    grid = np.full((weeks * len(geos), len(names)), np.nan)
    grid[place] = panel[names].to_numpy(float)
    return place, grid.reshape(weeks, len(geos), len(names))


def spread_forward(moved: Mask, carry: int) -> Mask:
    """Return where a week, or one of the ``carry`` before it, is marked; shape (week, geo) in and out."""
    touched = moved.copy()
    for lag in range(1, min(carry, len(moved) - 1) + 1):
        touched[lag:] |= moved[:-lag]
    return touched


def cut_to_rows(panel: pd.DataFrame, rows: Mask, carry: int) -> list[pd.DataFrame]:
    """Return the stretches of a panel that these rows need: whole weeks, with the ``carry`` weeks before them.

    Targets of all other rows are NaN, so that a likelihood of a stretch is that of its rows.
    """
    if not rows.any():
        return []
    panel = panel.assign(target=np.where(rows, panel["target"].to_numpy(float), np.nan))
    weeks = np.unique(panel["week"].to_numpy()[rows])
    ends = np.flatnonzero(np.diff(weeks) > (carry + 1) * _WEEK.to_timedelta64())
    firsts, lasts = weeks[np.r_[0, ends + 1]], weeks[np.r_[ends, len(weeks) - 1]]
    return [
        panel[(panel["week"] >= first - carry * _WEEK) & (panel["week"] <= last)].reset_index(drop=True)
        for first, last in zip(firsts, lasts, strict=True)
    ]


def restated_alone(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return today's panel as far as the one before knew it: no new week, and no target that was late then."""
    both = now.merge(before[[*_KEYS, "target"]], on=_KEYS, how="inner", suffixes=("", "_before"), validate="1:1")
    known = both.pop("target_before").notna()
    return both.assign(target=both["target"].where(known))


def shifts_in_sd(old: Floats, old_weights: Floats, new: Floats, new_weights: Floats) -> Floats:
    """Return how far each mean has moved, in posterior sd of the old one, shape (estimand,); NaN where that sd is 0.

    Parameters
    ----------
    old, new : ndarray, shape (draw, estimand)
        One estimand before and after a restatement, draw by draw.
    old_weights, new_weights : ndarray, shape (draw,)
        Weights of the draws before and after; each sums up to 1.
    """
    mean = old_weights @ old
    sd = np.sqrt(old_weights @ (old - mean) ** 2)
    moved = np.abs(new_weights @ new - mean)
    return np.where(sd > 0, moved / np.where(sd > 0, sd, 1.0), np.nan)


def update_evidence(
    reweighed: Reweighed, champion: VersionFile, restated_shift_sd: float | None
) -> dict[str, float | bool | None]:
    """Return the ``update.*`` evidence of a week.

    ``update.new_weeks`` is 0 where the version in use has these very weights: then there is nothing to publish.
    """
    published = champion.weights_hash is not None and hash_weights(reweighed.log_weights) == champion.weights_hash
    return {
        "update.khat": reweighed.khat,
        "update.ess": effective_ess(reweighed, champion.ess_bulk_min),
        "update.rows": float(reweighed.counted.rows),
        "update.new_weeks": 0.0 if published else float(len(reweighed.counted.weeks)),
        "update.restated_shift_sd": restated_shift_sd,
    }
