"""Challengers of a review: named by the evidence, joined to what the champion has, scored alike, one proposed."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stages.world import COLUMNS, SPEC, make_params, version_file, week_of

from evermix.core.challengers import challenge, has_alarm, kept_amendments, list_challengers
from evermix.core.contest import foretell, lead_over, propose
from evermix.records import Decision, RuleOutcome, Score, VersionFile

CHANNELS = ["tv", "search"]
WEEKS = [week_of(i) for i in range(120)]
SINCE = week_of(110)


def alarm(*suspects, week=SINCE):
    named = [{"name": n, "family": f, "probability": p, "size": -0.5} for n, f, p in suspects]
    return {"change_point": {"week": week, "low": week, "high": week}, "suspects": named}


def by_name(found):
    return {one["name"]: one["amendments"] for one in found}


def effect(channel, sd=0.7, since=SINCE):
    return {"channel": channel, "from": since, "sd": sd}


def test_every_part_may_have_changed_then_each_suspect_alone_then_a_moving_effect_and_fewer_weeks():
    found = by_name(list_challengers(alarm(("search", "channel", 0.5), ("level", "level", 0.3)), {}, CHANNELS, WEEKS))
    assert list(found) == ["break_any", "break_search", "break_level", "moving_search", "window"]
    assert found["break_any"] == {"effect_breaks": [effect("search"), effect("tv")], "level_breaks": [SINCE]}
    assert found["break_search"] == {"effect_breaks": [effect("search")]}
    assert found["break_level"] == {"level_breaks": [SINCE]}
    assert found["window"] == {"first_week": week_of(120 - 78)}
    assert [one["from"] for one in found["moving_search"]["effect_breaks"]] == [
        week_of(i) for i in (6, 32, 58, 84, 110)
    ]


def test_a_suspect_with_hardly_any_evidence_has_no_challenger_of_its_own():
    found = by_name(list_challengers(alarm(("level", "level", 0.93), ("tv", "channel", 0.05)), {}, CHANNELS, WEEKS))
    assert "break_tv" not in found and "break_level" in found and "moving_tv" in found


def test_without_channels_a_break_of_the_level_is_all_there_is_and_is_fitted_once():
    found = by_name(list_challengers(alarm(("level", "level", 1.0)), {}, [], WEEKS))
    assert found == {"break_any": {"level_breaks": [SINCE]}, "window": {"first_week": week_of(42)}}


@pytest.mark.parametrize("report", [{"suspects": []}, {"change_point": None, "suspects": []}, alarm(week="2030-01-07")])
def test_without_a_change_point_the_refit_stands_alone(report):
    assert list_challengers(report, {}, CHANNELS, WEEKS) == []


def test_amendments_of_the_champion_are_in_every_challenger():
    old = {"effect_breaks": [effect("tv", since=week_of(60))]}
    found = list_challengers(alarm(("tv", "channel", 0.9)), old, CHANNELS, WEEKS)
    assert all(old["effect_breaks"][0] in one["amendments"]["effect_breaks"] for one in found)
    assert found[0]["why"].startswith(f"another effect of tv and search from {SINCE}; another level from {SINCE}: ")


def champion(**amendments):
    return VersionFile(**version_file(spec=SPEC | {"amendments": amendments}))


def test_a_successor_keeps_what_the_champion_has_but_for_channels_that_are_gone():
    had = {"effect_breaks": [effect("radio"), effect("tv")], "level_breaks": [SINCE]}
    kept = kept_amendments(champion(**had), make_params().columns, SINCE, {})
    assert kept == {"effect_breaks": [effect("tv")], "level_breaks": [SINCE]}
    assert kept_amendments(None, make_params().columns, SINCE, {}) == {}


def test_a_person_can_ask_for_the_plain_spec():
    orders = {"refit": {"by": "ada", "reason": "was a tracking fault", "plain": True}, "upstream": None}
    assert kept_amendments(champion(level_breaks=[SINCE]), make_params().columns, SINCE, orders) == {}


def decision(name, evidence, because=True):
    rule = RuleOutcome(
        name="rule", evidence=evidence, op=">", value=1.0, seen=2.0, fired=True, decision=name, severity="info", why=""
    )
    return Decision(
        model="brand", as_of=SINCE, decision=name, reasons=[], evidence={}, rules=[rule], request=None,
        requested_now=True, because=["rule"] if because else [],
    )  # fmt: skip


def test_only_a_review_that_an_alarm_opened_has_challengers():
    assert has_alarm(decision("review", "alarm.e_detector"))
    assert has_alarm(decision("review", "surprise.cusum"))
    assert not has_alarm(decision("review", "restatement.target_sd"))
    assert not has_alarm(decision("refit", "alarm.e_detector"))
    assert not has_alarm(decision("review", "alarm.e_detector", because=False))


def test_the_request_brings_the_champions_scores_of_the_held_out_weeks():
    panel = pd.DataFrame({"week": pd.to_datetime(WEEKS), "target": 1.0})
    panel.loc[119, "target"] = np.nan
    names = ("observed", "mean", "low_50", "high_50", "low_90", "high_90", "crps", "pit", "z")
    log = [
        Score(week=week, geo="all", as_of=week, version="v", log_score=float(i), **dict.fromkeys(names, 0.0))
        for i, week in enumerate(WEEKS[100:119])
    ]
    log.append(log[-1].model_copy(update={"horizon": 4}))
    request = {"evaluation": {"holdout_weeks": 13}, "columns": COLUMNS}
    told = challenge(alarm(("tv", "channel", 0.9)), {}, request, panel, log)
    assert [row["week"] for row in told["champion_scores"]] == WEEKS[106:119]
    assert told["champion_scores"][0]["log_score"] == 6.0
    assert [one["name"] for one in told["challengers"]] == ["break_any", "break_tv", "moving_tv", "window"]


def test_scores_one_week_ahead_add_up_to_the_joint_density_and_learn_by_hand():
    # Two draws, three weeks: densities 1/2 and 1/4 in each week.
    density = np.log(np.array([[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]))
    scores = foretell(density, pd.Series([1, 2, 3]))
    # (1/2 + 1/4) / 2; then weights 2:1; then 4:1.
    expected = [0.375, (2 * 0.5 + 0.25) / 3, (4 * 0.5 + 0.25) / 5]
    assert np.exp(scores.weekly.to_numpy()) == pytest.approx(expected)
    assert scores.draws_left == pytest.approx(25 / 17)


def test_scores_one_week_ahead_are_those_of_the_conjugate_update():
    random = np.random.default_rng(3)
    y, theta = np.array([0.5, -0.3, 1.1, 0.2]), random.standard_normal(400_000)
    density = stats.norm.logpdf(y, theta[:, None], 1.0)
    mean, var, expected = 0.0, 1.0, []
    for value in y:
        expected.append(stats.norm.logpdf(value, mean, np.sqrt(var + 1)))
        mean, var = (mean / var + value) / (1 / var + 1), 1 / (1 / var + 1)
    assert foretell(density, pd.Series(range(4))).weekly.to_numpy() == pytest.approx(expected, abs=0.01)


def test_geos_of_a_week_are_foretold_together():
    density = np.log(np.array([[0.5, 0.2], [0.25, 0.4]]))
    assert np.exp(foretell(density, pd.Series([1, 1])).weekly[1]) == pytest.approx((0.1 + 0.1) / 2)


def series(*values):
    return pd.Series(values, index=range(len(values)), dtype=float)


def test_a_lead_is_a_sum_of_differences_with_the_error_of_a_sum():
    lead, error = lead_over(series(1, 2, 3, 9), series(0, 0, 0))
    assert lead == 6.0
    assert error == pytest.approx(np.sqrt(3.0))
    assert np.isnan(lead_over(series(1, 2), series(0, 0))[1])
    assert np.isnan(lead_over(series(), series())[0])


def test_the_one_in_which_every_part_may_have_changed_is_proposed_unless_another_is_better_beyond_doubt():
    base, better, lucky = series(0, 0, 0, 0), series(1.0, 1.2, 1.1, 0.9), series(3.0, -1.0, 2.0, -1.0)
    assert propose({"refit": base, "break_any": base, "window": lucky}, 3.0) == "break_any"
    assert propose({"refit": base, "break_any": base, "window": better}, 3.0) == "window"
    assert propose({"refit": better, "break_any": base}, 3.0) == "refit"


def test_without_a_challenger_that_converged_it_is_the_refit():
    assert propose({"refit": series(0, 0, 0), "window": series(0, 1, -1)}, 3.0) == "refit"
    assert propose({"window": series(9, 9, 9)}, 3.0) == "refit"
    assert propose({}, 3.0) == "refit"
