"""Draws from elsewhere are taken over when they are of this model and data, and refused with every difference named."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from stages.world import COLUMNS, SPEC, make_draws, make_panel

from evermix.core.draws import hash_draws
from evermix.engines.models import load_kind
from evermix.engines.models.adopt import adopt_draws, trim_tree
from evermix.engines.models.drawsfile import load_tree
from evermix.errors import DataError

WEEKS = 120
REQUEST = {
    "id": "0123456789abcdef",
    "kind": "regression",
    "spec": SPEC,
    "columns": COLUMNS,
    "basis": None,
    "adopted": {"by": "ada", "reason": "was fitted by hand"},
}


def world_draws(**groups):
    """Return draws around the truth, in the units that a first fit of this panel would pin."""
    panel = make_panel(WEEKS)
    basis = load_kind("regression").pin(panel, COLUMNS, SPEC, None)
    posterior = make_draws()["posterior"].to_dataset()
    return panel, basis, xr.DataTree.from_dict({"posterior": posterior} | groups)


def observed_by(panel, basis):
    values = load_kind("regression").observed(panel, COLUMNS, SPEC, basis)
    return xr.Dataset({"y": ("row", values)})


def test_draws_of_the_model_are_taken_over_unchanged_with_their_diagnostics():
    panel, basis, tree = world_draws()
    made, record = adopt_draws(REQUEST, panel, trim_tree(tree))
    assert record["draws_hash"] == hash_draws(made["posterior"].to_dataset())
    assert record["draws_hash"] == hash_draws(tree["posterior"].to_dataset())
    assert (record["status"], record["basis"], record["fitted_through"]) == ("fitted", basis, "2025-04-14")
    assert record["adopted"]["by"] == "ada"
    assert 0 < record["adopted"]["mape"] < 1
    assert record["summary"]["rhat_max"] < 1.05


def test_what_the_sampler_did_not_tell_is_missing_and_not_good():
    panel, _, tree = world_draws()
    _, record = adopt_draws(REQUEST, panel, trim_tree(tree))
    assert (record["summary"]["divergence_share"], record["summary"]["bfmi_min"]) == (None, None)


def test_labels_in_another_order_are_brought_into_the_models_order():
    panel, _, tree = world_draws()
    turned = tree["posterior"].to_dataset().isel(feature=[4, 3, 2, 1, 0])
    made, _ = adopt_draws(REQUEST, panel, trim_tree(xr.DataTree.from_dict({"posterior": turned})))
    xr.testing.assert_equal(
        made["posterior"]["coefficient"].drop_vars(["chain", "draw"]), tree["posterior"]["coefficient"]
    )


def without(name):
    return lambda p: p.drop_vars(name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("sigma"), "variable sigma is missing"),
        (lambda p: p.isel(chain=[0]), "1 chain, expected at least 2"),
        (lambda p: p.assign(nu=p["sigma"]), r"variables \['nu'\] are not in this model"),
        (lambda p: p.assign(sigma=p["intercept"]), "variable sigma has dims"),
        (lambda p: p.assign_coords(feature=["tv", "search", "rain", "sin_1", "cos_1"]), "feature of coefficient is"),
        (lambda p: p.assign(sigma=p["sigma"] * np.nan), "sigma has values that are not finite"),
    ],
)
def test_draws_of_another_model_are_refused_by_name(change, said):
    panel, _, tree = world_draws()
    changed = xr.DataTree.from_dict({"posterior": change(tree["posterior"].to_dataset())})
    with pytest.raises(DataError, match=said):
        adopt_draws(REQUEST, panel, trim_tree(changed))


def test_draws_of_the_same_data_pass_and_of_other_data_are_refused_with_the_first_difference():
    panel, basis, _ = world_draws()
    _, _, tree = world_draws(observed_data=observed_by(panel, basis))
    adopt_draws(REQUEST, panel, trim_tree(tree))
    other = panel.assign(target=panel["target"].where(panel.index != 7, 900.0))
    with pytest.raises(DataError, match=r"observed y \(target in pinned units\) differs in"):
        adopt_draws(REQUEST, other, trim_tree(tree))
    with pytest.raises(DataError, match="fitted on other data"):
        adopt_draws(REQUEST, panel.iloc[:-1], trim_tree(tree))


def test_a_file_without_posterior_is_refused():
    with pytest.raises(DataError, match="expected `posterior`"):
        trim_tree(xr.DataTree.from_dict({"prior": make_draws()["posterior"].to_dataset()}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return what pymc-marketing's own save() wrote of a short fit, with the columns named as in the source."""
    from pymc_marketing.mmm import GeometricAdstock, LogisticSaturation
    from pymc_marketing.mmm.mmm import MMM

    panel = make_panel(WEEKS).drop(columns="control.price")
    frame = pd.DataFrame(
        {
            "week": panel["week"].astype("datetime64[ns]"),
            "tv_spend": panel["spend.tv"],
            "search_spend": panel["spend.search"],
        }
    )
    path = tmp_path_factory.mktemp("mmm") / "saved.nc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MMM(
            date_column="week",
            target_column="sales",
            channel_columns=["tv_spend", "search_spend"],
            adstock=GeometricAdstock(l_max=4),
            saturation=LogisticSaturation(),
            yearly_seasonality=2,
        )
        target = pd.Series(panel["target"].to_numpy(), name="sales")
        model.fit(frame, target, chains=2, draws=200, tune=200, nuts_sampler="nutpie", random_seed=1, progressbar=False)
        model.save(str(path))
    return panel, trim_tree(load_tree(path))


def mmm_request(l_max=4, **spec):
    spec = {
        "adstock": {"class": "GeometricAdstock", "kwargs": {"l_max": l_max}},
        "saturation": {"class": "LogisticSaturation", "kwargs": {}},
        "yearly_seasonality": 2,
        "trend": False,
        "model_config": {},
    } | spec
    return REQUEST | {"kind": "mmm", "spec": spec, "columns": COLUMNS | {"controls": {}}}


@pytest.mark.slow
def test_what_pymc_marketing_saved_is_adopted_under_the_names_of_params(saved):
    panel, tree = saved
    made, record = adopt_draws(mmm_request(), panel, tree)
    posterior = made["posterior"].to_dataset()
    assert list(posterior["channel"].to_numpy()) == ["tv", "search"]
    np.testing.assert_array_equal(posterior["saturation_beta"], tree["posterior"]["saturation_beta"])
    assert record["adopted"]["mape"] < 0.1
    assert 0.8 < record["adopted"]["coverage_90"] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (mmm_request(l_max=8), "correlates 0.99.* with the file's own mu"),
        (mmm_request(yearly_seasonality=3), "fourier_mode of gamma_fourier is"),
        (mmm_request(trend=True), "variable gamma_control is missing"),
        (mmm_request(saturation={"class": "TanhSaturation", "kwargs": {}}), "variable saturation_b is missing"),
    ],
)
def test_another_spec_than_pymc_marketing_fitted_is_refused(saved, request_, said):
    panel, tree = saved
    with pytest.raises(DataError, match=said):
        adopt_draws(request_, panel, tree)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "said"),
    [("target", "constant target_scale differs"), ("spend.tv", "constant channel_data differs in 1 of 240")],
)
def test_other_data_than_pymc_marketing_fitted_are_refused(saved, column, said):
    panel, tree = saved
    changed = panel.assign(**{column: panel[column].where(panel.index != 5, panel[column] * 1.1)})
    with pytest.raises(DataError, match=said):
        adopt_draws(mmm_request(), changed, tree)
