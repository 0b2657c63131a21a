"""Draws and weights on disk: files whose bytes depend on their content alone, read back without ArviZ."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from evermix.errors import StoreError

# How netCDF-4 names the scale of a dimension that has no coordinate.
_NO_COORDINATE = b"This is a netCDF dimension but not a netCDF variable"
# What h5py says of a file that is torn, or changed in the middle; content that still reads is held against its hash.
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)


def save_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree as netCDF; the same draws give the same bytes.

    Attributes are dropped, since ArviZ and nutpie put clock times and versions there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clean = xr.DataTree.from_dict({name: node.to_dataset().drop_attrs() for name, node in tree.children.items()})
    clean.to_netcdf(path, engine="h5netcdf", mode="w")


def load_tree(path: Path) -> xr.DataTree:
    """Read all groups into memory."""
    try:
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            return tree.load()
    except (FileNotFoundError, OSError) as err:
        raise _unreadable(path, err) from None


def load_posterior(path: Path) -> xr.Dataset:
    """Read the posterior group alone into memory: dims (chain, draw, ...)."""
    try:
        return _read_posterior(path)
    except _DAMAGE as err:
        raise _unreadable(path, err) from None


def load_posterior_bytes(data: bytes) -> xr.Dataset:
    """Read the posterior group of a draws file that is in memory already, as from a commit."""
    try:
        return _read_posterior(io.BytesIO(data))
    except _DAMAGE as err:
        raise _unreadable(Path("draws"), err) from None


def _read_posterior(file: Path | io.BytesIO) -> xr.Dataset:
    """Return what `save_tree` wrote, read as HDF5: a week opens several such files, and xarray takes ten times as long.

    In netCDF a coordinate is a dimension scale, and a variable names its dimensions by their scales.
    """
    import h5py

    variables, coords = {}, {}
    with h5py.File(file, "r") as root:
        for name, stored in root["posterior"].items():
            if not isinstance(stored, h5py.Dataset):
                raise ValueError(f"{name} is no array")
            values = stored.asstr()[...].astype(str) if h5py.check_string_dtype(stored.dtype) else stored[...]
            if not stored.is_scale:
                dims = [str(scale[0].name).rsplit("/", 1)[-1] for scale in stored.dims]
                variables[name] = (dims, values)
            elif not stored.attrs["NAME"].startswith(_NO_COORDINATE):
                coords[name] = values
    return xr.Dataset(variables, coords=coords)


def weights_bytes(log_weights: NDArray[np.float64]) -> bytes:
    """Return log weights, chain by chain, as the bytes of a ``.npy`` file."""
    out = io.BytesIO()
    np.save(out, log_weights, allow_pickle=False)
    return out.getvalue()


def load_weights(file: Path | io.BytesIO) -> NDArray[np.float64]:
    """Read log weights, shape (chain * draw,), from a ``.npy`` file or its bytes."""
    try:
        return np.asarray(np.load(file, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError) as err:
        raise _unreadable(file if isinstance(file, Path) else Path("weights"), err) from None


def _unreadable(path: Path, err: Exception) -> StoreError:
    return StoreError(
        f"{path}: cannot be read as draws or weights ({err}). Pull it again with `dvc pull`, or repeat the fit."
    )
