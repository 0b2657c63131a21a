"""Stage fit: draws for the request, and for the same rows without the holdout.  Reads ``request/`` alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from evermix.config import ModelParams
from evermix.core.draws import hash_draws, stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior, save_tree
from evermix.engines.models.fit import FitResult, fit_model
from evermix.engines.store import Store, fresh_folder, read_json, write_json
from evermix.errors import DataError


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Return what ``fit.json`` says; params are not read: what is fitted was written down by decide."""
    request = read_json(store.request / "request.json")
    with fresh_folder(store.fit) as folder:
        if request["id"] is None:
            record: dict[str, Any] = {"status": "nothing requested"}
        else:
            panel = pd.read_parquet(store.request / "panel.parquet")
            start_file = store.request / "champion.nc"
            start = stack_draws(load_posterior(start_file), 1000) if start_file.is_file() else None
            full, holdout, record = fit_request(request, panel, start)
            save_tree(full.tree, folder / "posterior.nc")
            save_tree(holdout.tree, folder / "holdout.nc")
        write_json(folder / "fit.json", record)
    return record


def fit_request(
    request: dict[str, Any], panel: pd.DataFrame, start: xr.Dataset | None
) -> tuple[FitResult, FitResult, dict[str, Any]]:
    """Return the fit of all rows, the fit without the last ``holdout_weeks`` weeks, and their record.

    Both share the basis. ``noise_sd`` is the mean over draws and rows of the noise scale, so each geo counts for its
    rows; for Student-t noise it is the scale, not the standard deviation.
    """
    kind, columns, spec, seed = load_kind(request["kind"]), request["columns"], request["spec"], request["seed"]
    kind.check(spec, columns)
    basis = kind.pin(panel, columns, spec, request["basis"])
    weeks = panel.loc[np.isfinite(panel["target"].to_numpy()), "week"].drop_duplicates().sort_values()
    held = request["evaluation"]["holdout_weeks"]
    if len(weeks) <= 2 * held:
        raise DataError(f"panel: {len(weeks)} weeks with a target, expected more than {2 * held}, twice the holdout.")
    early = panel[panel["week"] < weeks.iloc[-held]].reset_index(drop=True)
    fits = []
    for part, rows in enumerate((panel, early)):
        report = _reporter(f"fit {part + 1} of 2")
        fits.append(fit_model(kind, rows, columns, spec, basis, request["sampler"], seed + part, start, report))
    full, holdout = fits
    posterior = full.tree["posterior"].to_dataset()
    noise = kind.predict(stack_draws(posterior, 1000), panel, columns, spec, basis).sd
    record = {
        "status": "fitted",
        "request": request["id"],
        "basis": basis,
        "observed_hash": full.observed_hash,
        "draws_hash": hash_draws(posterior),
        "free_variables": sorted(str(name) for name in posterior.data_vars),
        "summary": full.summary,
        "holdout_summary": holdout.summary,
        "fitted_through": str(weeks.iloc[-1].date()),
        "noise_sd": float(noise.mean()),
    }
    return full, holdout, record


def _reporter(label: str) -> Callable[[int, int], None]:
    """Return a callback that tells a person at a terminal, or a log, how far sampling is."""
    ends, step, said = ("\r", 1, [-1]) if sys.stderr.isatty() else ("\n", 10, [-1])

    def report(done: int, total: int) -> None:
        percent = 100 * done // total // step * step
        if percent != said[0]:
            said[0] = percent
            sys.stderr.write(f"{label}: {percent} %{ends}")
            sys.stderr.flush()

    return report
