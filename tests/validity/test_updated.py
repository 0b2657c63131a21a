"""The study's loop gives the weights that the shipped update gives, and scores as the shipped log does."""

from pathlib import Path

import numpy as np
import pytest
from scipy import special

from evermix.config import load_params
from evermix.core.draws import stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.reweigh import reweigh
from evermix.records import VersionFile
from evermix.validity import chains
from evermix.validity.posterior import make_brand
from evermix.validity.replicate import play, study_params
from evermix.validity.updated import Loop

PARAMS = study_params(load_params(Path(__file__).resolve().parents[2] / "params.yaml").models["brand"])
COLUMNS = PARAMS.columns.model_dump()


def shipped_draws(loop):
    """The loop's base under the names of the shipped model."""
    mean = loop.mean
    controls = ["trend", *COLUMNS["controls"], *COLUMNS["events"]]
    waves = [f"wave {i}" for i in range(2 * PARAMS.spec["yearly_seasonality"])]
    theta = loop.live.base.theta.reshape(4, -1, loop.live.base.theta.shape[1])
    return stack_draws(
        chains.to_dataset(chains.Draws(theta, 1.0, 0), mean, list(COLUMNS["channels"]), controls, waves),
        len(theta) * 10**6,
    )


def version_of(brand, through):
    empty = dict.fromkeys(("request", "observed_hash", "draws_hash"), "")
    return VersionFile(
        id=f"brand/{through}/0", model="brand", as_of=through, fitted_through=through, kind="mmm", spec=PARAMS.spec,
        basis=brand.basis, columns=COLUMNS, recipe=1, sampler={}, noise_sd=1.0, **empty,
    )  # fmt: skip


@pytest.mark.parametrize(("scenario", "seed"), [("nothing", 3), ("restated", 6)])
def test_weights_are_those_of_the_shipped_update(scenario, seed):
    brand = make_brand(play(scenario, seed), PARAMS)
    weeks = 3 if brand.replicate.change is None else brand.replicate.change + 2
    loop = Loop(brand, seed, draws=100)
    for week in range(weeks):
        before = loop.live.weights
        seen, score = loop.see(week)
    base, now = brand.replicate.panel(PARAMS, 0), brand.replicate.panel(PARAMS, weeks)
    version = version_of(brand, base["week"].iloc[-1].strftime("%Y-%m-%d"))
    draws = shipped_draws(loop)
    shipped = reweigh(version, draws, base, now, set())
    np.testing.assert_allclose(loop.live.weights, np.exp(shipped.log_weights), rtol=1e-6)
    assert loop.live.khat == pytest.approx(shipped.khat, abs=1e-6)
    predictive = load_kind("mmm").predict(draws, now, COLUMNS, PARAMS.spec, brand.basis).rows(np.array([len(now) - 1]))
    observed = now["target"].to_numpy()[-1:]
    pit = before @ special.ndtr((observed - predictive.mean[:, 0]) / predictive.sd[:, 0])
    assert seen.z == pytest.approx(special.ndtri(pit), abs=1e-9)
    density = np.exp(predictive.log_density(observed)[:, 0]) * brand.scale
    assert score == pytest.approx(np.log(before @ density), abs=1e-9)


def test_a_loop_that_is_copied_goes_on_alone():
    loop = Loop(make_brand(play("nothing", 3), PARAMS), 3, draws=100)
    other = loop.copy()
    other.see(0)
    other.refit(1)
    assert (loop.live.base.weeks, other.live.base.weeks) == (0, 1)
    assert loop.see(0)[0].z == Loop(loop.brand, 3, draws=100).see(0)[0].z
