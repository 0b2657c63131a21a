"""The same posterior in coordinates in which a sampler moves easily.

Each coordinate may be shifted by a function of others.  The Jacobian of such a shear is 1, so that the density stays
what it was, and only its shape changes: a curved ridge becomes a ball.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pymc as pm

Floats = NDArray[np.float64]
# What is added to the unconstrained value of a free variable: its name, and a function of the model's value variables.
Shift = tuple[str, Any]


@dataclass(frozen=True)
class Sheared:
    """A model in new coordinates.

    Attributes
    ----------
    model : Model
        Flat free variables, the density of the original as a potential, and the asked variables as deterministics.
    original : Model
        What was built.
    shifts : sequence of (str, variable)
        In the order in which they are undone.
    """

    model: pm.Model
    original: pm.Model
    shifts: Sequence[Shift]

    def moved(self, points: Floats) -> Floats:
        """Return unconstrained points of the original in the new coordinates, shape (point, parameter) in and out."""
        return _forward(self.original, self.shifts, points)


def shear(model: pm.Model, names: Sequence[str], shifts: Sequence[Shift]) -> Sheared:
    """Return a model in which free variables are sampled as their unconstrained value plus a shift.

    Parameters
    ----------
    model : Model
        As a kind builds it.
    names : sequence of str
        Variables whose draws are stored.
    shifts : sequence of (str, variable)
        A shift may depend on values that no earlier one has shifted, or that an earlier one has; never on its own.
    """
    import pymc as pm
    from pytensor.graph.replace import graph_replace
    from pytensor.graph.rewriting.utils import rewrite_graph
    from pytensor.xtensor import as_xtensor

    start = model.initial_point()
    stored = [model[name] for name in names]
    joint = [model.logp(), *model.replace_rvs_by_values(stored)]
    flat = np.concatenate([np.ravel(start[model.rvs_to_values[v].name]) for v in model.free_RVs])
    moved = _forward(model, shifts, flat[None])[0]
    with pm.Model(coords={dim: list(labels) for dim, labels in model.coords.items() if labels is not None}) as out:
        undone: dict[Any, Any] = {}
        place = 0
        for variable in model.free_RVs:
            value = model.rvs_to_values[variable]
            shape = np.shape(start[value.name])
            size = int(np.prod(shape))
            free = pm.Flat(f"{value.name}_free", shape=shape, initval=moved[place : place + size].reshape(shape))
            undone[value] = as_xtensor(free, dims=value.type.dims) if hasattr(value.type, "dims") else free
            place += size
        for name, shift in shifts:
            value = model.rvs_to_values[model[name]]
            (before,) = graph_replace([shift], undone, strict=False)
            undone[value] = _like(undone[value] - before, value)
        # Gradients are of plain tensors alone.
        lowered = rewrite_graph(graph_replace(joint, undone, strict=False), include=("lower_xtensor", "canonicalize"))
        density, *variables = lowered
        pm.Potential("density", density)
        for variable, name in zip(variables, names, strict=True):
            dims = model.named_vars_to_dims.get(name) or ()
            pm.Deterministic(name, getattr(variable, "values", variable), dims=tuple(dims) or None)
    return Sheared(out, model, shifts)


def _forward(model: pm.Model, shifts: Sequence[Shift], points: Floats) -> Floats:
    import pytensor
    import pytensor.tensor as pt
    from pytensor.xtensor import as_xtensor

    values = [model.rvs_to_values[v] for v in model.free_RVs]
    start = model.initial_point()
    out = {value: value for value in values}
    for name, shift in shifts:
        value = model.rvs_to_values[model[name]]
        out[value] = _like(value + shift, value)
    point = pt.dvector("point")
    given, place = {}, 0
    for value in values:
        shape = np.shape(start[value.name])
        size = int(np.prod(shape))
        block = point[place : place + size].reshape(shape)
        given[value] = as_xtensor(block, dims=value.type.dims) if hasattr(value.type, "dims") else block
        place += size
    whole = pt.concatenate([pt.as_tensor(one, allow_xtensor_conversion=True).ravel() for one in out.values()])
    function = pytensor.function([point], whole, givens=given, mode="FAST_COMPILE", on_unused_input="ignore")
    return np.stack([function(one) for one in points])


def _like(expression: Any, value: Any) -> Any:
    """Return an expression with its dims in the order of a value's; what has none is left as it is."""
    return expression.transpose(*value.type.dims) if hasattr(value.type, "dims") else expression
