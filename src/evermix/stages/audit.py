"""What evaluate adds: the requested fit against the champion's fit, updated to the same data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evermix.core.amend import current_since
from evermix.core.audit import Audit, compare_posteriors, is_no_yardstick, no_audit
from evermix.core.diagnostics import WINDOW_WEEKS, total_contributions
from evermix.core.draws import stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior
from evermix.engines.models.reweigh import reweigh
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, read_json
from evermix.errors import DataError, FitError
from evermix.records import VersionFile
from evermix.stages.fits import Fit

# Ends of an interval are then known to a tenth of a posterior sd.
_DRAWS = 4000


def audit_fit(store: Store, request: dict[str, Any], panel: pd.DataFrame, fit: Fit) -> Audit:
    """Return how far the fit is from the champion's updated posterior, or why that says nothing."""
    if request["champion"] is None:
        return no_audit("there is no champion to compare with")
    version = VersionFile.model_validate(read_json(store.request / "champion.json"))
    base = read_panel(store.request / "champion_panel.parquet")
    other = _other_model(request, fit, version)
    if base is None or other:
        return no_audit(other or f"the history does not hold the panel of {version.base}")
    posterior = load_posterior(store.request / "champion.nc")
    draws = stack_draws(posterior, posterior.sizes["chain"] * posterior.sizes["draw"])
    try:
        found = reweigh(version, draws, base, panel, request["masked_weeks"])
    except (DataError, FitError) as err:
        return no_audit(f"the champion's fit cannot be updated to these data: {err}")
    if why := is_no_yardstick(found, version.ess_bulk_min):
        return no_audit(why)
    kind, channels = load_kind(version.kind), list(version.columns["channels"])
    weeks = panel["week"].drop_duplicates().sort_values().iloc[-(WINDOW_WEEKS + kind.carry_weeks(version.spec)) :]
    recent = panel[panel["week"].isin(weeks)].reset_index(drop=True)
    sides, names = [], channels
    for tree, weights in ((load_posterior(fit.folder / "posterior.nc"), None), (posterior, found.log_weights)):
        kept = stack_draws(tree, _DRAWS, weights)
        parts = kind.contributions(kept, recent, version.columns, version.spec, version.basis)
        totals = total_contributions(parts, current_since(version.spec, channels))
        names = channels or [str(name) for name in totals["component"].to_numpy()]
        sides.append(np.asarray(totals.sel(component=names).transpose("draw", "component").to_numpy()))
    return compare_posteriors(sides[0], sides[1], names)


def _other_model(request: dict[str, Any], fit: Fit, version: VersionFile) -> str | None:
    """Return which settings differ: posteriors of two models need not agree."""
    basis = fit.record["basis"]
    mine = {"kind": request["kind"], "spec": fit.spec, "columns": _inputs(request["columns"]), "basis": basis}
    theirs = {**version.model_dump(include=set(mine)), "columns": _inputs(version.columns)}
    apart = [
        name for name in mine if json.dumps(mine[name], sort_keys=True) != json.dumps(theirs[name], sort_keys=True)
    ]
    return f"the champion is another model: {', '.join(apart)} differ" if apart else None


def _inputs(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return which columns a model reads; what else params say of a channel (launched, bursty) is no other model."""
    channels = {name: [channel["spend"], channel["exposure"]] for name, channel in columns["channels"].items()}
    return {"channels": channels, **{role: columns[role] for role in ("geo", "target", "controls", "events")}}
