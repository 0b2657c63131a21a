"""From base draws and two panels to the posterior of today, without sampling."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.amend import amendments_of
from evermix.core.update import Counted, Reweighed, cut_to_rows, rows_that_count
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
    first = amendments_of(version.spec).get("first_week")
    # A fit that begins with a later week never saw the target of those before.
    unseen = [] if first is None else now.loc[now["week"] < pd.Timestamp(first), "week"].dt.strftime("%Y-%m-%d")
    counted = rows_that_count(base, now, version.columns, carry, {*masked, *unseen})
    log_weights, khat = smooth_weights(log_ratio(version, draws, base, now, counted))
    return Reweighed(log_weights, khat, counted, _through(now))


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


def _through(now: pd.DataFrame) -> str | None:
    known = now.loc[now["target"].notna(), "week"]
    return None if known.empty else known.max().strftime("%Y-%m-%d")
