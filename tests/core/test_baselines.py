"""Baselines that see what the model saw, and their closed-form score."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from sklearn.linear_model import Ridge, RidgeCV

from evermix.core import baselines


def make_rows(weeks, geos=("all",), seed=0):
    random = np.random.default_rng(seed)
    n = weeks * len(geos)
    week = np.repeat(pd.date_range("2020-01-06", periods=weeks, freq="7D"), len(geos))
    rows = pd.DataFrame({"week": week.astype("datetime64[s]"), "geo": list(geos) * weeks})
    rows["spend.tv"] = random.gamma(2, 50, n)
    rows["control.price"] = random.normal(10, 1, n)
    rows["target"] = 500 + 60 * np.log1p(rows["spend.tv"] / 100) - 30 * rows["control.price"] + random.normal(0, 5, n)
    return rows


@pytest.mark.parametrize(("mean", "sd", "y"), [(0.0, 1.0, 0.0), (2.0, 0.5, 3.0), (-1.0, 3.0, 4.0)])
def test_gaussian_crps_equals_the_integral_of_squared_distance(mean, sd, y):
    def distance(x):
        return (stats.norm.cdf(x, mean, sd) - (x >= y)) ** 2

    numeric = integrate.quad(distance, mean - 12 * sd, y)[0] + integrate.quad(distance, y, mean + 12 * sd)[0]
    assert baselines.gaussian_crps(mean, sd, y) == pytest.approx(numeric, rel=1e-6)


def test_gaussian_crps_of_a_sure_forecast_is_the_absolute_error():
    assert baselines.gaussian_crps(1.0, 1e-9, 4.0) == pytest.approx(3.0)


def test_seasonal_naive_by_hand():
    train = make_rows(20)
    train["target"] = [1.0, 2.0, 3.0, 4.0] * 4 + [3.0, 4.0, 5.0, 6.0]
    ahead = make_rows(22).iloc[20:]
    found = baselines.seasonal_naive(train, ahead, season_weeks=4)
    assert found.mean.tolist() == [3.0, 4.0]
    assert found.sd == pytest.approx(np.sqrt(4 * 2.0**2 / 16))


def test_seasonal_naive_keeps_geos_apart():
    rows = make_rows(80, ("a", "b"))
    rows.loc[rows["geo"] == "b", "target"] += 1000
    found = baselines.seasonal_naive(rows.iloc[:150], rows.iloc[150:], 52)
    assert (found.mean[1::2] > 900).all() and (found.mean[::2] < 900).all()


def test_short_history_has_no_seasonal_naive():
    rows = make_rows(65)
    assert baselines.seasonal_naive(rows.iloc[:52], rows.iloc[52:], 52) is None


def test_season_longer_than_needed_value_is_missing():
    rows = make_rows(80)
    rows.loc[20, "target"] = np.nan
    assert baselines.seasonal_naive(rows.iloc[:72], rows.iloc[72:], 52) is None


def test_ridge_equals_scikit_learn():
    random = np.random.default_rng(2)
    x, x_ahead = random.normal(size=(60, 5)), random.normal(size=(7, 5))
    y = x @ [1.0, -2.0, 0.5, 0.0, 0.0] + random.normal(size=60)
    mean, sd = baselines.ridge_forecast(x, y, x_ahead)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    z = (x - centre) / scale
    cv = RidgeCV(alphas=baselines.PENALTIES, store_cv_results=True).fit(z, y)
    expected = Ridge(alpha=cv.alpha_).fit(z, y).predict((x_ahead - centre) / scale)
    assert mean == pytest.approx(expected, rel=1e-8)
    assert sd == pytest.approx(np.sqrt(cv.cv_results_.mean(axis=0).min()), rel=1e-6)


def test_ridge_learns_a_linear_world_and_knows_its_spread():
    rows = make_rows(150)
    found = baselines.ridge(rows.iloc[:137], rows.iloc[137:])
    assert np.abs(found.mean - rows["target"].iloc[137:]).mean() < 10
    assert found.sd == pytest.approx(np.full(13, 5.0), rel=0.25)


def test_ridge_never_sees_the_targets_ahead():
    rows = make_rows(100)
    hidden = rows.assign(target=rows["target"].where(rows.index < 87))
    one = baselines.ridge(rows.iloc[:87], rows.iloc[87:])
    two = baselines.ridge(hidden.iloc[:87], hidden.iloc[87:])
    assert one.mean.tolist() == two.mean.tolist()


def test_constant_features_do_no_harm():
    rows = make_rows(60).assign(**{"event.never": 0.0, "spend.unused": 0.0})
    assert np.isfinite(baselines.ridge(rows.iloc[:50], rows.iloc[50:]).mean).all()
