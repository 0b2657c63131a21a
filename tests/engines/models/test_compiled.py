"""A compiled model: the values of its graph, the same bits from disk, one compilation for all weeks."""

import ctypes
import pydoc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pymc as pm
import pytensor
import pytest
from engines.models.graph import prior_draws
from engines.models.panels import REGRESSION_SPEC, make_columns, make_panel
from engines.models.test_mmm import SPECS, pinned

from evermix.engines.models import load_kind
from evermix.engines.models.compiled import compile_model
from evermix.engines.models.coordinates import shear
from evermix.engines.models.fit import fit_model, start_points
from evermix.errors import FitError

DENSITY = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, *[ctypes.c_void_p] * 4)
STORED = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_uint64] * 2, *[ctypes.c_void_p] * 3)


def ask(compiled, point):
    """Return code, log density, gradient and stored variables, as nutpie would get them."""
    gradient, density, out = np.empty(compiled.n_dim), np.empty(1), np.empty(compiled.n_expanded)
    point = np.ascontiguousarray(point)
    x, g, d, o, u = (array.ctypes.data for array in (point, gradient, density, out, compiled.user_data))
    code = DENSITY(compiled.compiled_logp_func.address)(compiled.n_dim, x, g, d, u)
    assert STORED(compiled.compiled_expand_func.address)(compiled.n_dim, compiled.n_expanded, x, o, u) == 0
    names, slices, shapes = compiled.shape_info
    parts = {name: out[place].reshape(shape) for name, place, shape in zip(names, slices, shapes, strict=True)}
    return code, density[0], gradient, parts


def small(observed, *, constant=False):
    """A model with a scale, an interval, a vector and data."""
    with pm.Model(coords={"place": ["a", "b", "c"]}) as model:
        level = pm.Normal("level", 0.0, 2.0, dims="place")
        sigma = pm.HalfNormal("sigma", 1.0)
        share = pm.Uniform("share", 0.0, 1.0)
        pm.Deterministic("double", 2.0 * level, dims="place")
        values = observed if constant else pm.Data("observed", observed)
        pm.Normal("y", level.sum() * share, sigma, observed=values)
    return model


def expected(model, point):
    function = model.compile_logp(mode="FAST_COMPILE")
    gradient = model.compile_dlogp(mode="FAST_COMPILE")
    names = [value.name for value in model.continuous_value_vars]
    start = model.initial_point()
    at, place = {}, 0
    for name in names:
        size = np.size(start[name])
        at[name] = np.reshape(point[place : place + size], np.shape(start[name]))
        place += size
    return function(at), gradient(at)


@pytest.mark.parametrize("constant", [False, True])
def test_density_gradient_and_variables_are_those_of_the_graph(constant):
    model = small(np.random.default_rng(1).normal(size=40), constant=constant)
    compiled = compile_model(model, ["level", "share", "double"])
    point = np.array([0.3, -0.2, 0.5, -0.7, 0.4])
    code, density, gradient, out = ask(compiled, point)
    wanted, slope = expected(model, point)
    assert (code, density) == (0, pytest.approx(float(wanted), rel=1e-12))
    assert gradient == pytest.approx(slope, rel=1e-10)
    assert out["level"] == pytest.approx([0.3, -0.2, 0.5])
    assert out["double"] == pytest.approx([0.6, -0.4, 1.0])
    assert out["share"] == pytest.approx(1 / (1 + np.exp(-0.4)))
    assert (compiled.dims["level"], compiled.dims["double"]) == (("place",), ("place",))


@pytest.mark.parametrize("name", ["amended", "geo_hierarchy_student"])
def test_a_spec_of_the_mmm_compiles_to_its_graph(name):
    geo, spec = SPECS[name]
    panel, columns, spec, basis = pinned(geo=geo, spec=spec)
    kind = load_kind("mmm")
    model = kind.build(panel, columns, spec, basis)
    made = shear(model, kind.variables(model), kind.shifts(model, panel, columns, spec, basis))
    point = made.moved(start_points(model, prior_draws(kind, model, 2)))[1]
    code, density, gradient, _ = ask(compile_model(made.model, kind.variables(model)), point)
    wanted, slope = expected(made.model, point)
    assert (code, density) == (0, pytest.approx(float(wanted), rel=1e-9))
    assert gradient == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_other_weeks_compile_nothing_and_are_counted():
    rows = np.random.default_rng(2).normal(size=140)
    compile_model(small(rows[:50]), ["level"])
    longer = small(rows[50:])
    again = compile_model(longer, ["level"])
    assert again.compiled_logp_func.from_disk
    assert again.compiled_expand_func.from_disk
    point = np.full(5, 0.1)
    assert ask(again, point)[1] == pytest.approx(float(expected(longer, point)[0]), rel=1e-12)


def test_other_constants_are_another_graph():
    rows = np.random.default_rng(2).normal(size=40)
    compile_model(small(rows, constant=True), ["level"])
    other = small(rows + 1.0, constant=True)
    point = np.full(5, 0.1)
    found = ask(compile_model(other, ["level"]), point)[1]
    assert found == pytest.approx(float(expected(other, point)[0]), rel=1e-12)


class FoundError(Exception):
    """The key of the first graph that would be compiled."""


def graph_key(model, monkeypatch):
    def stop(source, name, names, cache_key):
        raise FoundError(cache_key)

    with monkeypatch.context() as patch, pytest.raises(FoundError) as found:
        patch.setattr("pytensor.link.numba.cache.compile_numba_function_src", stop)
        compile_model(model, [model.free_RVs[0].name])
    assert found.value.args[0] is not None
    return found.value.args[0]


@pytest.mark.parametrize("name", ["geometric_logistic", "amended", "geo_hierarchy_student"])
def test_a_later_week_of_an_mmm_compiles_nothing(name, monkeypatch):
    geo, spec = SPECS[name]
    panel, columns, spec, basis = pinned(geo=geo, spec=spec)
    kind = load_kind("mmm")
    keys = []
    for rows in (panel, panel[panel["week"] < panel["week"].max()]):
        model = kind.build(rows, columns, spec, basis)
        made = shear(model, kind.variables(model), kind.shifts(model, rows, columns, spec, basis)).model
        keys.append(graph_key(made, monkeypatch))
    assert keys[0] == keys[1]


def test_another_prior_is_another_graph():
    rows = np.random.default_rng(3).normal(size=30)
    with small(rows) as model:
        pm.Potential("more", -3.0 * model["sigma"] ** 2)
    point = np.full(5, 0.2)
    assert ask(compile_model(model, ["level"]), point)[1] == pytest.approx(float(expected(model, point)[0]), rel=1e-12)


def test_a_density_that_is_not_finite_gives_up_the_step():
    compiled = compile_model(small(np.array([0.0, np.inf, 1.0])), ["level"])
    assert ask(compiled, np.zeros(5))[0] == 3


def test_chains_that_ask_for_their_starts_side_by_side_get_their_own():
    initial = compile_model(small(np.zeros(5)), ["level"]).initial_point_func
    wanted = [initial(seed) for seed in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(initial, range(200)))
    assert np.array_equal(found, wanted)


def test_a_point_of_another_length_is_refused():
    compiled = compile_model(small(np.zeros(5)), ["level"])
    density = DENSITY(compiled.compiled_logp_func.address)
    assert density(compiled.n_dim + 1, 0, 0, 0, compiled.user_data.ctypes.data) == -1


def test_a_graph_with_data_that_are_no_array_is_a_fit_error():
    with small(np.zeros(5)) as model:
        pm.Potential("noise", pm.math.sum(pm.draw(pm.Normal.dist()) * model["level"]))
        pm.Deterministic(
            "random", pm.Normal.dist(model["level"][0], 1.0, rng=pytensor.shared(np.random.default_rng(1)))
        )
    with pytest.raises(FitError, match="does not compile"):
        compile_model(model, ["random"])


def test_graphs_compile_without_fastmath_so_that_cold_and_warm_caches_give_the_same_draws(monkeypatch):
    flags = []

    def told(function):
        def call(*words, **options):
            flags.append(pytensor.config.numba__fastmath)
            return function(*words, **options)

        return call

    for name in ("nutpie.compile_pymc._make_functions", "numba.cfunc"):
        monkeypatch.setattr(name, told(pydoc.locate(name)))
    compile_model(small(np.zeros(5)), ["level"])
    assert flags == [False, False, False]


_TWICE = """
import sys; sys.path.insert(0, {tests!r})
from engines.models.test_compiled import fit_hash
print(*fit_hash())
"""


def fit_hash():
    from evermix.core.draws import hash_draws

    kind, panel, columns = load_kind("regression"), make_panel(geo=False, weeks=40), make_columns(geo=False)
    basis = kind.pin(panel, columns, REGRESSION_SPEC, None)
    model = kind.build(panel, columns, REGRESSION_SPEC, basis)
    sampler = {"chains": 2, "draws": 200, "tune": 200, "target_accept": 0.9, "low_rank": True, "fallback_tune": 200}
    fitted = fit_model(kind, panel, columns, REGRESSION_SPEC, basis, sampler, 3, None, None)
    kept = compile_model(model, kind.variables(model)).compiled_logp_func.from_disk
    return hash_draws(fitted.tree["posterior"].to_dataset()), kept


def test_a_cold_cache_a_warm_one_and_another_process_give_the_same_draws(tmp_path, request, monkeypatch):
    monkeypatch.setenv("PYTENSOR_FLAGS", f"base_compiledir={tmp_path}")
    code = _TWICE.format(tests=str(request.config.rootpath / "tests"))
    run = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert run[0] == run[1]
    assert run[0].split()[1] == "True"
    assert run[0].split()[0] == fit_hash()[0]
