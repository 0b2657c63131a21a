"""The mixture over draws: worked by hand, at its limits, and against scipy."""

import numpy as np
import pytest
from scipy import stats

from evermix.core.predictive import Predictive


def one_normal(draws: int = 1) -> Predictive:
    return Predictive(np.full((draws, 1), 10.0), np.full((draws, 1), 2.0))


@pytest.fixture
def mixture() -> Predictive:
    random = np.random.default_rng(3)
    return Predictive(random.normal(5.0, 1.0, (200, 4)), random.gamma(4.0, 0.5, (200, 4)))


def test_log_score_of_two_draws_worked_by_hand():
    predictive = Predictive(np.array([[0.0], [2.0]]), np.ones((2, 1)))
    density = (np.exp(-0.5) + np.exp(-0.5)) / 2 / np.sqrt(2 * np.pi)
    assert predictive.log_score(np.array([1.0])) == pytest.approx([np.log(density)])


def test_log_score_and_pit_equal_scipy(mixture):
    y = np.array([4.0, 5.0, 6.0, 30.0])
    density = stats.norm.pdf(y, mixture.mean, mixture.sd).mean(axis=0)
    assert mixture.log_score(y)[:3] == pytest.approx(np.log(density)[:3])
    assert np.isfinite(mixture.log_score(y)).all()
    assert mixture.pit(y) == pytest.approx(stats.norm.cdf(y, mixture.mean, mixture.sd).mean(axis=0))


def test_student_noise_equals_scipy(mixture):
    nu = np.linspace(2.0, 40.0, 200)
    predictive = Predictive(mixture.mean, mixture.sd, nu)
    y = np.array([4.0, 5.0, 6.0, 9.0])
    density = stats.t.pdf(y, nu[:, None], mixture.mean, mixture.sd).mean(axis=0)
    assert predictive.log_score(y) == pytest.approx(np.log(density))
    assert predictive.pit(y) == pytest.approx(stats.t.cdf(y, nu[:, None], mixture.mean, mixture.sd).mean(axis=0))
    low, high = predictive.interval(0.9)
    assert predictive.pit(low) == pytest.approx([0.05] * 4)
    assert predictive.pit(high) == pytest.approx([0.95] * 4)


def test_student_noise_with_many_degrees_of_freedom_is_normal(mixture):
    y = np.array([4.0, 5.0, 6.0, 7.0])
    nearly = Predictive(mixture.mean, mixture.sd, np.full(200, 1e8))
    assert nearly.log_score(y) == pytest.approx(mixture.log_score(y), abs=1e-6)


def test_interval_of_one_draw_is_the_textbook_one():
    low, high = one_normal().interval(0.9)
    assert low == pytest.approx([10.0 - 2.0 * 1.6448536269514722])
    assert high == pytest.approx([10.0 + 2.0 * 1.6448536269514722])


def test_interval_ends_have_the_stated_pit(mixture):
    low, high = mixture.interval(0.5)
    assert mixture.pit(low) == pytest.approx([0.25] * 4, abs=1e-9)
    assert mixture.pit(high) == pytest.approx([0.75] * 4, abs=1e-9)


def test_crps_of_a_normal_equals_its_closed_form():
    z = (11.0 - 10.0) / 2.0
    closed = 2.0 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert one_normal(40_000).crps(np.array([11.0]), seed=1) == pytest.approx([closed], rel=0.02)


def test_crps_of_a_sharp_forecast_is_the_distance():
    sharp = Predictive(np.full((50, 1), 10.0), np.full((50, 1), 1e-9))
    assert sharp.crps(np.array([13.0]), seed=1) == pytest.approx([3.0])


def test_pit_of_the_quantiles_of_the_truth_is_the_uniform_grid():
    grid = (np.arange(99) + 1) / 100
    predictive = Predictive(np.full((1, 99), 3.0), np.full((1, 99), 0.5))
    assert predictive.pit(stats.norm.ppf(grid, 3.0, 0.5)) == pytest.approx(grid)


def test_samples_repeat_for_a_seed_and_have_mean_and_spread():
    predictive = one_normal(40_000)
    sample = predictive.sample(7)
    assert np.array_equal(sample, predictive.sample(7))
    assert sample.mean() == pytest.approx(10.0, abs=0.05)
    assert sample.std() == pytest.approx(2.0, abs=0.05)


def test_rows_selects_columns_of_every_draw(mixture):
    some = mixture.rows(np.array([2, 0]))
    assert np.array_equal(some.mean, mixture.mean[:, [2, 0]])
    assert np.array_equal(some.sd, mixture.sd[:, [2, 0]])


def weighted(predictive: Predictive, weights) -> Predictive:
    return Predictive(predictive.mean, predictive.sd, predictive.nu, np.log(weights))


def test_equal_weights_give_the_numbers_of_no_weights(mixture):
    y = np.array([4.0, 5.0, 6.0, 9.0])
    equal = weighted(mixture, np.full(200, 7.0))
    for ours, plain in (
        (equal.log_score(y), mixture.log_score(y)),
        (equal.pit(y), mixture.pit(y)),
        (equal.crps(y, 3), mixture.crps(y, 3)),
        (equal.expected(), mixture.mean.mean(axis=0)),
        (equal.interval(0.9)[1], mixture.interval(0.9)[1]),
    ):
        assert ours == pytest.approx(plain, rel=1e-12)


def test_whole_weights_are_draws_repeated(mixture):
    y = np.array([4.0, 5.0, 6.0, 9.0])
    times = np.random.default_rng(5).integers(1, 4, 200)
    repeated = Predictive(mixture.mean.repeat(times, axis=0), mixture.sd.repeat(times, axis=0))
    ours = weighted(mixture, times)
    assert ours.log_score(y) == pytest.approx(repeated.log_score(y))
    assert ours.pit(y) == pytest.approx(repeated.pit(y))
    assert ours.expected() == pytest.approx(repeated.expected())
    assert ours.quantile(0.1) == pytest.approx(repeated.quantile(0.1))


def test_all_weight_on_one_draw_is_that_draw():
    two = Predictive(np.array([[0.0], [10.0]]), np.ones((2, 1)), log_weights=np.array([0.0, -1e9]))
    assert two.pit(np.array([0.0])) == pytest.approx([0.5])
    assert two.log_score(np.array([0.0])) == pytest.approx([-0.5 * np.log(2 * np.pi)])
    assert two.expected() == pytest.approx([0.0])


def test_weighted_crps_of_three_draws_worked_by_hand():
    # Without noise the sample is 0, 1, 3; weights 1/2, 1/4, 1/4; y = 1.
    predictive = Predictive(
        np.array([[0.0], [1.0], [3.0]]), np.full((3, 1), 1e-12), log_weights=np.log([2.0, 1.0, 1.0])
    )
    away = 0.5 * 1 + 0.25 * 2
    pairs = 2 * (0.125 * 1 + 0.125 * 3 + 0.0625 * 2) / (1 - 0.375)
    assert predictive.crps(np.array([1.0]), 1) == pytest.approx([away - pairs / 2])


def test_residuals_are_in_noise_sd_and_normal_whatever_the_noise():
    plain = Predictive(np.array([[1.0], [2.0]]), np.array([[2.0], [1.0]]))
    assert plain.residuals(np.array([3.0])).ravel().tolist() == [1.0, 1.0]
    rng = np.random.default_rng(2)
    heavy = Predictive(np.zeros((1, 4000)), np.full((1, 4000), 3.0), np.array([3.0]))
    found = heavy.residuals(3.0 * rng.standard_t(3.0, 4000))
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.01
