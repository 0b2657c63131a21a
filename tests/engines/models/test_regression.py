"""Kind ``regression``: the pattern for a plain PyMC model."""

import numpy as np
import pytest
from engines.models.graph import log_likelihood, prior_draws
from engines.models.panels import AMENDMENTS, REGRESSION_SPEC, make_columns, make_panel

from evermix.engines.models import load_kind
from evermix.engines.models.fit import check_observed
from evermix.errors import ConfigError

KIND = load_kind("regression")


@pytest.mark.parametrize("geo", [False, True])
@pytest.mark.parametrize("change", [{}, {"likelihood": "StudentT"}, {"amendments": AMENDMENTS}])
def test_log_likelihood_equals_that_of_the_graph(geo, change):
    columns, panel, spec = make_columns(geo=geo), make_panel(geo=geo), REGRESSION_SPEC | change
    KIND.check(spec, columns)
    basis = KIND.pin(panel, columns, spec, None)
    model = KIND.build(panel, columns, spec, basis)
    draws = prior_draws(KIND, model, 4)
    expected = log_likelihood(model, draws)
    actual = KIND.log_likelihood(draws, panel, columns, spec, basis)
    assert actual == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert KIND.carry_weeks(spec) == 0


@pytest.mark.parametrize("geo", [False, True])
def test_contributions_sum_up_to_the_mean(geo):
    columns, panel = make_columns(geo=geo), make_panel(geo=geo)
    basis = KIND.pin(panel, columns, REGRESSION_SPEC, None)
    draws = prior_draws(KIND, KIND.build(panel, columns, REGRESSION_SPEC, basis), 4)
    parts = KIND.contributions(draws, panel, columns, REGRESSION_SPEC, basis)
    mean = KIND.predict(draws, panel, columns, REGRESSION_SPEC, basis).mean
    names = {"intercept", "tv", "search", "trend", "price", "promo", "seasonality"}
    assert set(parts["component"].to_numpy().tolist()) == names
    assert parts.sum("component").to_numpy().reshape(4, -1) == pytest.approx(mean)


def test_late_rows_are_not_observed():
    columns, panel = make_columns(geo=False), make_panel(geo=False)
    panel.loc[[5, 59], "target"] = np.nan
    basis = KIND.pin(panel, columns, REGRESSION_SPEC, None)
    expected = KIND.observed(panel, columns, REGRESSION_SPEC, basis)
    assert expected.shape == (58,)
    check_observed(KIND.build(panel, columns, REGRESSION_SPEC, basis), expected)


def test_a_wrong_spec_is_named_with_its_nearest_key():
    spec = REGRESSION_SPEC | {"media": "log", "priors": {"noise_sd": 1.0, "coefficient_sd": 0, "intercpt_sd": 1.0}}
    with pytest.raises(ConfigError) as caught:
        KIND.check(spec, make_columns(geo=False))
    text = str(caught.value)
    assert "did you mean 'log1p'" in text
    assert "did you mean 'intercept_sd'" in text
    assert "spec.priors.intercept_sd: is missing" in text
    assert "spec.priors.coefficient_sd: got 0" in text
