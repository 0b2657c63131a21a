"""Sampling: repeatable, started at old draws, checked, and on disk byte for byte."""

import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from engines.models.panels import REGRESSION_SPEC, make_columns, make_panel

from evermix.core.draws import hash_draws, stack_draws
from evermix.engines.models import load_kind
from evermix.engines.models.compiled import compile_model
from evermix.engines.models.drawsfile import load_posterior, load_tree, save_tree
from evermix.engines.models.fit import FitResult, converged, fit_model, start_points, summarize
from evermix.engines.store import Store, read_json, write_json
from evermix.errors import StoreError
from evermix.stages import fit as fit_stage

KIND = load_kind("regression")
COLUMNS = make_columns(geo=False)
PANEL = make_panel(geo=False)
BASIS = KIND.pin(PANEL, COLUMNS, REGRESSION_SPEC, None)
SAMPLER = {"chains": 4, "draws": 500, "tune": 200, "target_accept": 0.9, "low_rank": True, "fallback_tune": 300}


def fit(sampler=SAMPLER, start=None, progress=None) -> FitResult:
    return fit_model(KIND, PANEL, COLUMNS, REGRESSION_SPEC, BASIS, sampler, 7, start, progress)


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit()


def test_a_fit_recovers_what_least_squares_finds(result):
    parts = KIND.contributions(stack_draws(result.tree, 400), PANEL, COLUMNS, REGRESSION_SPEC, BASIS)
    promo = parts.sel(component="promo").to_numpy()[:, PANEL["event.promo"].to_numpy() == 1]
    assert promo.mean() == pytest.approx(300.0, abs=60.0)
    assert result.summary["fallback"] is False
    assert converged(result.summary)


def test_only_what_prediction_needs_is_stored(result):
    assert set(result.tree["posterior"].data_vars) == {"coefficient", "intercept", "sigma"}
    assert {"diverging", "energy"} <= set(result.tree["sample_stats"].data_vars)
    assert result.tree["posterior"].attrs == {}


def test_draws_are_bit_equal_for_a_seed_whatever_the_cores(result, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert hash_draws(fit().tree["posterior"].to_dataset()) == hash_draws(result.tree["posterior"].to_dataset())


def test_chains_start_at_old_draws_where_these_fit(result):
    old = stack_draws(result.tree, 100)
    model = KIND.build(PANEL, COLUMNS, REGRESSION_SPEC, BASIS)
    points = start_points(model, old)
    assert points.shape == (64, 9)
    assert points[0, -1] == pytest.approx(np.log(old["sigma"].to_numpy()[0]))
    assert start_points(model, old.drop_vars("sigma")) is None
    assert start_points(model, old.isel(feature=slice(0, 3))) is None
    assert start_points(model, old.assign_coords(feature=[*"abcdefg"])) is None
    assert start_points(model, old.assign(sigma=old["sigma"] * np.nan)) is None


def test_a_start_at_old_draws_reaches_the_sampler(result):
    started = fit(start=stack_draws(result.tree, 100))
    assert started.summary["start"] == "old draws"
    assert hash_draws(started.tree["posterior"].to_dataset()) != hash_draws(result.tree["posterior"].to_dataset())
    assert converged(started.summary)


def test_the_starting_point_function_is_what_nutpie_calls():
    import dataclasses

    import nutpie

    model = KIND.build(PANEL, COLUMNS, REGRESSION_SPEC, BASIS)
    compiled = compile_model(model, KIND.variables(model))
    seen = []

    def far_away(seed):
        seen.append(seed)
        return np.full(compiled.n_dim, 3.0)

    compiled = dataclasses.replace(compiled, initial_point_func=far_away)
    nutpie.sample(compiled, draws=9, tune=9, chains=2, seed=1, progress_bar=False)
    assert len(seen) >= 2


def test_a_run_too_short_to_trust_is_redone_and_says_so():
    short = fit(SAMPLER | {"draws": 100, "tune": 50})
    assert short.summary["fallback"] is True
    assert short.summary["start"] == "default"
    assert short.tree["posterior"].sizes["draw"] == 100


def test_progress_reaches_its_total():
    seen = []
    fit(progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2800, 2800)


def test_constant_draws_are_missing_evidence_and_do_not_pass():
    posterior = xr.Dataset({"a": (("chain", "draw"), np.ones((2, 100)))}, coords={"chain": [0, 1], "draw": range(100)})
    stats = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.zeros((2, 100), bool)),
            "energy": (("chain", "draw"), np.random.default_rng(1).normal(size=(2, 100))),
        }
    )
    summary = summarize(xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats}))
    assert summary["rhat_max"] is None
    assert not converged(summary)


def test_divergences_above_the_limit_do_not_pass(result):
    assert not converged(result.summary | {"divergence_share": 0.002})
    assert not converged(result.summary | {"rhat_max": 1.02})
    assert not converged(result.summary | {"ess_tail_min": 399.0})


def test_draws_files_are_equal_byte_for_byte_and_come_back_bit_equal(result, tmp_path):
    for name in ("a.nc", "b.nc"):
        save_tree(result.tree, tmp_path / name)
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    again = load_tree(tmp_path / "a.nc")
    assert again["posterior"].to_dataset().identical(result.tree["posterior"].to_dataset())
    assert hash_draws(load_posterior(tmp_path / "a.nc")) == hash_draws(result.tree["posterior"].to_dataset())


def test_an_unreadable_draws_file_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="dvc pull"):
        load_posterior(tmp_path / "none.nc")
    (tmp_path / "torn.nc").write_bytes(b"torn")
    with pytest.raises(StoreError, match="dvc pull"):
        load_tree(tmp_path / "torn.nc")


def test_predicting_from_a_file_loads_no_sampler(result, tmp_path):
    save_tree(result.tree, tmp_path / "a.nc")
    code = (
        "import sys; from pathlib import Path; from evermix.engines.models import load_kind; "
        "from evermix.engines.models.drawsfile import load_posterior; "
        "load_kind('mmm'); load_kind('regression'); load_posterior(Path(sys.argv[1])); "
        "print([m for m in ('pymc', 'pytensor', 'arviz', 'numba', 'pymc_marketing') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code, tmp_path / "a.nc"], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def request(**changes):
    return {
        "id": "r1",
        "kind": "regression",
        "spec": REGRESSION_SPEC,
        "basis": None,
        "columns": COLUMNS,
        "sampler": SAMPLER,
        "recipe": 1,
        "seed": 7,
        "evaluation": {"holdout_weeks": 8},
        "as_of": "2022-02-21",
    } | changes


def test_the_stage_says_that_nothing_was_requested(tmp_path):
    store = Store(tmp_path, "brand")
    write_json(store.request / "request.json", request(id=None))
    assert fit_stage.run(store, None) == {"status": "nothing requested"}
    assert [file.name for file in store.fit.iterdir()] == ["fit.json"]


def test_the_stage_fits_all_rows_and_all_but_the_holdout_on_one_basis(tmp_path):
    store = Store(tmp_path, "brand")
    write_json(store.request / "request.json", request())
    PANEL.to_parquet(store.request / "panel.parquet")
    record = fit_stage.run(store, None)
    assert record["status"] == "fitted"
    assert record["basis"] == BASIS
    assert record["draws_hash"] == hash_draws(load_posterior(store.fit / "posterior.nc"))
    columns = read_json(store.request / "request.json")["columns"]
    again = fit_model(KIND, PANEL, columns, REGRESSION_SPEC, BASIS, SAMPLER, 7, None, None)
    assert record["draws_hash"] == hash_draws(again.tree["posterior"].to_dataset())
    assert record["fitted_through"] == str(PANEL["week"].iloc[-1].date())
    assert 20.0 < record["noise_sd"] < 120.0
    held = hash_draws(load_posterior(store.fit / "holdout.nc"))
    again = fit_model(KIND, PANEL.iloc[:52], columns, REGRESSION_SPEC, record["basis"], SAMPLER, 8, None, None)
    assert held == hash_draws(again.tree["posterior"].to_dataset())
