"""The decision table: order, what was seen, missing evidence, pending questions."""

import math

import pytest

from evermix.config import Rule
from evermix.core.decide import Pending, judge_evidence, request_id

KEEP = {"a": 0.0, "b": 0.0, "c": False}


def rule(name, evidence, decision, op=">=", value=1.0):
    return Rule(name=name, evidence=evidence, op=op, value=value, decision=decision, severity="info", why=f"why {name}")


RULES = [
    rule("alpha", "a", "review"),
    rule("beta", "b", "refit"),
    rule("gamma", "c", "refit", op="==", value=True),
]


def judge(evidence, pending=None, rules=RULES):
    return judge_evidence(rules, evidence, pending)


def test_no_rule_fires_and_the_week_is_kept():
    found = judge(KEEP)
    assert found.decision == "keep" and [rule.fired for rule in found.rules] == [False] * 3


def test_first_rule_that_fires_decides_and_all_are_recorded():
    found = judge(KEEP | {"b": 2.0, "c": True})
    assert found.decision == "refit" and found.covers == ["beta", "gamma"]
    assert [(rule.seen, rule.fired) for rule in found.rules] == [(0.0, False), (2.0, True), (True, True)]
    assert found.reasons[0] == "beta: why beta (b = 2, rule >= 1.0)"


def test_order_of_the_table_is_the_order_of_precedence():
    evidence = {"a": 2.0, "b": 2.0, "c": True}
    assert judge(evidence).decision == "review"
    assert judge(evidence, rules=RULES[::-1]).decision == "refit"


@pytest.mark.parametrize("missing", [{"b": 0.0, "c": False}, KEEP | {"a": None}, KEEP | {"a": math.nan}])
def test_missing_evidence_is_a_review_and_never_a_pass(missing):
    found = judge(missing)
    assert found.decision == "review" and found.reasons == ["evidence a is missing (rule alpha)"]
    assert found.rules[0].seen is None and not found.rules[0].fired


def test_rule_above_the_missing_evidence_decides_first():
    assert judge({"a": 0.0, "b": 2.0}).decision == "refit"
    first = [rule("none", "has", "first_fit", op="==", value=False), *RULES]
    assert judge({"has": False}, rules=first).decision == "first_fit"


def test_missing_evidence_decides_before_a_later_rule():
    assert judge({"b": 2.0, "c": False}).decision == "review"


@pytest.mark.parametrize(
    ("op", "seen", "fires"),
    [(">", 1.0, False), (">=", 1.0, True), ("<", 0.0, True), ("<=", 2.0, False), ("==", 1.0, True), ("!=", 1.0, False)],
)
def test_operators_mean_what_they_say(op, seen, fires):
    assert judge({"a": seen}, rules=[rule("x", "a", "refit", op=op)]).rules[0].fired is fires


def test_pending_question_covers_its_own_rule():
    found = judge(KEEP | {"a": 2.0}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "keep" and "2024-01-01" in found.reasons[0] and "alpha" in found.reasons[0]
    assert found.rules[0].fired


def test_other_rule_goes_past_a_pending_question_and_takes_over_what_it_covered():
    found = judge(KEEP | {"a": 2.0, "b": 2.0}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "refit" and found.covers == ["alpha", "beta"]


def test_missing_evidence_is_asked_about_once():
    found = judge({"b": 0.0, "c": False}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "keep" and "still lacks evidence" in found.reasons[0]


def test_pending_question_never_covers_a_quarantine():
    rules = [rule("broken", "a", "quarantine")]
    assert judge({"a": 1.0}, Pending("2024-01-01", frozenset({"broken"})), rules).decision == "quarantine"


def test_request_id_follows_content_and_files():
    one = request_id({"a": 1, "b": [1]}, {"panel.parquet": b"x"})
    assert one == request_id({"b": [1], "a": 1}, {"panel.parquet": b"x"}) and len(one) == 16
    assert one != request_id({"a": 1, "b": [1]}, {"panel.parquet": b"y"})
    assert one != request_id({"a": 2, "b": [1]}, {"panel.parquet": b"x"})


def test_a_first_fit_that_waits_for_a_person_is_not_fitted_again_each_week():
    first = [rule("none", "has", "first_fit", op="==", value=False), *RULES]
    asked = judge({"has": False}, rules=first)
    assert asked.covers == ["none"]
    found = judge({"has": False}, Pending("2026-01-05", frozenset(asked.covers)), first)
    assert found.decision == "keep" and found.reasons == ["the question of 2026-01-05 is pending"]
