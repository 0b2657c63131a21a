"""The study's own sampler draws from the shipped model's posterior."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from evermix.config import load_params
from evermix.engines.models import load_kind
from evermix.validity import chains
from evermix.validity.posterior import make_brand
from evermix.validity.replicate import HISTORY, play, study_params
from evermix.validity.surrogate import fit_mode

PARAMS = study_params(load_params(Path(__file__).resolve().parents[2] / "params.yaml").models["brand"])


@pytest.fixture(scope="module")
def brand():
    return make_brand(play("nothing", 5), PARAMS)


@pytest.fixture(scope="module")
def fitted(brand):
    mean, target = brand.arrays(0)
    around = fit_mode(mean, target, HISTORY, None)
    return mean, target, around, chains.sample(mean, target, HISTORY, around, 4, 500, seed=1)


def test_the_density_is_that_of_the_shipped_model_up_to_a_constant(brand, fitted):
    mean, target, _, draws = fitted
    columns, spec = PARAMS.columns.model_dump(), PARAMS.spec
    model = load_kind("mmm").build(brand.replicate.panel(PARAMS, 0), columns, spec, brand.basis)
    in_graph = model.compile_logp(mode="FAST_COMPILE")
    gaps = []
    for theta in draws.flat()[:: len(draws.flat()) // 7]:
        k, c = mean.linear.shape[1], mean.lagged.shape[1]
        controls = k - 1 - 2 * spec["yearly_seasonality"]
        point = {
            "intercept_contribution": theta[0],
            "adstock_alpha_logodds__": theta[k : k + c],
            "saturation_lam_log__": theta[k + c : k + 2 * c],
            "saturation_beta_log__": theta[k + 2 * c : k + 3 * c],
            "gamma_control": theta[1 : 1 + controls],
            "gamma_fourier": theta[1 + controls : k],
            "y_sigma_log__": theta[-1],
        }
        gaps.append(float(in_graph(point)) - chains.log_density(theta, mean, target, HISTORY))
    np.testing.assert_allclose(gaps, gaps[0], atol=1e-7)


def test_the_gradient_is_the_slope_of_the_density(fitted):
    mean, target, around, _ = fitted
    theta = np.append(around.theta, np.log(around.sigma)) + 0.05
    linear, lagged, y = mean.linear[:HISTORY].copy(), mean.lagged[:HISTORY].copy(), target[:HISTORY].copy()
    grad, scratch = np.empty_like(theta), np.empty_like(theta)
    chains._density(theta, linear, lagged, y, mean.usual, grad)
    numeric = approx_fprime(theta, lambda at: chains._density(at, linear, lagged, y, mean.usual, scratch), 1e-7)
    np.testing.assert_allclose(grad, numeric, rtol=1e-3, atol=0.1)


def test_draws_mix_and_are_centred_where_the_mode_is(fitted):
    mean, _, around, draws = fitted
    assert chains.least_ess(draws.theta) > 200
    assert draws.divergences < 0.01 * draws.theta.shape[0] * draws.theta.shape[1]
    mu, _ = chains.means(draws.flat(), mean, slice(0, HISTORY))
    np.testing.assert_allclose(mu.mean(axis=0), mean.at(around.theta, slice(0, HISTORY))[0], atol=0.5 * around.sigma)


def test_the_same_seed_gives_the_same_draws(fitted):
    mean, target, around, draws = fitted
    again = chains.sample(mean, target, HISTORY, around, 4, 500, seed=1)
    np.testing.assert_array_equal(draws.theta, again.theta)
