"""Transforms by hand and against a second source; the laws of the drawn series."""

from datetime import date

import numpy as np
import pytest

from evermix.core.simulate_events import Bursts
from evermix.core.simulate_series import (
    adstock_geometric,
    draw_ar1,
    draw_noise,
    draw_runs,
    list_mondays,
    mark_holidays,
    saturate_logistic,
    stream,
    yearly_terms,
)


def test_adstock_of_one_spend_is_its_normalised_decay_and_ends_after_eight_weeks():
    total = 2 * (1 - 0.5**8)
    worked = [0, *(0.5**lag / total for lag in range(8)), 0]
    np.testing.assert_allclose(adstock_geometric(np.eye(10)[1], 0.5), worked, atol=1e-15)


def test_adstock_without_retention_is_the_spend_itself():
    spend = np.array([3.0, 0.0, 2.0])
    np.testing.assert_array_equal(adstock_geometric(spend, 0.0), spend)


def test_adstock_of_constant_spend_settles_at_that_spend():
    assert adstock_geometric(np.full(20, 4.0), 0.7)[-1] == pytest.approx(4.0)


def test_saturation_by_hand_and_at_its_limits():
    # (1 - e^-ln 3) / (1 + e^-ln 3) = (1 - 1/3) / (1 + 1/3) = 1/2
    assert saturate_logistic(1.0, np.log(3.0)) == pytest.approx(0.5)
    assert saturate_logistic(0.0, 2.0) == 0.0
    assert saturate_logistic(1e6, 2.0) == 1.0


def test_saturation_is_half_the_hyperbolic_tangent():
    x = np.linspace(0, 5, 50)
    np.testing.assert_allclose(saturate_logistic(x, 1.7), np.tanh(0.85 * x), atol=1e-14)


def test_year_terms_by_hand():
    terms = yearly_terms([date(2024, 1, 1), date(2024, 12, 30)])
    angle = 2 * np.pi / 365.25
    np.testing.assert_allclose(terms[0], [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)])
    np.testing.assert_allclose(terms[1, 0], np.sin(2 * np.pi * 365 / 365.25))


def test_five_holiday_weeks_a_year_christmas_among_them():
    mondays = list_mondays(date(2023, 1, 2), 104)
    marks = mark_holidays(mondays)
    assert marks.sum() == 10
    assert marks[mondays.index(date(2023, 12, 25))] == 1.0


def test_runs_have_the_lengths_asked_for():
    runs = draw_runs(stream(1, "runs"), 500, Bursts((3, 6), (2, 5)))
    edges = np.flatnonzero(np.diff(runs)) + 1
    lengths = np.diff(edges)
    on = lengths[runs[edges[:-1]] == 1.0]
    off = lengths[runs[edges[:-1]] == 0.0]
    assert (on.min(), on.max(), off.min(), off.max()) == (3, 6, 2, 5)


def test_autoregression_has_unit_sd_and_the_lag_asked_for():
    x = draw_ar1(stream(1, "ar"), 20_000, 0.7)
    assert np.std(x) == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(0.7, abs=0.02)


def test_streams_of_other_names_are_other_draws():
    one, same, other = (draw_noise(stream(1, name), 5, 1.0, None) for name in ("a", "a", "b"))
    np.testing.assert_array_equal(one, same)
    assert not np.any(one == other)
