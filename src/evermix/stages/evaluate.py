"""Evaluate: the requested fit in numbers, against its data, simple baselines and the champion."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from evermix.config import ModelParams
from evermix.core.draws import stack_draws
from evermix.core.evaluation import Challenger, Evaluation, evaluate_challenger, nothing_requested
from evermix.core.prequential import champion_inputs
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, fresh_folder, read_json, write_json, write_text
from evermix.errors import DataError, StoreError
from evermix.records import VersionFile


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Write ``evaluation.json``, the tables to plot, and flat metrics; depends on request and fit alone."""
    request = read_json(store.request / "request.json")
    found = nothing_requested() if request["id"] is None else _evaluate(store, request)
    with fresh_folder(store.evaluated) as draft:
        write_json(draft / "evaluation.json", found.record)
        for name, table in (("contributions", found.contributions), ("ppc", found.ppc), ("holdout", found.holdout)):
            write_text(draft / f"{name}.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(store.out / "evaluation.json", found.metrics)
    return found.record


def _evaluate(store: Store, request: dict[str, Any]) -> Evaluation:
    fit = read_json(store.fit / "fit.json")
    panel = read_panel(store.request / "panel.parquet")
    if panel is None or fit["status"] != "fitted" or fit["request"] != request["id"]:
        raise StoreError(f"{store.fit}: is not the fit of request {request['id']}. Run the stage fit again.")
    draws, kind = request["evaluation"]["draws"], load_kind(request["kind"])
    args = (panel, request["columns"], request["spec"], fit["basis"])
    full = stack_draws(load_posterior(store.fit / "posterior.nc"), draws)
    held_out = store.fit / "holdout.nc"
    early = stack_draws(load_posterior(held_out), draws) if held_out.is_file() else None
    challenger = Challenger(
        predictive=kind.predict(full, *args),
        early_predictive=kind.predict(early, *args) if early is not None else None,
        contributions=kind.contributions(full, *args),
        convergence=fit["summary"],
    )
    champion, reason = None, "there is no champion to compare with"
    if request["champion"] is not None:
        champion, reason = _champion_contributions(store, panel, draws)
    return evaluate_challenger(request, panel, challenger, champion, reason)


def _champion_contributions(store: Store, panel: pd.DataFrame, draws: int) -> tuple[xr.DataArray | None, str]:
    """Return the champion's parts on the new panel, or None and why not; the gate does not pass what is missing."""
    version = VersionFile.model_validate(read_json(store.request / "champion.json"))
    kept = stack_draws(load_posterior(store.request / "champion.nc"), draws)
    # Components add up, so inputs that only the champion has can be 0 without touching the shared ones.
    absent = dict.fromkeys((c for c in champion_inputs(version.columns) if c not in panel), 0.0)
    kind = load_kind(version.kind)
    try:
        whole = panel.assign(**absent)
        return kind.contributions(kept, whole, version.columns, version.spec, version.basis), ""
    except DataError as err:
        return None, f"the champion cannot be asked about this panel: {err}"
