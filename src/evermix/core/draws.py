"""Posterior draws as one thinned list, and their hash."""

from __future__ import annotations

import hashlib

import numpy as np
import xarray as xr


def stack_draws(tree: xr.DataTree | xr.Dataset, draws: int) -> xr.Dataset:
    """Return posterior draws of all chains in one dimension, thinned evenly.

    Parameters
    ----------
    tree : DataTree or Dataset
        A tree with a ``posterior`` group, or that group, with dims ``(chain, draw, ...)``.
    draws : int
        How many to keep; all are kept if there are fewer.

    Returns
    -------
    Dataset
        Same variables with one leading dim ``draw`` numbered from 0; every chain gives the same number, plus or
        minus one.
    """
    posterior = tree["posterior"].to_dataset() if isinstance(tree, xr.DataTree) else tree
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    kept = min(draws, total)
    # The middle of each of `kept` equal stretches: no end of a chain is favoured.
    index = ((np.arange(kept) + 0.5) * total / kept).astype(np.int64)
    variables = {}
    for name, array in posterior.data_vars.items():
        rest = tuple(str(dim) for dim in array.dims if dim not in ("chain", "draw"))
        values = array.transpose("chain", "draw", *rest).to_numpy()
        variables[name] = (("draw", *rest), values.reshape(total, *values.shape[2:])[index])
    coords = {name: coord.to_numpy() for name, coord in posterior.coords.items() if name not in ("chain", "draw")}
    return xr.Dataset(variables, coords=coords | {"draw": np.arange(kept)})


def hash_draws(posterior: xr.Dataset) -> str:
    """Return the SHA-256 of all draws: names in sorted order, shapes, and float64 bytes."""
    total = hashlib.sha256()
    for name in sorted(str(key) for key in posterior.data_vars):
        values = np.ascontiguousarray(posterior[name].to_numpy(), dtype=np.float64)
        total.update(f"{name}{values.shape}".encode())
        total.update(values.tobytes())
    return total.hexdigest()
