"""A PyMC model as nutpie samples it: log density with its gradient, and the variables that are stored."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.engines.models.native import DENSITY, STORED, NativeFunction, compile_native
from evermix.errors import FitError

if TYPE_CHECKING:
    import pymc as pm

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CompiledModel:
    """Functions of an unconstrained point, a vector with the free variables in the model's order.

    Attributes
    ----------
    size : int
        Length of a point.
    density : NativeFunction
        Log density and its gradient.
    stored : NativeFunction
        The stored variables, one after the other.
    shapes, dims : dict
        Shape and names of dims of each stored variable, in that order.
    coords : dict
        Labels of those dims.
    initial_point : callable
        From a seed to a point near the centre of the prior; chains may ask side by side.
    """

    size: int
    density: NativeFunction
    stored: NativeFunction
    shapes: dict[str, tuple[int, ...]]
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, list[Any]]
    initial_point: Callable[[int], Floats]

    def for_nutpie(self, points: Floats | None) -> Any:
        """Return the model for ``nutpie.sample``; chain i starts at row i of ``points``, if they are given."""
        from nutpie.compile_pymc import CompiledPyMCModel

        ends = np.cumsum([_size(shape) for shape in self.shapes.values()])
        slices = [slice(end - _size(shape), end) for end, shape in zip(ends, self.shapes.values(), strict=True)]
        data = np.array([function.words.ctypes.data for function in (self.density, self.stored)], dtype=np.uint64)
        return CompiledPyMCModel(
            _n_dim=self.size,
            dims=self.dims,
            reparameterized_names=[],
            _coords={dim: pd.Index(labels) for dim, labels in self.coords.items()},
            _shapes=self.shapes,
            compiled_logp_func=self.density,
            compiled_expand_func=self.stored,
            initial_point_func=(
                self.initial_point if points is None else lambda chain: points[int(chain) % len(points)].copy()
            ),
            shared_data={},
            shared_var_keys={},
            user_data=data,
            n_expanded=int(ends[-1]),
            shape_info=(list(self.shapes), slices, list(self.shapes.values())),
            logp_func=None,
            expand_func=None,
        )


def compile_model(model: pm.Model, names: Sequence[str]) -> CompiledModel:
    """Return what sampling a model and storing the named variables needs; fast where its graph was compiled before.

    Raises
    ------
    FitError
        The graph cannot be compiled.
    """
    import pytensor.tensor as pt
    from pymc.initial_point import make_initial_point_fn
    from pytensor.graph.replace import clone_replace

    try:
        values = [model.rvs_to_values[v] for v in model.free_RVs]
        variables = model.replace_rvs_by_values([model[name] for name in names])
        initial = make_initial_point_fn(model=model, jitter_rvs=set(model.free_RVs), return_transformed=True)
        inside, outside = (_shapes(values, some, initial(0)) for some in (values, variables))
        ends = np.cumsum([_size(shape) for shape in inside])
        point = pt.TensorType("float64", shape=(int(ends[-1]),))("point")
        parts = {
            value: point[end - _size(shape) : end].reshape(shape).astype(value.dtype)
            for value, shape, end in zip(values, inside, ends, strict=True)
        }
        density, gradient = _density(model, values)
        density, gradient, stored = clone_replace([density, gradient, _flat(variables)], parts)
        dims = {name: tuple(str(dim) for dim in model.named_vars_to_dims.get(name) or ()) for name in names}
        return CompiledModel(
            size=point.type.shape[0],
            density=compile_native(point, [density, gradient], DENSITY),
            stored=compile_native(point, [stored], STORED),
            shapes=dict(zip(names, outside, strict=True)),
            dims={name: used for name, used in dims.items() if used},
            coords={dim: list(model.coords[dim]) for used in dims.values() for dim in used},
            initial_point=_one_at_a_time(lambda seed: _joined(initial(seed), values)),
        )
    except (ValueError, TypeError, NotImplementedError) as err:
        raise FitError(f"model: does not compile ({err}). Look at the spec's priors and dims.") from err


def _density(model: pm.Model, values: Sequence[Any]) -> tuple[Any, Any]:
    """Return log density and gradient, a scalar and a vector."""
    import pytensor.tensor as pt
    from pytensor.graph.rewriting.utils import rewrite_graph

    # Gradients of a stabilized graph are the stable ones.
    density = rewrite_graph(model.logp(), include=("canonicalize", "stabilize"))
    return density, _flat(pt.grad(density, values))


def _flat(variables: Sequence[Any]) -> Any:
    import pytensor.tensor as pt

    return pt.concatenate([pt.as_tensor(one, allow_xtensor_conversion=True).ravel() for one in variables])


def _shapes(values: Sequence[Any], variables: Sequence[Any], point: dict[str, Floats]) -> list[tuple[int, ...]]:
    import pytensor
    import pytensor.tensor as pt

    lengths = [pt.as_tensor(variable.shape, ndim=1, dtype="int64") for variable in variables]
    function = pytensor.function(values, lengths, mode="FAST_COMPILE", on_unused_input="ignore")
    return [tuple(int(length) for length in found) for found in function(*(point[value.name] for value in values))]


def _size(shape: Sequence[int]) -> int:
    return int(np.prod(shape))


def _one_at_a_time(function: Callable[[int], Floats]) -> Callable[[int], Floats]:
    """Return a function whose callers wait for each other: PyTensor's keep their values in one place."""
    lock = threading.Lock()

    def alone(seed: int) -> Floats:
        with lock:
            return function(seed)

    return alone


def _joined(point: dict[str, Floats], values: Sequence[Any]) -> Floats:
    return np.concatenate([np.ravel(point[value.name]) for value in values])
