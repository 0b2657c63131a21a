"""Machine code of a model's graphs that stays on disk: another process, or a week more of data, compiles nothing.

PyTensor keeps the code of each operation; what calls them is linked, and optimized as a whole, in every process anew,
which takes longer than sampling.  Here the outermost function is kept as well, under a key of the whole graph, with
the data passed by address and so no part of it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# An array of constants from this size on counts as data; but its lengths stay part of the graph.
_DATA_SIZE = 16
_DTYPES = ("float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "bool")
# numba compiles one function at a time anyway; so nobody compiles what another thread has just kept.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Convention:
    """How nutpie calls a function.

    Attributes
    ----------
    name : str
    arguments : dict
        Names and numba types, as in C; among them ``point`` and ``data``, the address of one address a function.
    lines : tuple of str
        What becomes of the graph's ``values``, a tuple of arrays.
    place : int
        Which of the addresses is this function's.
    """

    name: str
    arguments: dict[str, str]
    lines: tuple[str, ...]
    place: int


# A code above 0 makes the sampler give up a step: the graph raised, as it does outside the support of a parameter, or
# the density or its gradient is not finite.
DENSITY = Convention(
    "log_density",
    {"size": "uint64", "point": "double*", "gradient": "double*", "density": "double*", "data": "uint64*"},
    (
        "slope = carray(gradient, size)",
        "slope[...] = values[1]",
        "carray(density, 1)[0] = values[0].item()",
        "if not (isfinite(slope).all() and isfinite(carray(density, 1)[0])):",
        "    return 3",
    ),
    0,
)
STORED = Convention(
    "stored_variables",
    {"size": "uint64", "length": "uint64", "point": "double*", "out": "double*", "data": "uint64*"},
    ("carray(out, length)[...] = values[0]",),
    1,
)


@dataclass(frozen=True)
class NativeFunction:
    """Machine code of a graph, and the data that it was compiled with.

    Attributes
    ----------
    address : int
        Of the function.
    from_disk : bool
        Whether its machine code was there already.
    words : ndarray
        Addresses of the arrays of data, then their lengths along each axis: what ``data`` has to point to.
    kept : tuple
        What those addresses are of.
    """

    address: int
    from_disk: bool
    words: NDArray[np.uint64]
    kept: tuple[Any, ...]


def compile_native(point: Any, out: Sequence[Any], convention: Convention) -> NativeFunction:
    """Return the machine code of a graph.

    Parameters
    ----------
    point : TensorVariable
        The only input, a vector of known length.
    out : sequence of TensorVariable
        The ``values`` of the convention.  Shared variables and large constants are data, and taken as they are now.

    Raises
    ------
    NotImplementedError
        The graph needs data that are no array, or has an operation that numba does not know.
    """
    import numba
    import pytensor
    from pymc.pytensorf import compile as compile_graph
    from pytensor.graph.replace import graph_replace

    data = _data_of(out)
    arrays = [_aligned(_value(variable)) for variable in data]
    inputs = [_any_length(variable) for variable in data]
    # With fastmath, code from a disk cache sums in another order than code compiled here: a refit with a warm cache
    # would differ in its last bits, and soon in its draws, from the first fit with a cold one.
    with _LOCK, pytensor.config.change_flags(numba__fastmath=False):
        replaced = graph_replace(out, dict(zip(data, inputs, strict=True)), strict=False)
        function = compile_graph([point, *inputs], replaced, mode="NUMBA", on_unused_input="ignore")
        entry, key = _entry(function.maker.fgraph, point.type.shape[0], inputs, convention)
        callback = numba.cfunc(_signature(convention), cache=key is not None)(entry)
    addresses = [array.ctypes.data for array in arrays]
    words = np.array([*addresses, *(length for array in arrays for length in array.shape)], dtype=np.uint64)
    return NativeFunction(callback.address, callback.cache_hits > 0, words, (callback, arrays))


def _signature(convention: Convention) -> Any:
    from numba import types

    kinds = {"uint64": types.uint64, "uint64*": types.CPointer(types.uint64), "double*": types.CPointer(types.float64)}
    return types.int64(*(kinds[kind] for kind in convention.arguments.values()))


def _data_of(out: Sequence[Any]) -> list[Any]:
    """Return shared variables and large constants, in an order that depends on the graph alone."""
    from pytensor.compile.sharedvalue import SharedVariable
    from pytensor.graph.basic import Constant
    from pytensor.graph.traversal import ancestors

    return [v for v in ancestors(out) if isinstance(v, SharedVariable) or (isinstance(v, Constant) and _is_large(v))]


def _is_large(constant: Any) -> bool:
    data = constant.data
    return isinstance(data, np.ndarray) and data.dtype.kind == "f" and data.size >= _DATA_SIZE


def _value(variable: Any) -> NDArray[Any]:
    value = variable.get_value() if hasattr(variable, "get_value") else variable.data
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


def _any_length(variable: Any) -> Any:
    """Return an input for the data; a length of one is part of its type, since it broadcasts."""
    return variable.type.clone(shape=[1 if length == 1 else None for length in variable.type.shape])()


def _entry(fgraph: Any, size: int, inputs: Sequence[Any], convention: Convention) -> tuple[Any, str | None]:
    """Return a function around a graph, and the key that its code is kept under (None: it is not)."""
    import numba
    from nutpie.compile_pymc import address_as_void_pointer
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_funcify_ensure_cache

    graph, key = numba_funcify_ensure_cache(fgraph)
    given, place = [f"carray(point, {size})"], len(inputs)
    for number, variable in enumerate(inputs):
        shape = "".join(f"int64(words[{place + axis}]), " for axis in range(variable.type.ndim))
        place += variable.type.ndim
        given.append(f"carray(address(words[{number}]), ({shape}), {variable.type.dtype})")
    body = [
        f"words = carray(address(carray(data, 2)[{convention.place}]), {place}, uint64)",
        f"values = graph({', '.join(given)})",
        *convention.lines,
    ]
    lines = [
        f"def {convention.name}({', '.join(convention.arguments)}):",
        f"    if size != {size}:",
        "        return -1",
        "    try:",
        *(f"        {line}" for line in body),
        "    except Exception:",
        "        return 1",
        "    return 0",
    ]
    source = "\n".join(lines)
    names = {name: getattr(np, name) for name in _DTYPES}
    # numba looks the module of a kept function up by name.
    names |= {"__name__": __name__, "carray": numba.carray, "isfinite": np.isfinite}
    names |= {"address": address_as_void_pointer, "graph": graph}
    if key is not None:
        key = hashlib.sha256(f"{source}\n{key}".encode()).hexdigest()
    return compile_numba_function_src(source, convention.name, names, cache_key=key), key
