"""Kind ``mmm``: its NumPy forward pass is the PyMC graph, and nothing depends on the window predicted."""

import numpy as np
import pytest
from engines.models.graph import graph_values, log_likelihood, prior_draws
from engines.models.panels import AMENDMENTS, make_columns, make_panel, make_spec

from evermix.core.update import cut_to_rows
from evermix.engines.models import load_kind, mmm_forward
from evermix.engines.models.fit import check_observed
from evermix.errors import ConfigError, DataError, FitError

KIND = load_kind("mmm")
STUDENT = {"distribution": "StudentT", "sigma": {"distribution": "HalfNormal", "sigma": 1}, "nu": 4}
STUDENT_DRAWN = STUDENT | {"nu": {"distribution": "Gamma", "alpha": 2, "beta": 0.1}}
HIERARCHY = {
    "saturation_beta": {
        "distribution": "Normal",
        "mu": 0.2,
        "sigma": {"distribution": "HalfNormal", "sigma": 0.3, "dims": "channel"},
        "dims": ["geo", "channel"],
        "centered": False,
    },
    "gamma_control": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 0.5}, "dims": ["control"]},
    "adstock_alpha": {"distribution": "Beta", "alpha": 2, "beta": 3, "dims": "channel"},
}


def adstock(name: str, **kwargs):
    return {"class": name, "kwargs": {"l_max": 4} | kwargs}


SPECS = {
    "geometric_logistic": (False, make_spec()),
    "full_class_path": (False, make_spec(saturation={"class": "pymc_marketing.mmm.TanhSaturation", "kwargs": {}})),
    "delayed_hill": (
        False,
        make_spec(adstock=adstock("DelayedAdstock"), saturation={"class": "HillSaturation"}, trend=False),
    ),
    "michaelis_menten_unnormalised": (
        False,
        make_spec(
            adstock=adstock("GeometricAdstock", normalize=False), saturation={"class": "MichaelisMentenSaturation"}
        ),
    ),
    "student_fixed_nu_no_season": (False, make_spec(yearly_seasonality=None, model_config={"likelihood": STUDENT})),
    "geo": (True, make_spec()),
    "amended": (False, make_spec(amendments=AMENDMENTS)),
    "geo_amended": (True, make_spec(amendments=AMENDMENTS, saturation={"class": "TanhSaturation"})),
    "geo_hierarchy_student": (True, make_spec(model_config=HIERARCHY | {"likelihood": STUDENT_DRAWN})),
}


def pinned(*, geo: bool, spec=None, weeks: int = 60):
    columns, panel, spec = make_columns(geo=geo), make_panel(geo=geo, weeks=weeks), spec or make_spec()
    return panel, columns, spec, KIND.pin(panel, columns, spec, None)


@pytest.mark.parametrize("name", SPECS)
def test_numpy_mean_and_noise_equal_the_graph(name):
    geo, spec = SPECS[name]
    panel, columns, spec, basis = pinned(geo=geo, spec=spec)
    KIND.check(spec, columns)
    model = KIND.build(panel, columns, spec, basis)
    draws = prior_draws(KIND, model, 5)
    mu = model["mu"].transpose("date", *(["geo"] if geo else []))
    (expected,) = graph_values(model, [mu], draws)
    scale = np.array([basis["target"][g]["max"] for g in basis["geos"]])
    predictive = KIND.predict(draws, panel, columns, spec, basis)
    expected = (expected.reshape(5, 60, -1) * scale).reshape(5, -1)
    assert np.abs(predictive.mean - expected).max() <= 1e-10 * np.abs(expected).max()


def every_class():
    """Return each adstock with each saturation of ours, Normal and Student-t noise in turns."""
    pairs = [(carry, curve) for carry in mmm_forward.ADSTOCKS for curve in mmm_forward.SATURATIONS]
    noises = ({}, {"likelihood": STUDENT_DRAWN})
    return {
        f"{carry}_{curve}": (
            False,
            make_spec(adstock=adstock(carry), saturation={"class": curve}, model_config=noises[i % 2]),
        )
        for i, (carry, curve) in enumerate(pairs)
    }


@pytest.mark.parametrize(("geo", "spec"), (SPECS | every_class()).values(), ids=SPECS | every_class())
def test_log_likelihood_equals_that_of_the_graph(geo, spec):
    panel, columns, spec, basis = pinned(geo=geo, spec=spec)
    model = KIND.build(panel, columns, spec, basis)
    draws = prior_draws(KIND, model, 3)
    expected = log_likelihood(model, draws, "date", *(["geo"] if geo else [])).reshape(3, -1)
    actual = KIND.log_likelihood(draws, panel, columns, spec, basis)
    assert actual == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_log_likelihood_of_few_rows_needs_the_lookback_and_no_more():
    panel, columns, spec, basis = pinned(geo=True)
    draws = prior_draws(KIND, KIND.build(panel, columns, spec, basis), 3)
    whole = KIND.log_likelihood(draws, panel, columns, spec, basis)
    rows = np.isin(np.arange(len(panel)), [40, 41, 43, 118, 119])
    stretches = cut_to_rows(panel, rows, KIND.carry_weeks(spec))
    parts = [KIND.log_likelihood(draws, stretch, columns, spec, basis) for stretch in stretches]
    assert [len(stretch) for stretch in stretches] == [2 * 5, 2 * 4]
    assert np.concatenate(parts, axis=1) == pytest.approx(whole[:, rows], rel=1e-12)
    blind = KIND.log_likelihood(draws, cut_to_rows(panel, rows, 0)[1], columns, spec, basis)
    assert np.abs(blind - whole[:, [118, 119]]).max() > 0.1


@pytest.mark.parametrize("geo", [False, True])
def test_contributions_sum_up_to_the_mean(geo):
    panel, columns, spec, basis = pinned(geo=geo)
    draws = prior_draws(KIND, KIND.build(panel, columns, spec, basis), 4)
    parts = KIND.contributions(draws, panel, columns, spec, basis)
    mean = KIND.predict(draws, panel, columns, spec, basis).mean
    assert parts.dims == ("draw", "week", "geo", "component")
    expected = {"intercept", "tv", "search", "trend", "price", "promo", "seasonality"}
    assert set(parts["component"].to_numpy().tolist()) == expected
    assert parts.sum("component").to_numpy().reshape(4, -1) == pytest.approx(mean)


def test_a_break_multiplies_its_channel_from_its_week_on_and_no_other_part():
    panel, columns, spec, basis = pinned(geo=False, spec=make_spec(amendments=AMENDMENTS))
    draws = prior_draws(KIND, KIND.build(panel, columns, spec, basis), 2)
    draws["effect_step"][:] = np.log([3.0, 0.5, 0.5])
    parts = KIND.contributions(draws, panel, columns, spec, basis)
    whole = KIND.contributions(draws, panel, columns, make_spec(), basis)
    ratio = (parts.sel(component=list(whole["component"].to_numpy())) / whole).isel(geo=0)
    weeks = panel["week"].to_numpy()
    after = [weeks >= np.datetime64(day) for day in ("2021-08-02", "2021-10-04", "2022-01-03")]
    assert ratio.sel(component="tv").to_numpy() == pytest.approx(np.tile(3.0 ** (1 * after[0]), (2, 1)))
    assert ratio.sel(component="search").to_numpy() == pytest.approx(np.tile(0.5 ** (1 * after[1] + after[2]), (2, 1)))
    same = [name for name in whole["component"].to_numpy() if name not in ("tv", "search")]
    assert parts.sel(component=same).equals(whole.sel(component=same))
    level = parts.sel(component="level from 2021-10-04").to_numpy()[:, :, 0]
    assert np.array_equal(level != 0, np.tile(after[1], (2, 1)))


def test_draws_that_lack_a_step_are_refused_and_not_taken_for_unbroken_ones():
    panel, columns, spec, basis = pinned(geo=False)
    draws = prior_draws(KIND, KIND.build(panel, columns, spec, basis), 2)
    breaks = {"effect_breaks": AMENDMENTS["effect_breaks"]}
    with pytest.raises(FitError, match="effect_step is missing, expected one for tv from 2021-08-02"):
        KIND.predict(draws, panel, columns, spec | {"amendments": breaks}, basis)


@pytest.mark.parametrize(
    ("amendments", "message"),
    [
        ({"effect_break": []}, "did you mean 'effect_breaks'"),
        ({"effect_breaks": [{"channel": "serch", "from": "2021-10-04", "sd": 1.0}]}, "did you mean 'search'"),
        (
            {"effect_breaks": [{"channel": "tv", "from": "2021-10-05", "sd": 1.0}]},
            "got '2021-10-05', expected a Monday",
        ),
        ({"effect_breaks": [{"channel": "tv", "from": "2021-10-04", "sd": 0}]}, "sd: got 0"),
        ({"effect_breaks": [{"channel": "tv", "from": "2021-10-04", "sd": 1.0}] * 2}, "each channel and week once"),
        ({"level_breaks": ["autumn"]}, "got 'autumn', expected a Monday"),
        ({"first_week": 2021}, "got 2021, expected a Monday"),
    ],
)
def test_a_wrong_amendment_is_named(amendments, message):
    with pytest.raises(ConfigError) as caught:
        KIND.check(make_spec(amendments=amendments), make_columns(geo=False))
    assert message in str(caught.value)


def test_a_prior_that_lists_a_number_per_control_has_none_for_a_new_level():
    listed = {"gamma_control": {"distribution": "Normal", "mu": 0, "sigma": [1.0, 2.0, 3.0], "dims": ["control"]}}
    KIND.check(make_spec(model_config=listed), make_columns(geo=False))
    with pytest.raises(ConfigError, match="numbers for any control"):
        KIND.check(make_spec(model_config=listed, amendments={"level_breaks": ["2021-10-04"]}), make_columns(geo=False))


def test_one_week_and_sixteen_week_predictions_of_the_same_week_agree():
    panel, columns, spec, basis = pinned(geo=False)
    draws = prior_draws(KIND, KIND.build(panel.iloc[:40], columns, spec, basis), 6)
    near = KIND.predict(draws, panel.iloc[:41], columns, spec, basis).mean[:, 40]
    far = KIND.predict(draws, panel.iloc[:56], columns, spec, basis).mean[:, 40]
    tail = KIND.predict(draws, panel.iloc[41 - 4 : 56], columns, spec, basis).mean[:, 3]
    assert np.array_equal(near, far)
    assert near == pytest.approx(tail, rel=1e-12)


def test_the_graph_observes_the_target_over_its_pinned_scale_bit_for_bit():
    panel, columns, spec, basis = pinned(geo=True)
    model = KIND.build(panel, columns, spec, basis)
    assert len(check_observed(model, KIND.observed(panel, columns, spec, basis))) == 64
    restated = panel.assign(target=panel["target"] + 1.0)
    with pytest.raises(FitError, match="the graph observes 120 values"):
        check_observed(model, KIND.observed(restated, columns, spec, basis))


@pytest.mark.parametrize("geo", [False, True])
def test_rows_without_a_target_are_not_observed_yet_carry_over(geo):
    panel, columns, spec, basis = pinned(geo=geo)
    late = panel.copy()
    late.loc[[20, len(late) - 1], "target"] = np.nan
    model = KIND.build(late, columns, spec, basis)
    complete = KIND.build(panel, columns, spec, basis)
    assert {v.name for v in model.free_RVs} == {v.name for v in complete.free_RVs}
    check_observed(model, KIND.observed(late, columns, spec, basis))
    draws = prior_draws(KIND, complete, 3)
    (mu,) = graph_values(model, [model["mu"].transpose("date", *(["geo"] if geo else []))], draws)
    (whole,) = graph_values(complete, [complete["mu"].transpose("date", *(["geo"] if geo else []))], draws)
    assert np.array_equal(mu, whole)


def test_a_late_row_adds_nothing_to_the_likelihood():
    panel, columns, spec, basis = pinned(geo=True)
    late = panel.copy()
    late.loc[20, "target"] = np.nan
    model = KIND.build(late, columns, spec, basis)
    draws = prior_draws(KIND, model, 3)
    actual = log_likelihood(model, draws)
    density = KIND.predict(draws, panel, columns, spec, basis).log_density(panel["target"].to_numpy())
    scale = np.tile([basis["target"][g]["max"] for g in basis["geos"]], 60)
    assert actual == pytest.approx(np.delete(density + np.log(scale), 20, axis=1))


def test_basis_is_kept_and_only_new_channels_are_added():
    panel, columns, spec, basis = pinned(geo=False)
    later = panel.assign(**{"target": panel["target"] * 9, "spend.tv": panel["spend.tv"] * 9, "spend.radio": 3.0})
    wider = columns | {
        "channels": columns["channels"] | {"radio": {"spend": "radio", "exposure": None, "launched": None}}
    }
    again = KIND.pin(later, wider, spec, basis)
    assert again["target"] == basis["target"]
    assert again["time"] == basis["time"]
    assert again["media"] == basis["media"] | {"radio": {"all": 3.0}}


def test_media_are_exposure_where_it_is_declared():
    panel, _, _, basis = pinned(geo=False)
    assert basis["media"]["search"]["all"] == panel["exposure.search"].max()
    assert basis["media"]["tv"]["all"] == panel["spend.tv"].max()


def test_a_channel_never_in_use_gets_its_scale_when_it_is_first_used():
    panel, columns, spec, _ = pinned(geo=False)
    unused = panel.assign(**{"spend.tv": 0.0})
    basis = KIND.pin(unused, columns, spec, None)
    assert basis["media"]["tv"]["all"] is None
    draws = prior_draws(KIND, KIND.build(unused, columns, spec, basis), 3)
    parts = KIND.contributions(draws, panel, columns, spec, basis)
    assert np.all(parts.sel(component="tv").to_numpy() == 0.0)
    assert KIND.pin(panel, columns, spec, basis)["media"]["tv"]["all"] == panel["spend.tv"].max()


def test_panels_with_gaps_or_unknown_geos_are_refused():
    panel, columns, spec, basis = pinned(geo=False)
    gap = panel.drop(index=10).reset_index(drop=True)
    with pytest.raises(DataError, match="no week follows 2021-03-08 by 7 days"):
        KIND.observed(gap, columns, spec, basis)
    with pytest.raises(DataError, match="geo 'west' is not in the basis"):
        KIND.observed(panel.assign(geo="west"), columns, spec, basis)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adstok": 1}, "spec.adstok: got 1, expected no such key; did you mean 'adstock'"),
        ({"trend": "yes"}, "spec.trend: got 'yes', expected true or false"),
        ({"yearly_seasonality": 0}, "spec.yearly_seasonality: got 0"),
        ({"adstock": {"class": "GeometricAdstok", "kwargs": {"l_max": 8}}}, "did you mean 'GeometricAdstock'"),
        ({"adstock": {"class": "GeometricAdstock", "kwargs": {"lmax": 8}}}, "did you mean 'l_max'"),
        ({"adstock": {"class": "WeibullPDFAdstock", "kwargs": {"l_max": 8}}}, "GeometricAdstock, DelayedAdstock"),
        ({"saturation": {"class": "RootSaturation"}}, "LogisticSaturation, TanhSaturation"),
        ({"model_config": {"saturation_bta": {}}}, "did you mean 'saturation_beta'"),
        ({"model_config": {"intercept": {"distribution": "Nrmal"}}}, "did you mean 'Normal'"),
        ({"model_config": {"intercept": {"distribution": "Normal", "sgma": 1}}}, "did you mean 'sigma'"),
        ({"model_config": {"intercept": {"distribution": "Normal", "mu": "1e-4"}}}, "1.0e-4"),
        ({"model_config": {"intercept": {"distribution": "Normal", "dims": "gio"}}}, "did you mean 'geo'"),
        ({"model_config": {"intercept": {"dist": "Normal", "kwargs": {"sd": 1}}}}, "intercept.kwargs.sd"),
        ({"model_config": {"likelihood": {"distribution": "Gamma", "sigma": 1}}}, "one of Normal, StudentT"),
        ({"model_config": {"likelihood": {"distribution": "StudentT", "sigma": 1}}}, "sigma, nu of StudentT"),
        ({"saturation": {"class": "LogisticSaturation", "kwargs": {"priors": {"bta": {}}}}}, "did you mean 'beta'"),
    ],
)
def test_a_wrong_spec_is_named_with_its_nearest_key(change, message):
    with pytest.raises(ConfigError) as caught:
        KIND.check(make_spec(**change), make_columns(geo=False))
    assert message in str(caught.value)


def test_all_faults_of_a_spec_come_at_once():
    with pytest.raises(ConfigError, match=r"2 fault\(s\)"):
        KIND.check(make_spec(trend=1, yearly_seasonality="2"), make_columns(geo=False))


def test_names_of_components_are_unique():
    columns = make_columns(geo=False)
    columns["controls"] = {"trend": {}, "tv": {}}
    with pytest.raises(ConfigError) as caught:
        KIND.check(make_spec(), columns)
    assert "columns.controls.trend" in str(caught.value)
    assert "channels has it already" in str(caught.value)


def test_a_channel_that_the_draws_do_not_hold_is_named():
    panel, columns, spec, basis = pinned(geo=False)
    draws = prior_draws(KIND, KIND.build(panel, columns, spec, basis), 2)
    lost = str(draws["channel"].to_numpy()[0])
    with pytest.raises(FitError, match=f"of channel '{lost}' is missing; they hold .* Fit this model again"):
        KIND.predict(draws.isel(channel=slice(1, None)), panel, columns, spec, basis)
