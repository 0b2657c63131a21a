"""Adstock, saturation and season: worked by hand, at their limits, and against a second source."""

import numpy as np
import pytest
from scipy import signal, special

from evermix.core import transforms


def test_geometric_weights_worked_by_hand():
    weights = transforms.geometric_weights(np.array([0.5]), 3, normalize=False)
    assert weights.tolist() == [[1.0, 0.5, 0.25]]
    normalized = transforms.geometric_weights(np.array([0.5]), 3, normalize=True)
    assert normalized == pytest.approx(np.array([[4 / 7, 2 / 7, 1 / 7]]))


def test_no_retention_leaves_media_in_their_week():
    media = np.array([3.0, 0.0, 5.0]).reshape(3, 1, 1)
    weights = transforms.geometric_weights(np.zeros((1, 1, 1)), 4, normalize=True)
    assert transforms.carry_over(media, weights)[0].ravel().tolist() == [3.0, 0.0, 5.0]


def test_delayed_weights_peak_at_theta_and_equal_geometric_ones_in_shape_at_two_lags():
    weights = transforms.delayed_weights(np.array([0.5]), np.array([2.0]), 5, normalize=False)
    assert weights.tolist() == [[0.0625, 0.5, 1.0, 0.5, 0.0625]]
    at_zero = transforms.delayed_weights(np.array([0.3]), np.array([0.0]), 2, normalize=True)
    assert at_zero == pytest.approx(transforms.geometric_weights(np.array([0.3]), 2, normalize=True))


def test_carry_over_equals_a_causal_filter():
    random = np.random.default_rng(1)
    media = random.gamma(2.0, size=(30, 2, 3))
    weights = random.random((4, 1, 3, 8))
    spread = transforms.carry_over(media, weights)
    for draw in range(4):
        for geo in range(2):
            for channel in range(3):
                expected = signal.lfilter(weights[draw, 0, channel], [1.0], media[:, geo, channel])
                assert spread[draw, :, geo, channel] == pytest.approx(expected, abs=1e-12)


def test_carry_over_is_shorter_than_the_panel_when_the_panel_is_short():
    media = np.array([1.0, 2.0]).reshape(2, 1, 1)
    weights = np.array([0.5, 0.3, 0.2]).reshape(1, 1, 1, 3)
    assert transforms.carry_over(media, weights)[0].ravel() == pytest.approx([0.5, 1.3])


def test_logistic_saturation_reaches_half_at_log_three_over_lam():
    lam = np.array([4.0])
    assert transforms.logistic_saturation(np.log(3.0) / lam, lam) == pytest.approx([0.5])
    x = np.linspace(0.0, 3.0, 20)
    assert transforms.logistic_saturation(x, lam) == pytest.approx(2.0 * special.expit(4.0 * x) - 1.0)


def test_every_saturation_gives_zero_for_no_media_and_its_ceiling_for_all_the_media_in_the_world():
    zero, much, two = np.array([0.0]), np.array([1e9]), np.array([2.0])
    curves = {
        "logistic": (lambda x: transforms.logistic_saturation(x, two), 1.0),
        "tanh": (lambda x: transforms.tanh_saturation(x, two, two), 2.0),
        "michaelis_menten": (lambda x: transforms.michaelis_menten(x, two, two), 2.0),
        "hill": (lambda x: transforms.hill_saturation(x, two, two), 1.0),
    }
    for curve, ceiling in curves.values():
        assert curve(zero) == pytest.approx([0.0])
        assert curve(much) == pytest.approx([ceiling])


def test_half_saturation_points_are_where_they_are_said_to_be():
    assert transforms.michaelis_menten(np.array([3.0]), np.array([8.0]), np.array([3.0])) == pytest.approx([4.0])
    assert transforms.hill_saturation(np.array([3.0]), np.array([1.7]), np.array([3.0])) == pytest.approx([0.5])


def test_fourier_modes_are_sines_then_cosines_of_the_day_of_year():
    modes = transforms.fourier_modes(np.array([1, 100]), 2)
    angle = 2.0 * np.pi * 100 / 365.25
    assert modes.shape == (2, 4)
    assert modes[1] == pytest.approx([np.sin(angle), np.sin(2 * angle), np.cos(angle), np.cos(2 * angle)])
    assert transforms.fourier_modes(np.array([1, 100]), 0).shape == (2, 0)
