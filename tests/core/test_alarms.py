"""E-detectors over every week at which a change could have begun."""

import numpy as np
import pytest
from scipy import stats

from evermix.core import alarms
from evermix.core.alarms import Pattern, channel_patterns, level_patterns, pattern_moments, weigh_evidence


def mondays(n):
    return [str(np.datetime64("2026-01-05") + 7 * i) for i in range(n)]


def watch(residual, covariance=None, z=None, patterns=None):
    """The report of weeks with one row each."""
    residual = np.asarray(residual, float)
    n = len(residual)
    covariance = np.zeros((n, n)) if covariance is None else covariance
    patterns = patterns or level_patterns(["all"] * n)
    arrival = np.arange(n)
    found = [pattern_moments(residual, covariance, p.shift, arrival) for p in patterns]
    return weigh_evidence(mondays(n), patterns, found, residual if z is None else np.asarray(z, float))


def test_one_week_is_the_likelihood_ratio_worked_by_hand():
    level = np.mean([np.exp(a * 2.0 - a * a / 2) for a in (-0.9, 0.9)])
    noise = np.mean([np.exp(-np.log(f) + 2.0 * (1 - 1 / f**2)) for f in (0.65, 1.5, 2.0)])
    report = watch([2.0])
    assert report.families == pytest.approx({"level": level, "noise": noise})
    assert report.e_detector == pytest.approx(0.95 * level + 0.05 * noise)


def test_no_week_is_no_evidence():
    report = weigh_evidence([], [], [], np.zeros(0))
    assert (report.e_detector, report.change_point, report.suspects) == (0.0, None, [])


def gaussian_model(seed, before=40, after=12, shift=0.8):
    """A regression of three parameters with unit noise; the level moves half-way through the later weeks."""
    rng = np.random.default_rng(seed)
    n = before + after
    design = np.column_stack([np.ones(n), np.linspace(0, 1, n), rng.standard_normal(n)])
    y = design @ [1.0, 0.5, 0.3] + rng.standard_normal(n)
    y[before + after // 2 :] += shift
    return design, y, before


def posterior(design, y):
    precision = design.T @ design + 0.1 * np.eye(design.shape[1])
    return np.linalg.solve(precision, design.T @ y), np.linalg.inv(precision)


def log_marginal(design, y):
    return stats.multivariate_normal(np.zeros(len(y)), np.eye(len(y)) + design @ design.T / 0.1).logpdf(y)


@pytest.mark.parametrize("tau", [0, 5, 11])
@pytest.mark.parametrize("size", [-1.0, 1.0])
def test_the_ratio_is_that_of_marginal_likelihoods_of_all_data(tau, size):
    design, y, before = gaussian_model(1)
    mean, covariance = posterior(design, y)
    late = design[before:]
    found = pattern_moments(y[before:] - late @ mean, late @ covariance @ late.T, np.ones(len(late)), np.arange(12))
    moved = y - size * (np.arange(len(y)) >= before + tau)
    expected = log_marginal(design, moved) - log_marginal(design, y)
    assert size * found.score[tau] - size**2 * found.information[tau] / 2 == pytest.approx(expected, abs=1e-9)


def test_a_posterior_that_has_learned_the_change_away_still_shows_it():
    residual = np.r_[np.zeros(6), np.full(14, 1.2)]
    ignorant = watch(residual)
    # The level was estimated from the same weeks: residuals shrink, and what is left of them is worth more.
    learned = watch(residual - residual.mean(), covariance=np.full((20, 20), 1 / 20), z=residual)
    assert learned.e_detector > 20.0
    assert learned.e_detector < ignorant.e_detector


def test_the_change_point_and_its_interval_hold_the_true_week():
    rng = np.random.default_rng(3)
    residual = rng.standard_normal(30)
    residual[12:] -= 2.0
    point = watch(residual).change_point
    assert point.low <= mondays(30)[12] <= point.high
    assert abs(mondays(30).index(point.week) - 12) <= 1


def test_a_single_outlier_counts_as_three_sd():
    assert watch([0.0, 9.0]).e_detector == pytest.approx(watch([0.0, 3.0]).e_detector)


def test_calmer_or_wilder_noise_is_laid_to_the_noise():
    z = np.tile([2.2, -2.2], 10)
    report = watch(z)
    assert report.suspects[0].name == "noise"
    assert report.suspects[0].size == 2.0
    calm = watch(np.zeros(40), z=np.zeros(40))
    assert calm.suspects[0].size == 0.65


def test_suspects_share_out_all_of_the_evidence_and_the_right_channel_leads():
    rng = np.random.default_rng(5)
    contributions = np.column_stack([np.tile([3.0, 0.0, 0.0], 10), np.tile([0.0, 2.0, 3.0], 10)])
    patterns = level_patterns(["all"] * 30) + channel_patterns(contributions, np.ones(30), ["tv", "search"])
    residual = 0.3 * rng.standard_normal(30) - 0.5 * contributions[:, 0]
    report = watch(residual, patterns=patterns)
    assert sum(s.probability for s in report.suspects) == pytest.approx(1.0)
    assert report.suspects[0].model_dump() | {"probability": None} == {
        "name": "tv",
        "family": "channel",
        "probability": None,
        "size": -0.5,
    }


def test_a_channel_that_adds_nothing_is_no_hypothesis():
    assert channel_patterns(np.zeros((5, 1)), np.ones(5), ["tv"]) == []


def test_one_geo_that_moved_is_named_whatever_the_order_of_rows():
    rng = np.random.default_rng(7)
    geos, arrival = np.array(["north", "south"] * 25), np.repeat(np.arange(25), 2)
    residual = 0.5 * rng.standard_normal(50)
    residual[geos == "south"] += 1.2
    orders = []
    for order in (np.arange(50), rng.permutation(50)):
        patterns = level_patterns(list(geos[order]))
        found = [pattern_moments(residual[order], np.zeros((50, 50)), p.shift, arrival[order]) for p in patterns]
        orders.append(weigh_evidence(mondays(25), patterns, found, np.zeros(25)))
    assert orders[0].suspects[0].name == "south"
    assert set(orders[0].families) == {"level", "geo", "noise"}
    assert orders[0].e_detector == pytest.approx(orders[1].e_detector)


def test_moments_of_draws_that_saw_all_rows_are_those_of_the_draws():
    mean, covariance = alarms.residual_moments(np.array([[0.0], [1.0]]), np.array([False]))
    assert (mean.tolist(), covariance.tolist()) == ([0.5], [[0.25]])


def test_one_unseen_row_is_the_textbook_update_of_a_normal_mean():
    # Prior variance 1 of the mean and noise variance 1: half of the surprise is learned, half of the variance left.
    draws = np.array([[3.0], [1.0]])
    mean, covariance = alarms.residual_moments(draws, np.array([True]))
    assert (mean.tolist(), covariance.tolist()) == ([1.0], [[0.5]])


def test_draws_of_an_earlier_fit_say_what_a_fit_of_all_rows_says():
    design, y, before = gaussian_model(4)
    rng = np.random.default_rng(17)
    early, spread = posterior(design[:before], y[:before])
    draws = rng.multivariate_normal(early, spread, 40000)
    late = design[before:]
    found = alarms.residual_moments(y[before:] - draws @ late.T, np.ones(len(late), bool))
    whole, left = posterior(design, y)
    assert found[0] == pytest.approx(y[before:] - late @ whole, abs=0.02)
    assert found[1] == pytest.approx(late @ left @ late.T, abs=0.01)


def test_quiet_years_pass_a_threshold_no_more_often_than_the_bound_says():
    rng = np.random.default_rng(13)
    threshold, years = 520.0, 200
    alarmed = 0
    for _ in range(years):
        z = rng.standard_normal(52)
        alarmed += any(watch(z[: t + 1]).e_detector >= threshold for t in range(3, 52, 4))
    # 52 / 520 bounds the chance in a year; fewer than that plus three binomial sd.
    assert alarmed / years <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / years)


def test_evidence_beyond_all_doubt_is_still_a_number():
    assert watch(np.full(200, 3.0)).e_detector == pytest.approx(1e12)


def test_pattern_without_shift_says_nothing():
    found = pattern_moments(np.array([1.0, 2.0]), np.eye(2) * 0.1, Pattern("geo", "x", np.zeros(2)).shift, np.arange(2))
    assert found.score.tolist() == [0.0, 0.0]
    assert found.information.tolist() == [0.0, 0.0]
