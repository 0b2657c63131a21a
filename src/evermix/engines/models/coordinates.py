"""The same posterior in coordinates in which a sampler moves easily.

Each coordinate may be shifted by a function of others.  The Jacobian of such a shear is 1, so that the density stays
what it was, and only its shape changes: a curved ridge becomes a ball.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evermix.errors import FitError

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
        Flat free variables, the density of the original as a potential, and the stored variables as deterministics.
    moved : callable
        From unconstrained points of the original to those of ``model``, shape (point, parameter) in and out.
    """

    model: pm.Model
    moved: Callable[[Floats], Floats]


def shear(model: pm.Model, names: Sequence[str], shifts: Sequence[Shift]) -> Sheared:
    """Return a model in which free variables are sampled as their unconstrained value plus a shift.

    Parameters
    ----------
    model : Model
        As a kind builds it.
    names : sequence of str
        Variables whose draws are stored.
    shifts : sequence of (str, variable)
        Functions of unconstrained values of the model; of those that are shifted too, only of ones earlier in the list.

    Raises
    ------
    FitError
        A shift depends on its own value or on that of a later one: its Jacobian would not be 1.
    """
    import pymc as pm
    from pytensor.graph.replace import graph_replace
    from pytensor.graph.rewriting.utils import rewrite_graph

    _check_order(model, shifts)
    values = [model.rvs_to_values[v] for v in model.free_RVs]
    start = model.initial_point()
    shapes = [np.shape(start[value.name]) for value in values]
    moved = _mover(model, shifts, values, shapes)
    places = _blocks(moved(np.concatenate([np.ravel(start[value.name]) for value in values])[None])[0], shapes)
    joint = [model.logp(), *model.replace_rvs_by_values([model[name] for name in names])]
    with pm.Model(coords={dim: list(labels) for dim, labels in model.coords.items() if labels is not None}) as out:
        undone = {
            value: _as(value, pm.Flat(f"{value.name}_free", shape=place.shape, initval=place))
            for value, place in zip(values, places, strict=True)
        }
        for name, shift in shifts:
            value = model.rvs_to_values[model[name]]
            (before,) = graph_replace([shift], undone, strict=False)
            undone[value] = _like(value, undone[value] - before)
        # Gradients are of plain tensors alone.
        lowered = rewrite_graph(graph_replace(joint, undone, strict=False), include=("lower_xtensor", "canonicalize"))
        density, *variables = lowered
        pm.Potential("density", density)
        for variable, name in zip(variables, names, strict=True):
            dims = model.named_vars_to_dims.get(name) or ()
            pm.Deterministic(name, getattr(variable, "values", variable), dims=tuple(dims) or None)
    return Sheared(out, moved)


def _check_order(model: pm.Model, shifts: Sequence[Shift]) -> None:
    from pytensor.graph.traversal import ancestors

    later = {model.rvs_to_values[model[name]]: name for name, _ in shifts}
    for name, shift in shifts:
        used = [later[variable] for variable in ancestors([shift]) if variable in later]
        if used:
            raise FitError(f"shifts: that of {name} depends on {used[0]}, expected on values shifted before it alone.")
        del later[model.rvs_to_values[model[name]]]


def _mover(
    model: pm.Model, shifts: Sequence[Shift], values: Sequence[Any], shapes: Sequence[tuple[int, ...]]
) -> Callable[[Floats], Floats]:
    import pytensor
    import pytensor.tensor as pt

    out = {value: value for value in values}
    for name, shift in shifts:
        value = model.rvs_to_values[model[name]]
        out[value] = _like(value, value + shift)
    flat = [pt.as_tensor(one, allow_xtensor_conversion=True).ravel() for one in out.values()]
    function = pytensor.function(values, pt.concatenate(flat), mode="FAST_COMPILE", on_unused_input="ignore")
    return lambda points: np.stack([function(*_blocks(point, shapes)) for point in points])


def _blocks(point: Floats, shapes: Sequence[tuple[int, ...]]) -> list[Floats]:
    """Return the parts of a flat point in the shapes of its variables."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(point, ends[:-1]), shapes, strict=True)]


def _as(value: Any, tensor: Any) -> Any:
    """Return a tensor with the dims of a value; what has none is left as it is."""
    from pytensor.xtensor import as_xtensor

    return as_xtensor(tensor, dims=value.type.dims) if hasattr(value.type, "dims") else tensor


def _like(value: Any, expression: Any) -> Any:
    """Return an expression with its dims in the order of a value's; what has none is left as it is."""
    return expression.transpose(*value.type.dims) if hasattr(value.type, "dims") else expression
