"""Stacking, thinning and hashing of draws."""

import numpy as np
import pytest
import xarray as xr

from evermix.core.draws import hash_draws, pick_draws, stack_draws
from evermix.errors import StoreError


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


def test_weights_take_each_draw_as_often_as_it_weighs():
    weights = np.array([0.5, 0.25, 0.25, 0.0])
    with np.errstate(divide="ignore"):
        picked = pick_draws(4, 4, np.log(weights))
    assert picked.tolist() == [0, 0, 1, 2]


def test_equal_weights_thin_like_no_weights(posterior):
    equal = np.full(8, -3.0)
    for draws in (3, 4, 8, 100):
        assert pick_draws(8, draws, equal).tolist() == pick_draws(8, draws, None).tolist()
    assert stack_draws(posterior, 4, equal).equals(stack_draws(posterior, 4))


def test_weighted_draws_have_the_weighted_mean():
    random = np.random.default_rng(2)
    values, log_weights = random.standard_normal(4000), random.standard_normal(4000)
    exact = np.average(values, weights=np.exp(log_weights))
    assert values[pick_draws(4000, 1000, log_weights)].mean() == pytest.approx(exact, abs=0.05)


def test_weights_of_other_draws_are_refused():
    with pytest.raises(StoreError, match="got 3, expected 8"):
        pick_draws(8, 4, np.zeros(3))
