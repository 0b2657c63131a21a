import numpy as np
import pytest
from core.curves import FACTORS, noisy, saturating
from core.test_response import contribute, panel_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evermix.core.experiment import (
    DETECTABLE_ERRORS,
    LENGTHS_WEEKS,
    Market,
    effect_error,
    geos_to_switch_off,
    list_tests,
    losses_while_off,
    propose_test,
    suspects_of,
    value_of_learning,
)
from evermix.core.regret import perfect_information
from evermix.core.response import Responses, repeat_weeks
from evermix.records import RuleOutcome

ONE = np.array([True])


def market_of(spend, sd):
    return Market(("all",), {f"c{i}": np.array([s]) for i, s in enumerate(spend)}, np.array([sd]))


def even_losses(curves):
    """Losses without carry-over: each week off loses what the plan brings."""
    kept = curves.kept.mean(axis=0)
    return {w: {c: np.full((w, 1), kept[i]) for i, c in enumerate(curves.channels)} for w in LENGTHS_WEEKS}


def test_detectable_effect_of_a_national_test_worked_by_hand():
    # Noise 3500 a week, 4 weeks off against 12 on: 3500 sqrt(1/4 + 1/12) = 2020.7; spend 6500 a week.
    error = effect_error(np.full((4, 1), 13_000.0), ONE, np.array([3500.0]), 12)
    assert error * 13_000.0 == pytest.approx(2020.73, abs=0.01)
    # (1.960 + 0.842) * 2020.73 / 6500 = 0.871 target units per unit of spend, where 2.0 is expected.
    assert DETECTABLE_ERRORS * error * 13_000.0 / 6500.0 == pytest.approx(0.871, abs=1e-3)


def test_the_detectable_effect_is_noticed_four_times_in_five():
    random = np.random.default_rng(5)
    loss, sd = np.full((5, 1), 10.0), 4.0
    error = effect_error(loss, ONE, np.array([sd]), 13)
    # An effect that is larger than expected by the detectable share.
    seen = 10.0 * (1 + DETECTABLE_ERRORS * error) + random.normal(0, sd, (20_000, 5)).mean(axis=1)
    seen -= random.normal(0, sd, (20_000, 13)).mean(axis=1)
    noticed = np.abs(seen / 10.0 - 1.0) / error > stats.norm.ppf(0.975)
    assert noticed.mean() == pytest.approx(0.8, abs=0.01)


def test_carry_over_makes_a_test_of_the_same_weeks_tell_less():
    at_once = np.array([[10.0]] * 4 + [[0.0]] * 6)
    drawn_out = np.array([[4.0], [7.0], [9.0], [9.5], [5.5], [3.0], [1.5], [0.5], [0.2], [0.1]])
    sd = np.array([5.0])
    assert effect_error(drawn_out, ONE, sd, 13) > effect_error(at_once, ONE, sd, 13)


def test_half_of_two_equal_geos_off_is_the_difference_in_differences():
    # Var = 2 sd^2 (1/off + 1/before): each geo is compared with itself before, and one with the other.
    loss = np.full((4, 2), 10.0)
    error = effect_error(loss, np.array([True, False]), np.array([3.0, 3.0]), 12)
    assert error * 10.0 == pytest.approx(3.0 * np.sqrt(2 * (1 / 4 + 1 / 12)))


def test_a_geo_that_spends_nothing_tells_nothing():
    loss = np.array([[0.0, 10.0]] * 4)
    assert effect_error(loss, np.array([True, False]), np.array([3.0, 3.0]), 12) == float("inf")


@pytest.mark.parametrize(
    ("spend", "off"),
    [([5.0], [True]), ([5.0, 9.0], [True, False]), ([4.0, 3.0, 2.0, 1.0], [False, True, True, False])],
)
def test_half_of_the_geos_go_off_and_both_halves_spend_about_the_same(spend, off):
    assert geos_to_switch_off(np.array(spend)).tolist() == off


def test_losses_follow_the_carry_over_and_return_with_the_spend():
    panel = panel_of(np.full((60, 2), 100.0))
    losses = losses_while_off(contribute, repeat_weeks(panel, 13), ["c0", "c1"])
    lost = losses[4]["c1"][:, 0]
    assert set(losses) == set(LENGTHS_WEEKS)
    # Mean of the two draws: 15 sqrt(share of the adstock that is left), 8 lags of 0.6.
    weights = 0.6 ** np.arange(8) / (0.6 ** np.arange(8)).sum()
    assert lost[0] == pytest.approx(15.0 * (1 - np.sqrt(1 - weights[0])))
    assert lost[3] == pytest.approx(15.0 * (1 - np.sqrt(1 - weights[:4].sum())))
    assert lost[4] == pytest.approx(15.0 * (1 - np.sqrt(1 - weights[1:5].sum())))
    assert lost[-1] == 0.0


@settings(max_examples=20, deadline=None)
@given(error=st.floats(0.0, 3.0), seed=st.integers(0, 50))
def test_learning_is_worth_between_nothing_and_perfect_information_and_less_with_more_noise(error, seed):
    curves = noisy([100.0, 80.0, 60.0], [50.0, 45.0, 40.0], [80.0, 70.0, 60.0], draws=100, seed=seed)
    worth = value_of_learning(curves, 0.3, 1, error)
    assert 0.0 <= worth <= value_of_learning(curves, 0.3, 1, 0.0) + 1e-9
    assert worth <= 1.05 * perfect_information(curves, 0.3)


def test_learning_the_only_unknown_exactly_is_worth_what_perfect_information_is():
    random = np.random.default_rng(2)
    ceiling = np.column_stack([50.0 * np.exp(0.4 * random.standard_normal(2000)), np.full(2000, 50.0)])
    curves = saturating([100.0, 100.0], ceiling, [80.0, 80.0], draws=2000)
    perfect = perfect_information(curves, 0.3)
    assert value_of_learning(curves, 0.3, 0, 0.0) == pytest.approx(perfect, rel=0.03)
    assert value_of_learning(curves, 0.3, 1, 0.0) == 0.0
    assert value_of_learning(curves, 0.3, 0, float("inf")) == 0.0


def test_the_shortest_test_that_notices_a_half_is_proposed_and_its_cost_told():
    curves = saturating([100.0, 50.0], [40.0, 60.0], [100.0, 50.0], draws=4)
    first, second = list_tests(curves, 0.3, even_losses(curves), market_of([100.0, 50.0], 8.0))
    # c0 brings 20 a week: 2.802 * 8 sqrt(1/w + 1/13) <= 10 from w = 9 on; c1 brings 30: <= 15 from w = 3 on.
    assert (first["weeks"], second["weeks"]) == (9, 3)
    assert (first["lost"], first["saved"], first["roas"]) == (pytest.approx(180.0), 900.0, pytest.approx(0.2))
    assert first["detectable_roas"] == pytest.approx(2.8016 * 8.0 * np.sqrt(1 / 9 + 1 / 13) / 100.0, rel=1e-4)
    assert first["geos_off"] == [] and first["is_long_enough"]


def test_a_channel_too_small_to_be_seen_is_told_so():
    curves = saturating([10.0], [2.0], [10.0], draws=4)
    (found,) = list_tests(curves, 0.3, even_losses(curves), market_of([10.0], 6.0))
    assert found["weeks"] == 12 and not found["is_long_enough"]
    assert found["detectable_roas"] > found["roas"]


def test_a_channel_without_spend_is_not_tested():
    curves = saturating([100.0, 0.0], [40.0, 60.0], [100.0, 50.0], draws=4)
    found = list_tests(curves, 0.3, even_losses(curves), market_of([100.0, 0.0], 6.0))
    assert [t["channel"] for t in found] == ["c0"]
    assert propose_test([], []) is None


def test_suspects_of_an_alarm_are_tested_first_and_among_them_the_one_worth_most():
    tests = [
        {"channel": c, "worth_per_week": w, "doubt": 1.0} for c, w in (("tv", 9.0), ("search", 2.0), ("audio", 5.0))
    ]
    suspects = [
        {"name": "level", "family": "level", "probability": 0.5},
        {"name": "search", "family": "channel", "probability": 0.3},
        {"name": "audio", "family": "channel", "probability": 0.1},
    ]
    assert propose_test(tests, suspects)["channel"] == "audio"
    assert propose_test(tests, suspects)["suspected"] == 0.1
    assert propose_test(tests, suspects[:1])["channel"] == "tv"
    assert propose_test(tests, [])["suspected"] is None


def test_with_nothing_to_plan_the_most_doubtful_channel_is_tested():
    value = np.array([[20.0 * FACTORS], [40.0 * FACTORS]])
    curves = Responses(("c0",), np.array([100.0]), FACTORS, value)
    (found,) = list_tests(curves, 0.3, even_losses(curves), market_of([100.0], 6.0))
    assert (found["worth_per_week"], found["doubt"]) == (0.0, 10.0)


def test_suspects_count_only_while_a_rule_on_the_alarms_fires():
    alarm = {"suspects": [{"name": "tv", "family": "channel", "probability": 0.4}]}
    rule = {"name": "r", "op": ">", "value": 1.0, "seen": 2.0, "decision": "review", "severity": "info", "why": "w"}
    rings = RuleOutcome(**rule, evidence="alarm.e_detector", fired=True)
    quiet = RuleOutcome(**rule, evidence="alarm.e_detector", fired=False)
    other = RuleOutcome(**rule, evidence="drift.calls", fired=True)
    assert suspects_of([other, rings], alarm) == alarm["suspects"]
    assert suspects_of([other, quiet], alarm) == []
