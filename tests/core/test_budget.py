import numpy as np
import pandas as pd
import pytest
from core.test_response import contribute, panel_of

from evermix.core.budget import CURVES, METRICS, Voice, kept_plan, no_budget, noise_by_geo, review_budget
from evermix.core.predictive import Predictive

CHANNELS = ("c0", "c1")
COLUMNS = {"channels": {"c0": {}, "c1": {}}, "target": {"column": "sales"}}
SD = np.array([0.5])


def believed(rows):
    """Draws that differ from one another as a posterior's do, around square roots of adstock."""
    sure = contribute(rows).isel(draw=[0])
    factors = np.exp(0.2 * np.random.default_rng(1).standard_normal((200, 1, 1, 2)))
    return sure.isel(draw=np.zeros(200, dtype=int)) * factors


def halved(rows):
    """The same posterior after the effect of c0 halved."""
    return believed(rows) * np.array([0.5, 1.0])


@pytest.fixture
def panel():
    return panel_of(np.full((60, 2), 100.0))


def test_money_is_moved_away_from_an_effect_that_halved_and_both_plans_are_judged(panel):
    plan = kept_plan(panel, None, COLUMNS, 13)
    found = review_budget(
        plan, Voice("challenger", halved, CHANNELS), SD, Voice("champion", believed, CHANNELS), 0.3, []
    )
    rows = {row["channel"]: row for row in found.record["channels"]}
    assert rows["c0"]["best_spend"] == pytest.approx(70.0, abs=0.1)
    assert rows["c1"]["best_spend"] == pytest.approx(130.0, abs=0.1)
    # By hand: 0.5 (sqrt 70 - sqrt 100) + (sqrt 130 - sqrt 100) = 0.585, times E[factor] = exp(0.02).
    assert found.values["regret_per_week"] == pytest.approx(0.585 * np.exp(0.02), rel=0.1)
    assert found.values["regret_share"] == pytest.approx(
        found.values["regret_per_week"] / found.record["brought_per_week"]
    )
    assert set(found.values) == set(METRICS) and found.not_applicable == {}
    assert found.record["experiment"]["channel"] in CHANNELS
    assert set(found.curves["version"]) == {"champion", "challenger"} and list(found.curves) == CURVES


def test_the_plan_of_a_champion_that_believes_the_same_costs_nothing(panel):
    plan = kept_plan(panel, None, COLUMNS, 13)
    found = review_budget(plan, Voice("challenger", halved, CHANNELS), SD, Voice("champion", halved, CHANNELS), 0.3, [])
    assert found.values["champion_plan_regret_per_week"] == pytest.approx(0.0, abs=1e-9)


def test_without_another_version_its_plan_is_not_applicable(panel):
    found = review_budget(kept_plan(panel, None, COLUMNS, 13), Voice("champion", believed, CHANNELS), SD, None, 0.3, [])
    assert set(found.not_applicable) == set(METRICS[-3:])
    assert set(found.curves["version"]) == {"champion"}


def test_a_channel_that_the_champion_does_not_know_keeps_its_spend_in_the_champions_plan(panel):
    plan = kept_plan(panel, None, COLUMNS, 13)
    found = review_budget(
        plan, Voice("challenger", halved, CHANNELS), SD, Voice("champion", believed, ("c1",)), 0.3, []
    )
    assert [row["champion_best_spend"] for row in found.record["channels"]] == [100.0, 100.0]


def test_a_delivered_plan_stands_in_for_the_last_weeks(panel):
    planned = kept_plan(panel, None, COLUMNS, 6).weeks.assign(**{"spend.c0": 40.0})
    found = review_budget(
        kept_plan(panel, planned, COLUMNS, 13), Voice("champion", believed, CHANNELS), SD, None, 0.3, []
    )
    assert found.record["source"] == "the 6 planned weeks"
    assert found.record["channels"][0]["spend"] == 40.0


def test_a_suspect_of_an_alarm_is_the_channel_to_test(panel):
    plan, suspects = kept_plan(panel, None, COLUMNS, 13), [{"name": "c1", "family": "channel", "probability": 0.4}]
    found = review_budget(plan, Voice("challenger", halved, CHANNELS), SD, None, 0.3, suspects)
    assert (found.record["experiment"]["channel"], found.record["experiment"]["suspected"]) == ("c1", 0.4)


def test_no_channels_or_no_spend_is_not_applicable_with_the_reason(panel):
    none = review_budget(
        kept_plan(panel, None, {**COLUMNS, "channels": {}}, 13), Voice("champion", believed, ()), SD, None, 0.3, []
    )
    assert none.record == {"status": "not applicable", "why": "the model has no channels"}
    assert set(none.not_applicable) == set(METRICS) and none.values == {}
    idle = kept_plan(panel_of(np.zeros((60, 2))), None, COLUMNS, 13)
    assert (
        review_budget(idle, Voice("champion", believed, CHANNELS), SD, None, 0.3, []).record["why"]
        == "the plan spends nothing"
    )
    assert list(no_budget("why").curves) == CURVES


def test_noise_is_that_of_the_last_week_by_geo_and_heavy_tails_count_by_what_they_tell():
    rows = pd.DataFrame({"week": pd.to_datetime(["2024-01-01", "2024-01-08", "2024-01-08"]), "geo": ["a", "a", "b"]})
    sd = np.array([[9.0, 1.0, 2.0], [9.0, 3.0, 4.0]])
    assert noise_by_geo(Predictive(sd, sd), rows).tolist() == [2.0, 3.0]
    heavy = noise_by_geo(Predictive(sd, sd, np.array([1.0, 1.0])), rows)
    assert heavy == pytest.approx(np.sqrt(2.0) * np.array([2.0, 3.0]))
