"""Evaluate: the requested fit in numbers, against its data, simple baselines and the champion."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from evermix.config import ModelParams
from evermix.core.budget import Voice, noise_by_geo
from evermix.core.draws import stack_draws
from evermix.core.evaluation import Challenger, Evaluation, evaluate_challenger, nothing_requested
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, fresh_folder, read_json, write_json, write_text
from evermix.errors import DataError, StoreError
from evermix.records import VersionFile
from evermix.stages.budget import review_request, voice_of


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Write ``evaluation.json``, the tables to plot, and flat metrics; depends on request and fit alone."""
    request = read_json(store.request / "request.json")
    found = nothing_requested() if request["id"] is None else _evaluate(store, request)
    with fresh_folder(store.evaluated) as draft:
        write_json(draft / "evaluation.json", found.record)
        for name in ("contributions", "ppc", "holdout", "curves"):
            write_text(draft / f"{name}.csv", getattr(found, name).to_csv(index=False, lineterminator="\n"))
    write_json(store.out / "evaluation.json", found.metrics)
    return found.record


def _evaluate(store: Store, request: dict[str, Any]) -> Evaluation:
    fit = read_json(store.fit / "fit.json")
    panel = read_panel(store.request / "panel.parquet")
    if panel is None or fit["status"] != "fitted" or fit["request"] != request["id"]:
        raise StoreError(f"{store.fit}: is not the fit of request {request['id']}. Run the stage fit again.")
    draws, kind = request["evaluation"]["draws"], load_kind(request["kind"])
    asked = (request["columns"], request["spec"], fit["basis"])
    full = stack_draws(load_posterior(store.fit / "posterior.nc"), draws)
    held_out = store.fit / "holdout.nc"
    early = stack_draws(load_posterior(held_out), draws) if held_out.is_file() else None
    champion, voice, reason = None, None, "there is no champion to compare with"
    if request["champion"] is not None:
        champion, voice, reason = _champion(store, panel, draws)
    predictive = kind.predict(full, panel, *asked)
    believed = Voice("challenger", lambda rows: kind.contributions(full, rows, *asked), tuple(asked[0]["channels"]))
    challenger = Challenger(
        predictive=predictive,
        early_predictive=kind.predict(early, panel, *asked) if early is not None else None,
        contributions=kind.contributions(full, panel, *asked),
        convergence=fit["summary"],
        budget=review_request(store, request, panel, believed, noise_by_geo(predictive, panel), voice),
    )
    return evaluate_challenger(request, panel, challenger, champion, reason)


def _champion(store: Store, panel: pd.DataFrame, draws: int) -> tuple[xr.DataArray | None, Voice | None, str]:
    """Return the champion's parts on the new panel and its voice, or None and why not: the gate passes no missing."""
    version = VersionFile.model_validate(read_json(store.request / "champion.json"))
    voice = voice_of(version, stack_draws(load_posterior(store.request / "champion.nc"), draws), panel)
    try:
        return voice.contribute(panel), voice, ""
    except DataError as err:
        return None, None, f"the champion cannot be asked about this panel: {err}"
