"""Stage fit: draws for the request, and for the same rows without the holdout.  Reads ``request/`` alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

from evermix.config import ModelParams
from evermix.core.draws import stack_draws
from evermix.engines.models.adopt import adopt_draws
from evermix.engines.models.drawsfile import load_posterior, load_tree, save_tree
from evermix.engines.models.request import fit_request
from evermix.engines.store import Store, fresh_folder, read_json, write_json

# Old draws that chains may start at.
_START_DRAWS = 64


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Return what ``fit.json`` says; params are not read: what is fitted was written down by decide."""
    request = read_json(store.request / "request.json")
    with fresh_folder(store.fit) as folder:
        if request["id"] is None:
            record: dict[str, Any] = {"status": "nothing requested"}
        else:
            panel = pd.read_parquet(store.request / "panel.parquet")
            if "adopted" in request:
                made, record = adopt_draws(request, panel, load_tree(store.request / "adopted.nc"))
                save_tree(made, folder / "posterior.nc")
                write_json(folder / "fit.json", record)
                return record
            champion = store.request / "champion.nc"
            start = stack_draws(load_posterior(champion), _START_DRAWS) if champion.is_file() else None
            full, holdout, record = fit_request(request, panel, start, _reporter)
            save_tree(full.tree, folder / "posterior.nc")
            save_tree(holdout.tree, folder / "holdout.nc")
        write_json(folder / "fit.json", record)
    return record


def _reporter(label: str) -> Callable[[int, int], None]:
    """Return a callback that tells a terminal, or a log in steps of 10 %, how far sampling is."""
    ends, step = ("\r", 1) if sys.stderr.isatty() else ("\n", 10)
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
