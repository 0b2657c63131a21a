"""Draws as HDF5 and as netCDF: the quick reader says what xarray's own says."""

import numpy as np
import pytest
import xarray as xr

from evermix.core.draws import hash_draws
from evermix.engines.models.drawsfile import load_posterior, load_posterior_bytes, save_tree
from evermix.errors import StoreError


def write(path, posterior: xr.Dataset) -> xr.Dataset:
    save_tree(xr.DataTree.from_dict({"posterior": posterior, "sample_stats": posterior[["scalar"]]}), path)
    return xr.load_dataset(path, group="posterior", engine="h5netcdf").drop_attrs()


def draws() -> xr.Dataset:
    numbers = np.random.default_rng(1)
    return xr.Dataset(
        {
            "scalar": (("chain", "draw"), numbers.normal(size=(2, 5))),
            # Another order of dims, labels of unequal length and another alphabet, and a dim without labels.
            "by_channel": (("channel", "chain", "draw"), numbers.normal(size=(3, 2, 5))),
            "unnamed": (("chain", "draw", "place"), numbers.normal(size=(2, 5, 4))),
        },
        coords={"chain": [0, 1], "draw": np.arange(5), "channel": ["tv", "radio ü", "検索"]},
    )


def test_the_posterior_read_as_hdf5_is_the_one_that_xarray_reads(tmp_path):
    expected = write(tmp_path / "a.nc", draws())
    for found in (load_posterior(tmp_path / "a.nc"), load_posterior_bytes((tmp_path / "a.nc").read_bytes())):
        xr.testing.assert_identical(found, expected)
        assert {name: found[name].dtype for name in found.variables} == {
            name: expected[name].dtype for name in expected.variables
        }


@pytest.mark.parametrize("content", [b"", b"torn", b"\x89HDF\r\n\x1a\n" + b"\0" * 90])
def test_what_is_no_draws_file_is_a_store_error(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    with pytest.raises(StoreError, match="dvc pull"):
        load_posterior(tmp_path / "a.nc")
    with pytest.raises(StoreError, match="dvc pull"):
        load_posterior_bytes(content)


def test_a_file_without_a_posterior_is_a_store_error(tmp_path):
    xr.DataTree.from_dict({"prior": draws()}).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with pytest.raises(StoreError, match="posterior"):
        load_posterior(tmp_path / "a.nc")


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_a_store_error_or_reads_as_draws_of_another_hash(tmp_path, seed):
    numbers = np.random.default_rng(seed)
    write(tmp_path / "a.nc", draws())
    whole = load_posterior(tmp_path / "a.nc")
    content = bytearray((tmp_path / "a.nc").read_bytes())
    length = int(numbers.choice([1, 16, 300]))
    start = int(numbers.integers(0, len(content) - length))
    content[start : start + length] = numbers.bytes(length)
    for damaged in (bytes(content), bytes(content[:start])):
        try:
            found = load_posterior_bytes(damaged)
        except StoreError:
            continue
        assert hash_draws(found) != hash_draws(whole) or found.equals(whole)
