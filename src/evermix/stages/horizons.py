"""Forecasts frozen at close, and scored by monitor when the weeks they are of have come."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import xarray as xr

from evermix.core.draws import hash_draws, pick_draws, take_draws
from evermix.core.horizons import due_rows, expired, weekly_total
from evermix.core.monitor import WeekFacts
from evermix.core.prequential import complete_inputs, score_rows
from evermix.engines.models.drawsfile import load_posterior, load_weights
from evermix.engines.models.forecast import predict_rows
from evermix.engines.store import Store, read_json, write_json
from evermix.errors import StoreError
from evermix.records import Origin, Score, VersionFile

FOLDER = "forecasts"


def score_horizons(folder: Path, facts: WeekFacts, seed: int) -> tuple[list[Score], dict[str, str]]:
    """Return the scores of weeks whose target is there, by the posteriors frozen 4 and 13 weeks before; and notes.

    Parameters
    ----------
    folder : Path
        As ``live/`` was before the week: with ``forecasts/`` and ``base.nc``.
    """
    origins = _read(folder)
    known = np.isfinite(facts.panel["target"].to_numpy(float))
    scores: list[Score] = []
    notes: dict[str, str] = {}
    for (horizon, origin), rows in due_rows(facts.panel, known, origins, facts.log).items():
        version = origins[origin].version
        panel, lost = complete_inputs(facts.panel, facts.before, version.columns)
        if lost:
            notes[f"horizon.{horizon}"] = f"not scored: {version.id} cannot be asked, for {', '.join(lost)}"
            continue
        draws = take_draws(_draws(folder, version), np.array(origins[origin].draws, dtype=np.int64))
        predictive = predict_rows(version, draws, panel, rows)
        scores += score_rows(predictive, panel[rows], facts.as_of, version.id, seed, horizon)
        total = weekly_total(predictive, panel[rows], panel["geo"].nunique())
        if total is not None:
            scores += score_rows(*total, facts.as_of, version.id, seed, horizon)
    return scores, notes


def freeze_origin(store: Store, as_of: str, draws: int) -> None:
    """Keep the posterior that is live after a week for the weeks to come, and drop what no week can need any more."""
    pointer, folder = store.live / "champion.json", store.live / FOLDER
    if not pointer.is_file():
        return
    version = VersionFile.model_validate(read_json(pointer))
    sizes = load_posterior(store.live / "base.nc").sizes
    weights = load_weights(store.live / "weights.npy") if version.weights_hash is not None else None
    picked = pick_draws(sizes["chain"] * sizes["draw"], draws, weights)
    origin = Origin(as_of=as_of, version=version, draws=picked.tolist())
    write_json(folder / f"{as_of}.json", origin.model_dump())
    for week in _read(store.live):
        if expired(week, as_of):
            (folder / f"{week}.json").unlink()
    needed = {one.version.draws_hash for one in _read(store.live).values()} - {version.draws_hash}
    for kept in folder.glob("*.nc"):
        if kept.stem not in needed:
            kept.unlink()


def keep_draws(store: Store, newer: VersionFile) -> None:
    """Keep the draws of the champion's fit beside its frozen forecasts, before those of another take their place."""
    pointer = store.live / "champion.json"
    if not pointer.is_file() or not (store.live / FOLDER).is_dir():
        return
    former = VersionFile.model_validate(read_json(pointer)).draws_hash
    if former != newer.draws_hash:
        shutil.copyfile(store.live / "base.nc", store.live / FOLDER / f"{former}.nc")


def _read(folder: Path) -> dict[str, Origin]:
    files = sorted((folder / FOLDER).glob("*.json"))
    return {file.stem: Origin.model_validate(read_json(file)) for file in files}


def _draws(folder: Path, version: VersionFile) -> xr.Dataset:
    beside = folder / FOLDER / f"{version.draws_hash}.nc"
    path = beside if beside.is_file() else folder / "base.nc"
    draws = load_posterior(path)
    if hash_draws(draws) != version.draws_hash:
        raise StoreError(f"{path}: is not the draws of {version.id}, whose forecasts are due. Restore it from git.")
    return draws
