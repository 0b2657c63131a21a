import numpy as np
import pytest
from core.curves import FACTORS, noisy, saturating
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from evermix.core.regret import COARSE_STEPS, Moves, best_plan, mean_and_error, plan_value, regret_of_keeping
from evermix.core.response import Responses

spends = st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=5)


def value_of(spend, ceiling, half, factors):
    at = np.asarray(spend) * factors
    return float(np.sum(np.asarray(ceiling) * at / (np.asarray(half) + at)))


def test_best_plan_of_two_channels_is_that_of_brute_force():
    spend, ceiling, half = [100.0, 50.0], [40.0, 60.0], [80.0, 90.0]
    found = best_plan(saturating(spend, ceiling, half), 0.3)
    moved = np.linspace(-15.0, 15.0, 30001)  # the smaller channel's bound binds both
    worth = [value_of(spend, ceiling, half, np.array([1 - m / 100, 1 + m / 50])) for m in moved]
    best = moved[int(np.argmax(worth))]
    assert found == pytest.approx([1 - best / 100, 1 + best / 50], abs=2e-3)
    inner = best_plan(saturating([100.0, 80.0], [50.0, 45.0], [80.0, 90.0]), 0.3)
    assert 0.7 < inner[0] < 1.3 and inner @ [100.0, 80.0] == pytest.approx(180.0)


def test_best_plan_of_five_concave_channels_is_that_of_a_gradient_method():
    spend = np.array([110.0, 65.0, 50.0, 65.0, 8.0])
    ceiling, half = np.array([90.0, 40.0, 70.0, 30.0, 9.0]), np.array([200.0, 60.0, 150.0, 90.0, 20.0])
    found = best_plan(saturating(spend, ceiling, half), 0.3)
    slsqp = minimize(
        lambda f: -value_of(spend, ceiling, half, f),
        np.ones(5),
        method="SLSQP",
        bounds=[(0.7, 1.3)] * 5,
        constraints={"type": "eq", "fun": lambda f: (f - 1) @ spend},
        options={"ftol": 1e-12},
    )
    kept = value_of(spend, ceiling, half, np.ones(5))
    assert value_of(spend, ceiling, half, found) - kept == pytest.approx(-slsqp.fun - kept, rel=1e-2)


def test_an_s_curve_is_left_for_the_far_hill_where_a_gradient_stops():
    # The first channel pays only from a quarter more on; the other loses little.
    value = np.zeros((1, 2, len(FACTORS)))
    value[0, 0] = np.where(FACTORS >= 1.2, 100.0, 0.0)
    value[0, 1] = 10.0 * FACTORS
    found = best_plan(Responses(("step", "line"), np.array([100.0, 100.0]), FACTORS, value), 0.3)
    assert found[0] >= 1.19 and found.sum() == pytest.approx(2.0)


@settings(max_examples=40, deadline=None)
@given(spend=spends, seed=st.integers(0, 1000), change=st.floats(0.05, 0.5))
def test_an_allowed_plan_keeps_the_total_and_the_bounds_and_is_never_worse(spend, seed, change):
    random = np.random.default_rng(seed)
    size = (1, len(spend))
    curves = saturating(spend, random.uniform(1.0, 100.0, size), random.uniform(1.0, 500.0, size))
    found = best_plan(curves, change)
    assert found @ np.array(spend) == pytest.approx(sum(spend))
    assert np.all(np.abs(found - 1.0) <= change + 1e-6)
    assert plan_value(curves, found)[0] >= plan_value(curves, np.ones(len(spend)))[0] - 1e-9


def test_regret_of_certain_curves_is_the_gain_of_the_best_plan_without_error():
    curves = saturating([100.0, 100.0], [40.0, 80.0], [50.0, 50.0], draws=40)
    found = regret_of_keeping(curves, 0.2)
    # By hand: 40 (80 / 130 - 100 / 150) + 80 (120 / 170 - 100 / 150) = -2.0513 + 3.1373.
    assert found.per_week == pytest.approx(1.0860, abs=1e-3)
    assert found.best == pytest.approx([0.8, 1.2])
    assert (found.se, found.perfect_information) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_regret_of_the_best_plan_is_never_positive_on_average_although_choosing_on_the_same_draws_would_be():
    spend, ceiling, half = [100.0, 100.0, 100.0], [50.0, 50.0, 50.0], [80.0, 80.0, 80.0]
    kept = np.ones(3)  # the best plan of the truth: three equal channels
    fair, naive = [], []
    for seed in range(40):
        curves = noisy(spend, ceiling, half, draws=40, seed=seed, sd=0.6)
        fair.append(regret_of_keeping(curves, 0.3).per_week)
        naive.append(float((plan_value(curves, best_plan(curves, 0.3)) - plan_value(curves, kept)).mean()))
    error = np.std(fair) / np.sqrt(len(fair))
    assert np.mean(fair) <= 2 * error
    assert np.mean(naive) > 3 * np.std(naive) / np.sqrt(len(naive)) > 0


@settings(max_examples=25, deadline=None)
@given(spend=spends, seed=st.integers(0, 1000))
def test_perfect_information_is_never_negative_and_zero_for_one_channel(spend, seed):
    curves = noisy(spend, [50.0] * len(spend), [80.0] * len(spend), draws=30, seed=seed)
    found = regret_of_keeping(curves, 0.3)
    assert found.perfect_information >= 0.0
    if len(spend) == 1:
        assert (found.per_week, found.perfect_information, found.best.tolist()) == (0.0, 0.0, [1.0])


def test_a_channel_without_spend_keeps_none_and_the_others_are_planned_as_if_it_were_not_there():
    found = regret_of_keeping(saturating([100.0, 0.0, 50.0], [40.0, 90.0, 60.0], [80.0, 50.0, 90.0], draws=4), 0.3)
    alone = regret_of_keeping(saturating([100.0, 50.0], [40.0, 60.0], [80.0, 90.0], draws=4), 0.3)
    assert found.best[1] == 1.0
    assert found.best[[0, 2]] == pytest.approx(alone.best)
    assert found.per_week == pytest.approx(alone.per_week)


def test_no_spend_at_all_has_no_regret():
    found = regret_of_keeping(saturating([0.0, 0.0], [40.0, 90.0], [80.0, 50.0], draws=4), 0.3)
    assert (found.per_week, found.perfect_information) == (0.0, 0.0)


def test_of_two_plans_worth_the_same_the_present_one_is_kept():
    line = np.stack([FACTORS, FACTORS])[None] * 10.0
    assert best_plan(Responses(("a", "b"), np.array([100.0, 100.0]), FACTORS, line), 0.3).tolist() == [1.0, 1.0]


def test_perfect_information_of_two_equally_likely_worlds_worked_by_hand():
    # In each world one channel brings 1 per unit of spend and the other nothing; on average both are the same.
    world = np.array([[FACTORS, 0 * FACTORS], [0 * FACTORS, FACTORS]]) * 100.0
    curves = Responses(("a", "b"), np.array([100.0, 100.0]), FACTORS, np.repeat(world, 10, axis=0))
    # Knowing which: 30 a week are moved to the one that brings 1 for each.
    assert regret_of_keeping(curves, 0.3).perfect_information == pytest.approx(30.0)


def test_the_best_plan_of_each_draw_is_found_as_if_it_were_alone():
    curves = noisy([100.0, 60.0, 30.0], [50.0, 40.0, 30.0], [80.0, 90.0, 20.0], draws=5, seed=1)
    moves = Moves.of(curves.spend, 0.3, COARSE_STEPS)
    together = moves.best(FACTORS, curves.value)
    apart = [moves.best(FACTORS, curves.value[[i]])[0] for i in range(5)]
    assert together == pytest.approx(np.array(apart))


def test_error_of_a_mean_holds_for_autocorrelated_draws():
    random = np.random.default_rng(4)
    shocks = random.standard_normal((200, 1000))
    chain = np.empty_like(shocks)
    chain[:, 0] = shocks[:, 0] / np.sqrt(1 - 0.8**2)
    for i in range(1, 1000):
        chain[:, i] = 0.8 * chain[:, i - 1] + shocks[:, i]
    told = np.array([mean_and_error(row) for row in chain])
    assert told[:, 1].mean() == pytest.approx(told[:, 0].std(), rel=0.2)
