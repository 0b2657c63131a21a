"""Posterior draws as one thinned list, weighted where the posterior was updated, and their hashes."""

from __future__ import annotations

import hashlib

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import special

from evermix.errors import StoreError

Floats = NDArray[np.float64]


def stack_draws(tree: xr.DataTree | xr.Dataset, draws: int, log_weights: Floats | None = None) -> xr.Dataset:
    """Return posterior draws of all chains in one dimension, thinned evenly, or taken by their weights.

    Parameters
    ----------
    tree : DataTree or Dataset
        A tree with a ``posterior`` group, or that group, with dims ``(chain, draw, ...)``.
    draws : int
        How many to keep; all are kept if there are fewer.
    log_weights : ndarray, shape (chain * draw,), or None
        From `pick_draws`; the kept draws count alike whatever their weights were.

    Returns
    -------
    Dataset
        Same variables with one leading dim ``draw`` numbered from 0; every chain gives the same number, plus or
        minus one.
    """
    posterior = tree["posterior"].to_dataset() if isinstance(tree, xr.DataTree) else tree
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    return take_draws(posterior, pick_draws(total, draws, log_weights))


def take_draws(posterior: xr.Dataset, index: NDArray[np.int64]) -> xr.Dataset:
    """Return some draws in one dimension ``draw``, numbered from 0; ``index`` counts them chain by chain."""
    total = posterior.sizes["chain"] * posterior.sizes["draw"]
    variables = {}
    for name, array in posterior.data_vars.items():
        rest = tuple(str(dim) for dim in array.dims if dim not in ("chain", "draw"))
        values = array.transpose("chain", "draw", *rest).to_numpy()
        variables[name] = (("draw", *rest), values.reshape(total, *values.shape[2:])[index])
    coords = {name: coord.to_numpy() for name, coord in posterior.coords.items() if name not in ("chain", "draw")}
    return xr.Dataset(variables, coords=coords | {"draw": np.arange(index.size)})


def pick_draws(total: int, draws: int, log_weights: Floats | None) -> NDArray[np.int64]:
    """Return which draws stand for a posterior when each of them counts alike, shape (min(draws, total),).

    Parameters
    ----------
    log_weights : ndarray, shape (total,), or None
        Log of each draw's weight up to a constant, chain by chain; None: equal weights.

    Notes
    -----
    Systematic resampling without a random start (Kitagawa 1996): the middle of each of ``draws`` equal stretches of the
    cumulative weight, so that no end of a chain is favoured, a draw of weight w comes ``draws * w`` times up to
    rounding, and the same weights give the same draws.  Equal weights thin evenly.
    """
    kept = min(draws, total)
    middles = (np.arange(kept) + 0.5) / kept
    if log_weights is None:
        return (middles * total).astype(np.int64)
    if log_weights.shape != (total,):
        raise StoreError(f"weights: got {log_weights.size}, expected {total}, one per draw. Restore both from git.")
    below = np.cumsum(special.softmax(log_weights))
    return np.searchsorted(below / below[-1], middles, side="right").astype(np.int64)


def hash_weights(log_weights: Floats) -> str:
    """Return the SHA-256 of the float64 bytes of log weights."""
    return hashlib.sha256(np.ascontiguousarray(log_weights, dtype=np.float64).tobytes()).hexdigest()


def hash_draws(posterior: xr.Dataset) -> str:
    """Return the SHA-256 of all draws: names in sorted order, shapes, and float64 bytes."""
    total = hashlib.sha256()
    for name in sorted(str(key) for key in posterior.data_vars):
        values = np.ascontiguousarray(posterior[name].to_numpy(), dtype=np.float64)
        total.update(f"{name}{values.shape}".encode())
        total.update(values.tobytes())
    return total.hexdigest()
