"""From base draws and two panels to the posterior of today, without sampling."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from evermix.core.amend import amendments_of, current_since
from evermix.core.diagnostics import WINDOW_WEEKS, recent_spend, total_contributions
from evermix.core.draws import pick_draws
from evermix.core.update import Counted, Reweighed, cut_to_rows, restated_alone, rows_that_count, shifts_in_sd
from evermix.engines.models import load_kind
from evermix.engines.models.psis import smooth_weights
from evermix.records import VersionFile

Floats = NDArray[np.float64]


def reweigh(
    version: VersionFile, draws: xr.Dataset, base: pd.DataFrame, now: pd.DataFrame, masked: Collection[str]
) -> Reweighed:
    """Return the version's posterior given today's panel, as weights over the draws of its fit.

    Parameters
    ----------
    version : VersionFile
        A fit, or an update of it: kind, spec, columns and basis are the fit's.
    draws : Dataset
        All draws of the fit with a leading dim ``draw``, chain by chain.
    base : DataFrame
        The panel that the fit was made on.
    now : DataFrame
        Today's panel, with the inputs of the version.
    masked : collection of str
        Weeks (ISO Mondays) whose target never counts.

    Raises
    ------
    DataError
        The version cannot be asked about the panel.
    FitError
        The weights cannot be computed.
    """
    carry = load_kind(version.kind).carry_weeks(version.spec)
    counted = rows_that_count(base, now, version.columns, carry, _never(version, now, masked))
    ratio = log_ratio(version, draws, base, now, counted)
    return Reweighed(*smooth_weights(ratio), ratio, counted, _through(now))


def restated_shifts(
    version: VersionFile,
    draws: xr.Dataset,
    reweighed: Reweighed,
    before: pd.DataFrame,
    now: pd.DataFrame,
    masked: Collection[str],
    size: int,
) -> dict[str, float]:
    """Return how far what a delivery tells differently moves each ROAS or contribution, in posterior sd.

    The posterior of today is compared with the one that it would be, had the delivery repeated the past; new weeks
    and late targets are in both.  Totals of the last year that both deliveries know; of a channel that spent, the
    return on its spend, so that restated spend moves it by itself too.

    Parameters
    ----------
    reweighed : Reweighed
        The posterior of today, over all ``draws``.
    before, now : DataFrame
        The last accepted panel and today's, with the inputs of the version.
    size : int
        Draws that the totals are taken over, evenly thinned.
    """
    carry = load_kind(version.kind).carry_weeks(version.spec)
    alone = restated_alone(before, now)
    counted = rows_that_count(before, alone, version.columns, carry, _never(version, now, masked))
    restated = log_ratio(version, draws, before, alone, counted)
    without, _ = smooth_weights(reweighed.log_ratio - restated)
    picked = pick_draws(draws.sizes["draw"], size, None)
    thin = draws.isel(draw=picked)
    shared = before[before["week"].isin(alone["week"])].reset_index(drop=True)
    (names, old), (_, new) = (_yearly(version, thin, panel, carry) for panel in (shared, alone))
    since = current_since(version.spec, list(version.columns["channels"]))
    spent, told = recent_spend(shared, since), recent_spend(alone, since)
    is_return = [spent.get(name, 0.0) > 0 and told[name] > 0 for name in names]
    for totals, spend in ((old, spent), (new, told)):
        totals /= [spend[name] if has else 1.0 for name, has in zip(names, is_return, strict=True)]
    weights = [special.softmax(log_weights[picked]) for log_weights in (without, reweighed.log_weights)]
    shifts = shifts_in_sd(old, weights[0], new, weights[1])
    return {name: float(shift) for name, shift in zip(names, shifts, strict=True) if np.isfinite(shift)}


def _yearly(version: VersionFile, draws: xr.Dataset, panel: pd.DataFrame, carry: int) -> tuple[list[str], Floats]:
    """Return the components and their totals over the last year of a panel, shape (draw, component)."""
    weeks = panel["week"].drop_duplicates().sort_values()
    recent = panel[panel["week"].isin(weeks.iloc[-(WINDOW_WEEKS + carry) :])].reset_index(drop=True)
    parts = load_kind(version.kind).contributions(draws, recent, version.columns, version.spec, version.basis)
    since = current_since(version.spec, list(version.columns["channels"]))
    totals = total_contributions(parts, since).transpose("draw", "component")
    return [str(name) for name in totals["component"].to_numpy()], totals.to_numpy().copy()


def log_ratio(
    version: VersionFile, draws: xr.Dataset, base: pd.DataFrame, now: pd.DataFrame, counted: Counted
) -> Floats:
    """Return log p(rows of today) - log p(rows as trained) of each draw, shape (draw,), over the rows that count."""
    kind = load_kind(version.kind)
    carry = kind.carry_weeks(version.spec)
    total = np.zeros(draws.sizes["draw"])
    for sign, panel, rows in ((1.0, now, counted.now), (-1.0, base, counted.then)):
        for stretch in cut_to_rows(panel, rows, carry):
            args = (stretch, version.columns, version.spec, version.basis)
            total += sign * kind.log_likelihood(draws, *args).sum(axis=1)
    return total


def _never(version: VersionFile, now: pd.DataFrame, masked: Collection[str]) -> set[str]:
    """Return the weeks whose target counts neither today nor in the fit: masked ones, and those before its first."""
    first = amendments_of(version.spec).get("first_week")
    unseen = [] if first is None else now.loc[now["week"] < pd.Timestamp(first), "week"].dt.strftime("%Y-%m-%d")
    return {*masked, *version.masked_weeks, *unseen}


def _through(now: pd.DataFrame) -> str | None:
    known = now.loc[now["target"].notna(), "week"]
    return None if known.empty else known.max().strftime("%Y-%m-%d")
