"""Innovations and scans: cases worked by hand, limits, and regression by another route."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evermix.core import drift_scan

ON = np.ones((1, 30), bool)


def follow(apart, on=ON, phi=0.5, last=0.0, lag=1):
    return drift_scan.follow(apart, on, np.array([phi]), np.array([last]), np.array([lag]))


def test_innovations_by_hand():
    found = follow(np.array([[1.0, 2.0, 0.0]]), ON[:, :3], phi=0.5, last=4.0)
    assert found.surprise[0] == pytest.approx([1.0 - 2.0, 2.0 - 0.5, 0.0 - 1.0])
    assert found.begins[0] == pytest.approx([1, 1, 1])
    assert found.goes_on[0] == pytest.approx([0.5, 0.5, 0.5])


def test_a_gap_forgets_by_hand():
    on = np.array([[True, False, True]])
    found = follow(np.array([[1.0, 99.0, 2.0]]), on, phi=0.5)
    spread = np.sqrt((1 - 0.5**4) / (1 - 0.5**2))
    assert found.surprise[0] == pytest.approx([1.0, 0.0, (2.0 - 0.25) / spread])
    assert found.begins[0, 1] == found.goes_on[0, 1] == 0.0
    assert found.goes_on[0, 2] == pytest.approx(0.75 / spread)


def test_without_memory_innovations_are_the_distances_themselves():
    apart = np.random.default_rng(0).normal(size=(1, 30))
    assert follow(apart, phi=0.0).surprise == pytest.approx(apart)


@pytest.mark.parametrize("phi", [0.0, 0.6, 0.95])
def test_scan_is_the_t_ratio_of_a_step_by_generalised_least_squares(phi):
    apart = np.random.default_rng(1).normal(size=(1, 30))
    found = follow(apart, phi=phi)
    variance = np.full((1, 4, 30), 0.2)
    scans = drift_scan.scan(found, variance)[0]
    week = np.arange(30)
    # Before the weeks lies a distance of 0 that is known: an AR(1) that starts from it.
    root = np.linalg.inv(np.eye(30) - phi * np.eye(30, k=-1))
    covariance = root @ root.T
    for place, width in enumerate(drift_scan.WINDOWS):
        step = (week >= 30 - width).astype(float)
        solved = np.linalg.solve(covariance, np.column_stack([step, apart[0]]))
        information = step @ solved[:, 0]
        expected = (step @ solved[:, 1] / information) / np.sqrt(1 / information + 0.2)
        assert scans[place, -1] == pytest.approx(expected)


def test_a_window_in_which_a_channel_hardly_ran_says_nothing():
    on = ON.copy()
    on[0, 5:] = False
    scans = drift_scan.scan(follow(np.full((1, 30), 9.0), on), np.zeros((1, 4, 30)))
    assert scans[0, 0, 4] != 0.0
    assert scans[0, :, -1] == pytest.approx(0.0)


def test_a_shift_shows_whole_where_it_begins_and_by_one_minus_phi_later():
    apart = np.zeros((1, 30))
    apart[0, 10:] = 3.0
    surprise = follow(apart, phi=0.8).surprise[0]
    assert surprise[:10] == pytest.approx(0.0)
    assert surprise[10] == pytest.approx(3.0)
    assert surprise[11:] == pytest.approx(0.6)


@given(st.integers(1, 12), st.lists(st.floats(-5, 5), min_size=12, max_size=20))
def test_window_sums_are_sums_of_windows(width, values):
    x = np.array(values)
    expected = [x[i : i + width].sum() for i in range(len(x) - width + 1)]
    assert drift_scan.window_sums(x, width) == pytest.approx(expected, abs=1e-9)


def test_season_variance_of_a_constant_is_its_variance():
    found = drift_scan.season_variance(np.array([[[0.3]]]), np.ones((30, 1)))
    assert found[0, :, -1] == pytest.approx(0.3)


def test_psi_by_hand():
    # Shares with half a count: (2.5, 1.5) / 4 and (0.5, 1.5) / 2.
    expected = (0.25 - 0.625) * np.log(0.25 / 0.625) + (0.75 - 0.375) * np.log(0.75 / 0.375)
    assert drift_scan.psi(np.array([2.0, 1.0]), np.array([0.0, 1.0])) == pytest.approx(expected)


def test_psi_of_equal_shares_is_zero():
    assert drift_scan.psi(np.array([5.0, 5.0]), np.array([3.0, 3.0])) == pytest.approx(0.0)


def test_activity_of_independent_weeks_is_about_chi_square():
    random = np.random.default_rng(2)
    reference = random.random(400) < 0.5
    found = drift_scan.activity_scan(random.random((2000, 26)) < reference.mean(), reference)[:, -1, -1]
    assert found.mean() == pytest.approx(1.0, abs=0.15)


def test_pair_correlations_are_fishers_z_of_the_last_half_year():
    surprise = np.random.default_rng(3).normal(size=(3, 40))
    found = drift_scan.pair_correlations(surprise)[:, -1]
    last = surprise[:, -26:]
    unit = last / np.sqrt((last**2).sum(axis=1, keepdims=True))
    expected = [np.arctanh(unit[i] @ unit[j]) * np.sqrt(23) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found == pytest.approx(expected)
