"""New coordinates are the same posterior: same density, volume and variables, for whatever spec."""

import numpy as np
import pymc as pm
import pytest
from engines.models.graph import prior_draws
from engines.models.panels import make_columns, make_panel, make_spec
from engines.models.test_mmm import SPECS, pinned

from evermix.engines.models import load_kind, mmm_coordinates
from evermix.engines.models.coordinates import shear
from evermix.engines.models.design import make_design
from evermix.engines.models.fit import start_points
from evermix.engines.models.mmm_coordinates import usual_media
from evermix.errors import FitError

KIND = load_kind("mmm")
CURVES = {
    "LogisticSaturation": ("saturation_beta", lambda x, lam: np.tanh(lam * x / 2)),
    "MichaelisMentenSaturation": ("saturation_alpha", lambda x, lam: x / (lam + x)),
}


def sheared(name):
    geo, spec = SPECS[name]
    panel, columns, spec, basis = pinned(geo=geo, spec=spec)
    model = KIND.build(panel, columns, spec, basis)
    made = shear(model, KIND.variables(model), KIND.shifts(model, panel, columns, spec, basis))
    draws = prior_draws(KIND, model, 4)
    return model, made, start_points(model, draws), draws


def named(model, point):
    out, place = {}, 0
    for name, value in model.initial_point().items():
        out[name] = point[place : place + np.size(value)].reshape(np.shape(value))
        place += np.size(value)
    return out


def ask(model, variables, points):
    function = model.compile_fn(variables, mode="FAST_COMPILE", on_unused_input="ignore")
    return [function(named(model, point)) for point in points]


@pytest.mark.parametrize("name", SPECS)
def test_density_and_variables_are_those_of_the_model_as_built(name):
    model, made, points, draws = sheared(name)
    moved = made.moved(points)
    assert not np.allclose(moved, points)
    kept = ask(model, model.logp(), points)
    stored = made.model.replace_rvs_by_values(made.model.deterministics)
    found = ask(made.model, [made.model.logp(), *stored], moved)
    assert [float(one[0]) for one in found] == pytest.approx([float(one) for one in kept], rel=1e-9)
    for place, variable in enumerate(made.model.deterministics, start=1):
        for draw, one in enumerate(found):
            assert one[place] == pytest.approx(draws[variable.name].to_numpy()[draw], rel=1e-7, abs=1e-9)
    assert {v.name for v in made.model.deterministics} == set(KIND.variables(model))


@pytest.mark.parametrize("name", ["geometric_logistic", "geo", "delayed_hill"])
def test_a_move_keeps_volumes(name):
    _, made, points, _ = sheared(name)
    size, step = points.shape[1], 1e-5
    around = np.concatenate([points[0] + step * np.eye(size), points[0] - step * np.eye(size)])
    moved = made.moved(around)
    jacobian = (moved[:size] - moved[size:]) / (2 * step)
    assert not np.allclose(jacobian, np.eye(size), atol=1e-3)
    assert np.linalg.slogdet(jacobian) == pytest.approx((1.0, 0.0), abs=1e-5)


@pytest.mark.parametrize("name", ["geometric_logistic", "michaelis_menten_unnormalised", "geo"])
def test_the_amplitude_is_sampled_as_the_log_of_a_rise(name):
    model, made, points, draws = sheared(name)
    geo, spec = SPECS[name]
    panel, _, _, basis = pinned(geo=geo, spec=spec)
    low, _, high = usual_media(make_design(panel, make_columns(geo=geo), basis, spec), spec)
    amplitude, curve = CURVES[spec["saturation"]["class"]]
    lam = draws["saturation_lam"].to_numpy()[:, None]
    rise = np.log((1 + mmm_coordinates._LEAST_RISE) * curve(high, lam) - curve(low, lam)).mean(axis=1)
    value = model.rvs_to_values[model[amplitude]].name
    found = np.array([named(model, point)[value] for point in made.moved(points)])
    assert found == pytest.approx((np.log(draws[amplitude].to_numpy()) + rise).reshape(found.shape), rel=1e-8)


def test_a_curve_that_is_flat_from_little_media_on_keeps_its_density():
    model, made, _, draws = sheared("geometric_logistic")
    flat = start_points(model, draws.assign(saturation_lam=draws["saturation_lam"] * 0 + 500.0))
    moved = made.moved(flat)
    assert np.isfinite(moved).all()
    kept, found = ask(model, model.logp(), flat), ask(made.model, made.model.logp(), moved)
    assert [float(one) for one in found] == pytest.approx([float(one) for one in kept], rel=1e-9)


def test_a_channel_never_in_use_and_one_that_never_rests_have_a_rise():
    panel, columns = make_panel(geo=False, weeks=60), make_columns(geo=False)
    channels = [c for c in panel if c.startswith("spend.")]
    panel = panel.assign(**{channels[0]: 0.0, channels[1]: 100.0})
    spec = make_spec()
    basis = KIND.pin(panel, columns, spec, None)
    design = make_design(panel, columns, basis, spec)
    low, middle, high = usual_media(design, spec)
    assert (low < high).all() and (low > 0).all() and np.isfinite(middle).all()
    model = KIND.build(panel, columns, spec, basis)
    made = shear(model, KIND.variables(model), KIND.shifts(model, panel, columns, spec, basis))
    start = np.concatenate([np.ravel(value) for value in made.model.initial_point().values()])
    assert np.isfinite(ask(made.model, made.model.logp(), [start])).all()


def test_a_model_of_plain_tensors_can_be_sheared_too():
    with pm.Model() as model:
        pm.Normal("a", 0.0, 1.0)
        pm.HalfNormal("b", 1.0, shape=2)
        pm.Normal("y", model["a"] * model["b"], 1.0, observed=[0.3, 0.5])
    shift = 2.0 * model.rvs_to_values[model["b"]].sum()
    made = shear(model, ["a", "b"], [("a", shift)])
    point = np.array([[0.4, -0.2, 0.7]])
    moved = made.moved(point)
    assert moved == pytest.approx(np.array([[1.4, -0.2, 0.7]]))
    assert np.array(ask(made.model, made.model.logp(), moved)) == pytest.approx(
        np.array(ask(model, model.logp(), point))
    )


@pytest.mark.parametrize("order", [("a", "b"), ("a", "a")])
def test_a_shift_by_itself_or_by_what_is_shifted_later_is_refused(order):
    with pm.Model() as model:
        pm.Normal("a", 0.0, 1.0)
        pm.Normal("b", 0.0, 1.0)
    first, on = order
    other = ("b", 2.0 * model.rvs_to_values[model["a"]])
    with pytest.raises(FitError, match=f"that of a depends on {on}"):
        shear(model, ["a", "b"], [(first, 2.0 * model.rvs_to_values[model[on]]), other])
