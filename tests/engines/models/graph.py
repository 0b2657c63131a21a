"""Values of a PyMC graph at given draws, without sampling."""

from typing import Any

import numpy as np
import pytensor
import xarray as xr

from evermix.engines.models.fit import start_points
from evermix.engines.models.protocol import ModelKind


def prior_draws(kind: ModelKind, model: Any, draws: int) -> xr.Dataset:
    """Draw the kind's variables from the prior, in the form of stacked posterior draws."""
    import pymc as pm

    with model:
        prior = pm.sample_prior_predictive(draws, var_names=kind.variables(model), random_seed=5)["prior"]
    return prior.to_dataset().isel(chain=0, drop=True)


def graph_values(model: Any, outputs: list[Any], draws: xr.Dataset) -> list[np.ndarray]:
    """Return outputs of the graph per draw, stacked along a first axis."""
    free = model.free_RVs
    function = pytensor.function(free, outputs, mode="FAST_COMPILE", on_unused_input="ignore")
    count = draws.sizes["draw"]
    per_draw = [function(*(draws[v.name].isel(draw=i).to_numpy() for v in free)) for i in range(count)]
    return [np.stack(values) for values in zip(*per_draw, strict=True)]


def log_likelihood(model: Any, draws: xr.Dataset, *dims: str) -> np.ndarray:
    """Return the log likelihood of each observed value per draw, as the graph has it; dims order an xtensor one."""
    values = [model.rvs_to_values[v] for v in model.free_RVs]
    (density,) = model.logp(vars=model.observed_RVs, sum=False, jacobian=False)
    density = density.transpose(*dims) if dims else density
    function = pytensor.function(values, density, mode="FAST_COMPILE", on_unused_input="ignore")
    sizes = [int(np.prod(draws[v.name].shape[1:])) for v in model.free_RVs]
    out = []
    for point in start_points(model, draws):
        blocks = np.split(point, np.cumsum(sizes)[:-1])
        shapes = [draws[v.name].shape[1:] for v in model.free_RVs]
        out.append(function(*(block.reshape(shape) for block, shape in zip(blocks, shapes, strict=True))))
    return np.stack(out)
