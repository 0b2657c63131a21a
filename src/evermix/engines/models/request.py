"""From a fit request to two fits on one basis: all rows, and all but the holdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from evermix.core.amend import amendments_of
from evermix.core.draws import hash_draws, stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.fit import FitResult, Progress, converged, fit_model
from evermix.errors import DataError

# Draws that the mean noise is taken over; its Monte-Carlo error is a few per mille of it.
_NOISE_DRAWS = 1000


def fit_request(
    request: dict[str, Any],
    panel: pd.DataFrame,
    start: xr.Dataset | None,
    progress: tuple[Progress | None, Progress | None],
) -> tuple[FitResult, FitResult, dict[str, Any]]:
    """Return the fit of all rows, the fit without the last ``holdout_weeks`` weeks, and their record.

    Parameters
    ----------
    request : dict
        ``id, kind, spec, basis`` (None at the first fit), ``columns, sampler, seed, evaluation``.
    panel : DataFrame
        The training rows; a late target is NaN.
    start : Dataset or None
        Draws of the champion with a leading dim ``draw``; used where they fit the model.  A challenger of a review is
        a request with another ``spec``.
    progress : tuple of callable or None
        Is told how far each of the two fits is.

    Returns
    -------
    full, holdout : FitResult
        Both on the same pinned basis, so that they differ by the weeks they saw alone.
    record : dict
        What ``fit.json`` says. ``noise_sd`` is the mean over draws and rows of the noise scale in target units, so
        every geo counts alike; for Student-t noise it is the scale, which is below the standard deviation.

    Raises
    ------
    DataError
        If fewer weeks have a target than twice the holdout.
    """
    kind, columns, spec, seed = load_kind(request["kind"]), request["columns"], request["spec"], request["seed"]
    kind.check(spec, columns)
    basis = kind.pin(panel, columns, spec, request["basis"])
    panel = observed_panel(panel, spec)
    weeks = panel.loc[np.isfinite(panel["target"].to_numpy()), "week"].drop_duplicates().sort_values()
    held = request["evaluation"]["holdout_weeks"]
    if len(weeks) <= 2 * held:
        raise DataError(
            f"panel: {len(weeks)} weeks with a target, expected more than {2 * held} (twice holdout_weeks). "
            "Bring more history, or lower evaluation.holdout_weeks."
        )
    early = panel[panel["week"] < weeks.iloc[-held]].reset_index(drop=True)
    full, holdout = (
        fit_model(kind, rows, columns, spec, basis, request["sampler"], seed + part, start, progress[part])
        for part, rows in enumerate((panel, early))
    )
    posterior = full.tree["posterior"].to_dataset()
    noise = kind.predict(stack_draws(posterior, _NOISE_DRAWS), panel, columns, spec, basis).sd
    record = {
        "status": "fitted",
        "request": request["id"],
        "basis": basis,
        "observed_hash": full.observed_hash,
        "draws_hash": hash_draws(posterior),
        "free_variables": sorted(str(name) for name in posterior.data_vars),
        "summary": full.summary,
        "holdout_summary": holdout.summary,
        "converged": converged(full.summary) and converged(holdout.summary),
        "fitted_through": str(weeks.iloc[-1].date()),
        "noise_sd": float(noise.mean()),
    }
    return full, holdout, record


def observed_panel(panel: pd.DataFrame, spec: Mapping[str, Any]) -> pd.DataFrame:
    """Return the panel as a fit observes it: no target before the first week that the spec's amendments name."""
    first = amendments_of(spec).get("first_week")
    if first is None:
        return panel
    return panel.assign(target=panel["target"].where(panel["week"] >= pd.Timestamp(first)))
