"""Stacking, thinning and hashing of draws."""

import numpy as np
import pytest
import xarray as xr

from evermix.core.draws import hash_draws, stack_draws


@pytest.fixture
def posterior() -> xr.Dataset:
    values = np.arange(24.0).reshape(2, 4, 3)
    return xr.Dataset(
        {"beta": (("chain", "draw", "channel"), values), "sigma": (("chain", "draw"), values[..., 0])},
        coords={"chain": [0, 1], "draw": range(4), "channel": ["a", "b", "c"]},
    )


def test_stacking_all_draws_keeps_chain_order_and_labels(posterior):
    stacked = stack_draws(posterior, 100)
    assert stacked["beta"].dims == ("draw", "channel")
    assert stacked["beta"].to_numpy().ravel().tolist() == list(range(24))
    assert stacked["channel"].to_numpy().tolist() == ["a", "b", "c"]


def test_thinning_takes_evenly_from_every_chain(posterior):
    assert stack_draws(posterior, 4)["sigma"].to_numpy().tolist() == [3.0, 9.0, 15.0, 21.0]


def test_a_tree_gives_the_draws_of_its_posterior_group(posterior):
    tree = xr.DataTree.from_dict({"posterior": posterior})
    assert stack_draws(tree, 3).equals(stack_draws(posterior, 3))


def test_hash_knows_values_and_not_the_order_of_variables(posterior):
    assert hash_draws(posterior) == hash_draws(posterior[["sigma", "beta"]])
    assert hash_draws(posterior) != hash_draws(posterior + 1e-12)
