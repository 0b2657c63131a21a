"""A PyMC model compiled for nutpie, its code kept on disk: a week more of data, or another process, compiles nothing.

PyTensor keeps the code of each operation.  nutpie's function around them is linked, and optimized as a whole, in every
process anew, which takes longer than sampling.  Here that function is kept as well, under a key of the whole graph,
with the data passed by address and so no part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evermix.errors import FitError

if TYPE_CHECKING:
    import pymc as pm

_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")


@dataclass(frozen=True)
class _Convention:
    """How nutpie calls a function: its arguments with their types, and what becomes of the graph's ``values``."""

    name: str
    arguments: dict[str, str]
    lines: tuple[str, ...]


# A code above 0 makes the sampler give up a step: the graph raised, as it does outside the support of a parameter, or
# the density or its gradient is not finite.
_DENSITY = _Convention(
    "log_density",
    {"size": "word", "point": "doubles", "gradient": "doubles", "density": "doubles", "data": "words"},
    (
        "slope = carray(gradient, size)",
        "slope[...] = values[1]",
        "carray(density, 1)[0] = values[0].item()",
        "if not (isfinite(slope).all() and isfinite(carray(density, 1)[0])):",
        "    return 3",
    ),
)
_STORED = _Convention(
    "stored_variables",
    {"size": "word", "length": "word", "point": "doubles", "out": "doubles", "data": "words"},
    ("carray(out, length)[...] = values[0]",),
)


@dataclass(frozen=True)
class NativeFunction:
    """Machine code at an address; ``from_disk``: it was there already; ``kept``: what has to live as long."""

    address: int
    from_disk: bool
    kept: Any


def compile_model(model: pm.Model, names: Sequence[str]) -> Any:
    """Return a ``nutpie`` model that stores the named variables; fast where its graph was compiled before.

    Data that the model bakes in as constants, instead of holding them in ``pm.Data``, are part of its graph: other
    ones compile anew.

    Raises
    ------
    FitError
        The graph cannot be compiled, or needs data that are no array.

    Notes
    -----
    nutpie makes the graphs of log density, gradient and stored variables here as in its own ``compile_pymc_model``.
    """
    import pytensor
    from nutpie import compile_pymc as nutpie
    from pymc.initial_point import make_initial_point_fn

    try:
        # With fastmath, code from a disk cache sums in another order than code compiled here: a refit with a warm
        # cache would differ in its last bits, and soon in its draws, from the first fit with a cold one.
        with pytensor.config.change_flags(numba__fastmath=False):
            initial = make_initial_point_fn(model=model, jitter_rvs=set(model.free_RVs), return_transformed=True)
            size, length, density, stored, start, layout, transformed = nutpie._make_functions(
                model,
                mode="NUMBA",
                compute_grad=True,
                join_expanded=True,
                # Chains ask side by side, and PyTensor's functions keep their values in one place.
                pymc_initial_point_fn=nutpie._wrap_with_lock(initial),
                var_names=names,
            )
            shared = list(dict.fromkeys([*density.get_shared(), *stored.get_shared()]))
            data = [_aligned(_value(variable)) for variable in shared]
            log_density = _native(density, size, shared, _DENSITY)
            expand = _native(stored, size, shared, _STORED)
    except (ValueError, TypeError, NotImplementedError) as err:
        raise FitError(f"model: does not compile ({err}). Look at the spec's priors and dims.") from err
    dims, coords = nutpie._prepare_dims_and_coords(model, layout, transformed)
    return nutpie.CompiledPyMCModel(
        _n_dim=size,
        dims=dims,
        _coords=coords,
        _shapes={name: tuple(shape) for name, _, shape in zip(*layout, strict=True)},
        compiled_logp_func=log_density,
        compiled_expand_func=expand,
        initial_point_func=start,
        # Kept alive for the addresses below.
        shared_data={str(place): values for place, values in enumerate(data)},
        shared_var_keys={},
        user_data=_words(data),
        n_expanded=length,
        shape_info=layout,
        logp_func=density,
        expand_func=stored,
        reparameterized_names=transformed,
    )


def _words(data: Sequence[NDArray[Any]]) -> NDArray[np.uint64]:
    """Return the addresses of arrays, then their lengths along each axis: what the compiled functions read."""
    lengths = [length for values in data for length in values.shape]
    return np.array([*(values.ctypes.data for values in data), *lengths], dtype=np.uint64)


def _value(variable: Any) -> NDArray[Any]:
    value = variable.get_value()
    if not isinstance(value, np.ndarray) or value.dtype.name not in _DTYPES:
        raise NotImplementedError(f"{variable}: {type(value).__name__}, expected an array of numbers")
    return value


def _aligned(value: NDArray[Any]) -> NDArray[Any]:
    """Return a copy at a multiple of 64 bytes: where an array starts decides in which order BLAS sums it."""
    room = np.empty(value.nbytes + 64, dtype=np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + value.nbytes].view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy


def _native(function: Any, size: int, shared: Sequence[Any], convention: _Convention) -> NativeFunction:
    """Return machine code that takes a function of PyTensor to where nutpie wants its values."""
    import numba
    import nutpie
    import pytensor
    from nutpie.compile_pymc import address_as_void_pointer
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_funcify_ensure_cache

    graph, key = numba_funcify_ensure_cache(function.maker.fgraph)
    source = _source(size, shared, function.get_shared(), convention)
    if key is not None:
        versions = f"{pytensor.__version__} {nutpie.__version__}"
        key = hashlib.sha256(f"{versions}\n{source}\n{key}".encode()).hexdigest()
    names = {name: getattr(np, name) for name in _DTYPES} | {"carray": numba.carray, "isfinite": np.isfinite}
    # numba looks the module of a kept function up by name.
    names |= {"__name__": __name__, "address": address_as_void_pointer, "graph": graph}
    entry = compile_numba_function_src(source, convention.name, names, cache_key=key)
    types = numba.types
    kinds = {"word": types.uint64, "words": types.CPointer(types.uint64), "doubles": types.CPointer(types.float64)}
    signature = types.int64(*(kinds[kind] for kind in convention.arguments.values()))
    callback = numba.cfunc(signature, cache=key is not None)(entry)
    return NativeFunction(callback.address, callback.cache_hits > 0, callback)


def _source(size: int, shared: Sequence[Any], used: Sequence[Any], convention: _Convention) -> str:
    """Return Python for numba: arrays at the addresses in ``data``, the graph's values, and what becomes of them."""
    ends = np.cumsum([len(shared), *(variable.type.ndim for variable in shared)])
    given = [f"carray(point, {size})"]
    for place in (shared.index(variable) for variable in used):
        lengths = "".join(f"int64(words[{axis}]), " for axis in range(ends[place], ends[place + 1]))
        given.append(f"carray(address(words[{place}]), ({lengths}), {shared[place].type.dtype})")
    lines = [f"words = carray(data, {ends[-1]})", f"values = graph({', '.join(given)})", *convention.lines]
    return "\n".join(
        [
            f"def {convention.name}({', '.join(convention.arguments)}):",
            f"    if size != {size}:",
            "        return -1",
            "    try:",
            *(f"        {line}" for line in lines),
            "    except Exception:",
            "        return 1",
            "    return 0",
        ]
    )
