"""The log likelihood of given rows at given draws: by a kind's own forward pass, or through its PyMC graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.predictive import Predictive
from evermix.errors import FitError

if TYPE_CHECKING:
    from evermix.engines.models.protocol import ModelKind

Floats = NDArray[np.float64]


def plain_log_likelihood(predictive: Predictive, panel: pd.DataFrame, scale: Floats) -> Floats:
    """Return the log density of each row that has a target, shape (draw, row), in nats per pinned unit of the target.

    Parameters
    ----------
    predictive : Predictive
        Of every row of the panel, in target units.
    scale : ndarray, shape (geo,)
        What the graph divides the target by.  It adds the same to every draw, so that no weight depends on it.
    """
    target = panel["target"].to_numpy(float)
    known = np.isfinite(target)
    per_row = np.tile(np.log(scale), len(panel) // len(scale))
    return np.asarray(predictive.rows(known).log_density(target[known]) + per_row[known])


def graph_log_likelihood(
    kind: ModelKind,
    draws: xr.Dataset,
    panel: pd.DataFrame,
    columns: dict[str, Any],
    spec: dict[str, Any],
    basis: dict[str, Any],
) -> Floats:
    """Return the same through the PyMC graph: for kinds whose likelihood has no plain form; it imports and compiles.

    Raises
    ------
    FitError
        The draws lack a variable of the graph, or the graph does not observe one value per row with a target.
    """
    import pymc as pm

    model = kind.build(panel, columns, spec, basis)
    lacking = [v.name for v in model.free_RVs if v.name not in draws]
    if lacking:
        raise FitError(f"draws: {', '.join(lacking)} of the graph is missing. Fit this model again.")
    posterior = draws[[v.name for v in model.free_RVs]].expand_dims("chain")
    tree = xr.DataTree.from_dict({"posterior": posterior})
    with model:
        found = pm.compute_log_likelihood(tree, extend_inferencedata=False, progressbar=False)
    (values,) = (found[name] for name in found.data_vars)
    rows = int(np.isfinite(panel["target"].to_numpy(float)).sum())
    out = values.to_numpy().reshape(draws.sizes["draw"], -1)
    if out.shape[1] != rows:
        raise FitError(f"model: the graph observes {out.shape[1]} values, expected {rows}, the rows with a target.")
    return np.asarray(out, dtype=np.float64)
