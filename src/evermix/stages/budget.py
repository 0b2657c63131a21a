"""The budget: what keeping the present plan costs, the best allowed one, and which channel to test."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.config import Environment, ModelParams
from evermix.core.budget import BudgetReview, Voice, kept_plan, no_budget, noise_by_geo, review_budget
from evermix.core.prequential import champion_inputs
from evermix.core.response import LOOKBACK_WEEKS, last_weeks
from evermix.engines.history.reading import open_history
from evermix.engines.models import load_kind
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, read_json, write_bytes
from evermix.errors import ConfigError
from evermix.records import VersionFile
from evermix.stages.plan import read_plan
from evermix.stages.posterior import load_live

# What of a commit the budget of its champion depends on.
_LIVE = ("champion.json", "base.nc", "weights.npy", "panel.parquet", "request/request.json", "challenger/question.json")


def plan(env: Environment, params: ModelParams, model: str) -> dict[str, Any]:
    """Return the present plan of a model under its champion: best allowed plan, regret, and the proposed experiment.

    Read from the last commit without a lock: what was committed is what is told.

    Raises
    ------
    ConfigError
        No version is in use yet.
    """
    with open_history(env, model) as history, tempfile.TemporaryDirectory() as name:
        store = Store(Path(name), model)
        places = {store.live / part: f"live/{model}/{part}" for part in _LIVE}
        places[store.snapshot / "plan.csv"] = f"in/{model}/snapshot/plan.csv"
        for file, path in places.items():
            data = history.blob(f"{history.tip}:{path}") if history.tip is not None else None
            if data is not None:
                write_bytes(file, data)
        version = _champion(store)
        if version is None:
            raise ConfigError(f"{model}: no version is in use yet. Run `evermix week --model {model} --as-of MONDAY`.")
        return {"model": model, "version": version.id, "budget": review_live(store, params).record}


def review_live(store: Store, params: ModelParams) -> BudgetReview:
    """Return what the version in use says of the plan that was delivered last, or of the last weeks.

    An update counts with its weights.
    """
    version, panel = _champion(store), read_panel(store.live / "panel.parquet")
    if version is None or panel is None:
        return no_budget("no version is in use yet")
    draws = load_live(store.live, version).kept(params.evaluation.draws)
    # A channel that params no longer name has no column any more: it spends nothing.
    absent = [c for c in champion_inputs(version.columns) if c not in panel and c.startswith(("spend.", "exposure."))]
    panel = panel.assign(**dict.fromkeys(absent, 0.0))
    voice = voice_of(version, draws, panel)
    rows = last_weeks(panel, LOOKBACK_WEEKS)
    predictive = load_kind(version.kind).predict(draws, rows, version.columns, version.spec, version.basis)
    present = kept_plan(panel, _planned(store, params, panel), version.columns, params.evaluation.plan_weeks)
    change = params.evaluation.plan_max_change
    return review_budget(present, voice, noise_by_geo(predictive, rows), None, change, _suspects(store))


def _champion(store: Store) -> VersionFile | None:
    path = store.live / "champion.json"
    return VersionFile.model_validate(read_json(path)) if path.is_file() else None


def _planned(store: Store, params: ModelParams, panel: pd.DataFrame) -> pd.DataFrame | None:
    """Return the delivered plan in the panel's columns; None without one that has all that the panel has."""
    planned, _ = read_plan(store, params, date.fromisoformat(panel["week"].max().date().isoformat()), panel)
    if planned is None:
        return None
    gone = [c for c in panel if c not in planned]
    planned = planned.assign(**{c: 0.0 for c in gone if c.startswith(("spend.", "exposure."))})
    return planned if set(panel) <= set(planned) else None


def _suspects(store: Store) -> list[dict[str, Any]]:
    """Return whom the alarm suspects that led to the pending question."""
    request = store.live / "request" / "request.json"
    asked = (store.live / "challenger" / "question.json").is_file() and request.is_file()
    return list(read_json(request).get("suspects", [])) if asked else []


def review_request(
    store: Store,
    request: dict[str, Any],
    panel: pd.DataFrame,
    challenger: Voice,
    noise_sd: NDArray[np.float64],
    champion: Voice | None,
) -> BudgetReview:
    """Return what the fit of a request says of the plan that the request carries, or of its last weeks."""
    settings = request["evaluation"]
    if "plan_weeks" not in settings:
        return no_budget("the request is of a version of evermix that did not ask about plans")
    present = kept_plan(panel, read_panel(store.request / "plan.parquet"), request["columns"], settings["plan_weeks"])
    return review_budget(present, challenger, noise_sd, champion, settings["plan_max_change"], request["suspects"])


def voice_of(version: VersionFile, draws: xr.Dataset, panel: pd.DataFrame) -> Voice:
    """Return a version in use, to be asked about panels with the columns of this one."""
    # Components add up, so inputs that only the version has can be 0 without touching the shared ones.
    absent = dict.fromkeys((c for c in champion_inputs(version.columns) if c not in panel), 0.0)
    kind, args = load_kind(version.kind), (version.columns, version.spec, version.basis)
    channels = tuple(version.columns["channels"])
    return Voice("champion", lambda rows: kind.contributions(draws, rows.assign(**absent), *args), channels)
