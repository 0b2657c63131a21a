"""The gate: reject over hold over promote, and nothing missing passes."""

import math

import pytest

from evermix.config import Check
from evermix.core.review import judge_challenger

CHECKS = [
    Check(metric="rhat", low=None, high=1.01, otherwise="reject", at_first_fit="reject", why="chains disagree"),
    Check(metric="skill", low=0.0, high=1.0, otherwise="hold", at_first_fit="note", why="a baseline is as good"),
]
GOOD = {"rhat": 1.0, "skill": 0.5}


def judge(values, decision="refit", reasons=None, checks=CHECKS):
    return judge_challenger("brand", {"id": "a", "decision": decision}, checks, values, reasons or {})


def test_all_checks_passed_promotes():
    found = judge(GOOD)
    assert found.verdict == "promote" and found.reasons == ["all 2 checks passed"]


def test_limits_themselves_pass():
    assert judge({"rhat": 1.01, "skill": 1.0}).verdict == "promote"
    assert judge({"rhat": 1.01, "skill": 0.0}).verdict == "promote"


def test_reject_wins_over_hold_and_is_said_first():
    found = judge({"rhat": 1.2, "skill": 2.0})
    assert found.verdict == "reject" and found.reasons[0].startswith("reject: chains disagree (rhat = 1.2")


def test_hold_when_only_a_holding_check_fails():
    assert judge(GOOD | {"skill": 1.5}).verdict == "hold"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_missing_and_not_finite_never_pass(value):
    assert judge(GOOD | {"rhat": value}).verdict == "reject"
    assert judge(GOOD | {"skill": value}).verdict == "hold"
    assert judge(GOOD | {"rhat": value}).checks[0].seen is None


def test_absent_metric_never_passes():
    assert judge({"skill": 0.5}).verdict == "reject"


def test_not_applicable_passes_with_its_reason():
    found = judge({"rhat": 1.0, "skill": None}, "first_fit", {"skill": "there is no champion"})
    assert found.verdict == "promote" and "there is no champion" in found.checks[1].why


def test_number_that_is_there_is_judged_whatever_is_said_of_it():
    assert judge(GOOD | {"skill": 9.0}, reasons={"skill": "not needed"}).verdict == "hold"


def test_review_is_never_promoted_by_itself_and_can_be_rejected():
    assert judge(GOOD, "review").verdict == "hold" and "person" in judge(GOOD, "review").reasons[0]
    assert judge(GOOD | {"rhat": 2.0}, "review").verdict == "reject"


def test_gate_without_checks_holds():
    assert judge(GOOD, checks=[]).verdict == "hold"


def test_nothing_requested_has_no_verdict():
    assert judge_challenger("brand", {"id": None}, CHECKS, {}, {}).verdict is None


def test_a_first_fit_is_promoted_with_a_note_where_params_say_so():
    found = judge(GOOD | {"skill": 1.5}, "first_fit")
    assert found.verdict == "promote" and found.reasons[0].startswith("note: a baseline is as good (skill = 1.5")
    assert not found.checks[1].passed


def test_a_first_fit_whose_chains_disagree_is_rejected():
    assert judge(GOOD | {"rhat": 1.2}, "first_fit").verdict == "reject"


def test_a_number_that_is_missing_at_a_first_fit_is_more_than_a_note():
    assert judge(GOOD | {"skill": None}, "first_fit").verdict == "hold"
