"""Stage fit: draws for the request, and for the same rows without the holdout.  Reads ``request/`` alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.config import ModelParams
from evermix.core.amend import amended_spec
from evermix.core.draws import stack_draws
from evermix.engines.models.adopt import adopt_draws
from evermix.engines.models.drawsfile import load_posterior, load_tree, save_tree
from evermix.engines.models.request import fit_request
from evermix.engines.store import Store, fresh_folder, read_json, write_json
from evermix.errors import ConfigError, DataError, FitError

# Old draws that chains may start at.
_START_DRAWS = 64


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Return what ``fit.json`` says; params are not read: what is fitted was written down by decide."""
    request = read_json(store.request / "request.json")
    with fresh_folder(store.fit) as folder:
        if request["id"] is None:
            record: dict[str, Any] = {"status": "nothing requested"}
        elif "adopted" in request:
            panel = pd.read_parquet(store.request / "panel.parquet")
            made, record = adopt_draws(request, panel, load_tree(store.request / "adopted.nc"))
            save_tree(made, folder / "posterior.nc")
        else:
            record = _fit(store, request, folder)
        write_json(folder / "fit.json", record)
    return record


def _fit(store: Store, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit the request, then each challenger that a review brings; one that cannot be fitted ends nothing."""
    panel = pd.read_parquet(store.request / "panel.parquet")
    champion = store.request / "champion.nc"
    start = stack_draws(load_posterior(champion), _START_DRAWS) if champion.is_file() else None
    plans = request.get("challengers", [])
    fits = 2 * (1 + len(plans))

    def fit(asked: dict[str, Any], first: int, name: str, target: Path) -> dict[str, Any]:
        progress = _reporter(first, fits, name), _reporter(first + 1, fits, name, "holdout")
        full, holdout, record = fit_request(asked, panel, start, progress)
        save_tree(full.tree, target / "posterior.nc")
        save_tree(holdout.tree, target / "holdout.nc")
        return record

    record, found = fit(request, 1, "", folder), {}
    for place, plan in enumerate(plans, start=1):
        asked = request | {"spec": amended_spec(request["spec"], plan["amendments"])}
        try:
            found[plan["name"]] = fit(asked, 2 * place + 1, plan["name"], folder / "challengers" / plan["name"])
        except (ConfigError, DataError, FitError) as err:
            found[plan["name"]] = {"status": "not fitted", "why": str(err)}
    return record | ({"challengers": found} if "challengers" in request else {})


def _reporter(number: int, fits: int, *about: str) -> Callable[[int, int], None]:
    """Return a callback that tells a terminal, or a log in steps of 10 %, how far sampling is."""
    ends, step = ("\r", 1) if sys.stderr.isatty() else ("\n", 10)
    told = ", ".join(word for word in about if word)
    label = f"fit {number} of {fits}" + (f" ({told})" if told else "")
    said, before, name = -1, 0, label

    def report(done: int, total: int) -> None:
        nonlocal said, before, name
        if done < before:
            name = f"{label}, second try with longer tuning since the first did not converge"
        before = done
        percent = 100 * done // total // step * step
        if percent != said:
            said = percent
            sys.stderr.write(f"{name}: {percent} %{ends if percent < 100 else chr(10)}")
            sys.stderr.flush()

    return report
