"""The posterior in use as a stage finds it: draws of the fit, their weights, and the panel they were fitted on.

Each file is held against the hash that the version carries: no week is computed with draws that somebody exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.draws import hash_draws, hash_weights, stack_draws
from evermix.engines.models.drawsfile import load_posterior, load_weights
from evermix.engines.sources import read_panel
from evermix.engines.store import hash_bytes, read_json
from evermix.errors import StoreError
from evermix.records import VersionFile

_RESTORE = (
    "Somebody changed it since it was published. `evermix verify` names the commit; bring the file back with "
    "`git checkout` in the work clone, or go to a whole version with `evermix rollback`."
)


@dataclass(frozen=True)
class Posterior:
    """A version with all that a week asks of it.

    Attributes
    ----------
    draws : Dataset
        Of its fit, dims (chain, draw, ...).
    log_weights : ndarray, shape (chain * draw,), or None
        Chain by chain; None: it is the fit itself.
    base_panel : DataFrame or None
        The panel the fit was made on; None where an older history does not have it.
    """

    version: VersionFile
    draws: xr.Dataset
    log_weights: NDArray[np.float64] | None
    base_panel: pd.DataFrame | None

    def kept(self, draws: int) -> xr.Dataset:
        """Return so many draws that count alike, dim ``draw``."""
        return stack_draws(self.draws, draws, self.log_weights)


def load_live(folder: Path, version: VersionFile) -> Posterior:
    """Return the posterior that lies in a folder as ``live/`` does.

    Raises
    ------
    StoreError
        A file is missing, or is not the one that the version was published with.
    """
    draws = load_posterior(folder / "base.nc")
    _refuse_another(folder / "base.nc", hash_draws(draws), version.draws_hash)
    weights = folder / "weights.npy"
    if version.weights_hash is not None and not weights.is_file():
        raise StoreError(f"{weights}: not there, expected the weights of {version.id}. {_RESTORE}")
    log_weights = None
    if version.weights_hash is not None:
        log_weights = load_weights(weights)
        _refuse_another(weights, hash_weights(log_weights), version.weights_hash)
    return Posterior(version, draws, log_weights, _base_panel(folder, version))


def _base_panel(folder: Path, version: VersionFile) -> pd.DataFrame | None:
    path = folder / "base_panel.parquet"
    if path.is_file():
        if version.panel_hash is not None:
            _refuse_another(path, hash_bytes(path.read_bytes()), version.panel_hash)
        return read_panel(path)
    # A history from before updates: the last request has the panel, if it is the one that made this fit.
    request = folder / "request" / "request.json"
    made_it: Any = read_json(request).get("id") if request.is_file() else None
    return read_panel(folder / "request" / "panel.parquet") if made_it == version.request else None


def _refuse_another(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise StoreError(f"{path}: its content hashes to {found[:12]}, expected {expected[:12]}. {_RESTORE}")
