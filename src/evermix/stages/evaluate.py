"""Evaluate: the requested fit in numbers, against its data, simple baselines and the champion."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr

from evermix.config import ModelParams
from evermix.core.budget import Voice, no_budget, noise_by_geo
from evermix.core.contest import Scores, foretell, propose, settle
from evermix.core.diagnostics import scored_rows
from evermix.core.draws import stack_draws
from evermix.core.evaluation import Challenger, Evaluation, evaluate_challenger, nothing_requested
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior, load_weights
from evermix.engines.models.request import observed_panel
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, fresh_folder, read_json, write_json, write_text
from evermix.errors import DataError, StoreError
from evermix.records import VersionFile
from evermix.stages.audit import audit_fit
from evermix.stages.budget import review_request, voice_of
from evermix.stages.fits import Fit, list_fits

# The weeks of a contest are weighed in one by one, which thins the draws out.
_CONTEST_DRAWS = 8000

# The champion's parts and voice, or why there are none.
Compared = tuple[xr.DataArray | None, Voice | None, str]


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
    panel = read_panel(store.request / "panel.parquet")
    every = list_fits(store, request)
    if panel is None or every is None:
        raise StoreError(f"{store.fit}: is not the fit of request {request['id']}. Run the stage fit again.")
    champion: Compared = (None, None, "there is no champion to compare with")
    if request["champion"] is not None:
        champion = _champion(store, panel, request["evaluation"]["draws"])
    if "challengers" not in request:
        return _measure(store, request, panel, every[0], champion, proposed=True)
    fits = [fit for fit in every if fit.record["status"] == "fitted"]
    scores = {fit.name: _scores(request, fit, panel) for fit in fits}
    converged = {fit.name: scores[fit.name].weekly for fit in fits if fit.record["converged"]}
    proposed = propose(converged, request["evaluation"]["challenger_lead_se"])
    found = {fit.name: _measure(store, request, panel, fit, champion, fit.name == proposed) for fit in fits}
    return settle(request, {fit.name: fit.record for fit in every}, found, scores, proposed)


def _measure(
    store: Store, request: dict[str, Any], panel: pd.DataFrame, fit: Fit, champion: Compared, proposed: bool
) -> Evaluation:
    """Return all that is measured of one fit; what it says of the budget is asked of the proposed one alone."""
    draws, kind, rows = request["evaluation"]["draws"], load_kind(request["kind"]), observed_panel(panel, fit.spec)
    asked = (request["columns"], fit.spec, fit.record["basis"])
    full = stack_draws(load_posterior(fit.folder / "posterior.nc"), draws)
    held_out = fit.folder / "holdout.nc"
    early = stack_draws(load_posterior(held_out), draws) if held_out.is_file() else None
    parts, voice, reason = champion
    predictive = kind.predict(full, rows, *asked)
    believed = Voice("challenger", lambda rows: kind.contributions(full, rows, *asked), tuple(asked[0]["channels"]))
    budget = no_budget("another fit is proposed")
    if proposed:
        budget = review_request(store, request, panel, believed, noise_by_geo(predictive, panel), voice)
    challenger = Challenger(
        predictive=predictive,
        early_predictive=kind.predict(early, rows, *asked) if early is not None else None,
        contributions=kind.contributions(full, rows, *asked),
        convergence=fit.record["summary"],
        budget=budget,
        audit=audit_fit(store, request, panel, fit),
    )
    return evaluate_challenger(request | {"spec": fit.spec}, rows, challenger, parts, reason)


def _scores(request: dict[str, Any], fit: Fit, panel: pd.DataFrame) -> Scores:
    """Return how the fit that did not see the last weeks foretold them, one after the other."""
    kind, (held, _) = load_kind(request["kind"]), scored_rows(panel, request["evaluation"]["holdout_weeks"])
    early = stack_draws(load_posterior(fit.folder / "holdout.nc"), _CONTEST_DRAWS)
    predictive = kind.predict(early, panel, request["columns"], fit.spec, fit.record["basis"]).rows(held)
    return foretell(predictive.log_density(panel.loc[held, "target"].to_numpy(float)), panel.loc[held, "week"])


def _champion(store: Store, panel: pd.DataFrame, draws: int) -> Compared:
    """Return the champion's parts on the new panel and its voice, or None and why not: the gate passes no missing."""
    version = VersionFile.model_validate(read_json(store.request / "champion.json"))
    weights = store.request / "champion_weights.npy"
    log_weights = load_weights(weights) if version.weights_hash is not None else None
    voice = voice_of(version, stack_draws(load_posterior(store.request / "champion.nc"), draws, log_weights), panel)
    try:
        return voice.contribute(panel), voice, ""
    except DataError as err:
        return None, None, f"the champion cannot be asked about this panel: {err}"
