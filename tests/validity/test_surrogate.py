"""The surrogate is a Laplace approximation: its slopes are right, and its mode is one."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from evermix.config import load_params
from evermix.validity.posterior import follow, make_brand
from evermix.validity.replicate import HISTORY, play, study_params
from evermix.validity.surrogate import fit_mode

PARAMS = study_params(load_params(Path(__file__).resolve().parents[2] / "params.yaml").models["brand"])


@pytest.fixture(scope="module")
def brand():
    return make_brand(play("nothing", 5), PARAMS)


def test_the_jacobian_is_the_slope_of_the_mean(brand):
    mean, target = brand.arrays(0)
    theta = fit_mode(mean, target, HISTORY, None).theta + 0.1
    _, jacobian, _ = mean.at(theta, slice(20, 23))
    numeric = approx_fprime(theta, lambda at: mean.at(at, slice(20, 23))[0], 1e-7)
    np.testing.assert_allclose(jacobian, numeric, atol=1e-6)


def test_contributions_are_what_channels_add_to_a_world_without_media(brand):
    mean, target = brand.arrays(0)
    theta = fit_mode(mean, target, HISTORY, None).theta
    mu, _, media = mean.at(theta, slice(0, HISTORY))
    bare = mu - media.sum(axis=1)
    # What is left is linear in the columns: a level, controls and waves.
    residual = bare - mean.linear[:HISTORY] @ np.linalg.lstsq(mean.linear[:HISTORY], bare, rcond=None)[0]
    np.testing.assert_allclose(residual, 0.0, atol=1e-10)


def test_scores_of_quiet_years_are_standard_normal():
    z = np.array([[seen.z for seen in follow(make_brand(play("nothing", seed), PARAMS))] for seed in range(1, 13)])
    assert z.size == 12 * 52
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.std() - 1.0) < 4 / np.sqrt(2 * z.size)


def test_the_posterior_knows_more_of_the_weeks_since_the_base_as_they_come(brand):
    path = list(follow(brand))
    assert path[-1].residual.shape == (52,)
    assert path[-1].covariance[0, 0] < path[0].covariance[0, 0]
    np.testing.assert_allclose(path[-1].covariance, path[-1].covariance.T)
