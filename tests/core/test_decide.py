"""The decision table: order, what was seen, missing evidence, pending questions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evermix.config import Condition, Rule
from evermix.core.decide import Pending, Refused, judge_evidence, request_id
from evermix.records import RuleOutcome

A, B, C = "surprise.max_abs_z", "restatement.target_sd", "structure.spec_changed"
KEEP = {A: 0.0, B: 0.0, C: False}


def rule(name, evidence, decision, op=">=", value=1.0):
    return Rule(name=name, evidence=evidence, op=op, value=value, decision=decision, severity="info", why=f"why {name}")


RULES = [
    rule("alpha", A, "review"),
    rule("beta", B, "refit"),
    rule("gamma", C, "refit", op="==", value=True),
]


def judge(evidence, pending=None, rules=RULES):
    return judge_evidence(rules, evidence, pending)


def test_no_rule_fires_and_the_week_is_kept():
    found = judge(KEEP)
    assert found.decision == "keep" and [rule.fired for rule in found.rules] == [False] * 3


def test_first_rule_that_fires_decides_and_all_are_recorded():
    found = judge(KEEP | {B: 2.0, C: True})
    assert found.decision == "refit" and found.because == ["beta", "gamma"]
    assert [(rule.seen, rule.fired) for rule in found.rules] == [(0.0, False), (2.0, True), (True, True)]
    assert found.reasons[0] == "beta: why beta (restatement.target_sd = 2, limit >= 1)"


def test_order_of_the_table_is_the_order_of_precedence():
    evidence = {A: 2.0, B: 2.0, C: True}
    assert judge(evidence).decision == "review"
    assert judge(evidence, rules=RULES[::-1]).decision == "refit"


@pytest.mark.parametrize("missing", [{B: 0.0, C: False}, KEEP | {A: None}, KEEP | {A: math.nan}])
def test_missing_evidence_is_a_review_and_never_a_pass(missing):
    found = judge(missing)
    assert found.decision == "review" and found.reasons == ["evidence surprise.max_abs_z is missing (rule alpha)"]
    assert found.rules[0].seen is None and not found.rules[0].fired


def test_rule_above_the_missing_evidence_decides_first():
    assert judge({A: 0.0, B: 2.0}).decision == "refit"
    first = [rule("none", "structure.has_champion", "first_fit", op="==", value=False), *RULES]
    assert judge({"structure.has_champion": False}, rules=first).decision == "first_fit"


def test_missing_evidence_decides_before_a_later_rule():
    assert judge({B: 2.0, C: False}).decision == "review"


@pytest.mark.parametrize(
    ("op", "seen", "fires"),
    [(">", 1.0, False), (">=", 1.0, True), ("<", 0.0, True), ("<=", 2.0, False), ("==", 1.0, True), ("!=", 1.0, False)],
)
def test_operators_mean_what_they_say(op, seen, fires):
    assert judge({A: seen}, rules=[rule("x", A, "refit", op=op)]).rules[0].fired is fires


def test_pending_question_covers_its_own_rule():
    found = judge(KEEP | {A: 2.0}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "keep" and "2024-01-01" in found.reasons[0] and "alpha" in found.reasons[0]
    assert found.rules[0].fired


def test_other_rule_goes_past_a_pending_question_and_takes_over_what_it_covered():
    found = judge(KEEP | {A: 2.0, B: 2.0}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "refit" and found.because == ["beta", "alpha"]


def test_missing_evidence_is_asked_about_once():
    found = judge({B: 0.0, C: False}, Pending("2024-01-01", frozenset({"alpha"})))
    assert found.decision == "keep" and "still lacks evidence" in found.reasons[0]


def test_pending_question_never_covers_a_quarantine():
    rules = [rule("broken", A, "quarantine")]
    assert judge({A: 1.0}, Pending("2024-01-01", frozenset({"broken"})), rules).decision == "quarantine"


def test_request_id_follows_content_and_files():
    one = request_id({"a": 1, "b": [1]}, {"panel.parquet": b"x"})
    assert one == request_id({"b": [1], "a": 1}, {"panel.parquet": b"x"}) and len(one) == 16
    assert one != request_id({"a": 1, "b": [1]}, {"panel.parquet": b"y"})
    assert one != request_id({"a": 2, "b": [1]}, {"panel.parquet": b"x"})


def test_a_first_fit_that_waits_for_a_person_is_not_fitted_again_each_week():
    first = [rule("none", "structure.has_champion", "first_fit", op="==", value=False), *RULES]
    asked = judge({"structure.has_champion": False}, rules=first)
    assert asked.because == ["none"]
    found = judge({"structure.has_champion": False}, Pending("2026-01-05", frozenset(asked.because)), first)
    assert found.decision == "keep" and found.reasons == ["the question of 2026-01-05 is pending"]


def both(decision="refit", tell=()):
    also = [Condition(evidence=B, op=">", value=2.0)]
    fields = {"evidence": A, "op": ">=", "value": 1.0, "severity": "warning", "why": "both"}
    return Rule(name="both", also=also, decision=decision, tell=list(tell), **fields)


@pytest.mark.parametrize(
    ("a", "b", "fires", "missing"),
    [
        (2.0, 3.0, True, []),
        (2.0, 2.0, False, []),
        (0.0, 3.0, False, []),
        (2.0, None, False, [B]),
        (None, math.nan, False, [A, B]),
        (0.0, None, False, []),
    ],
)
def test_a_rule_of_several_conditions_fires_when_all_hold_and_one_that_fails_settles_it(a, b, fires, missing):
    found = judge({A: a, B: b}, rules=[both()])
    assert (found.rules[0].fired, found.rules[0].missing) == (fires, missing)
    assert found.decision == ("refit" if fires else "review" if missing else "keep")


def test_every_number_that_a_rule_saw_is_recorded_and_said():
    found = judge({A: 2.0, B: 3.0}, rules=[both()])
    assert [(one.evidence, one.seen) for one in found.rules[0].also] == [(B, 3.0)]
    assert found.reasons == ["both: both (surprise.max_abs_z = 2, limit >= 1 and restatement.target_sd = 3, limit > 2)"]


def test_a_rule_that_only_tells_decides_nothing_and_the_next_rule_is_asked():
    told = judge({A: 2.0, B: 3.0}, rules=[both("tell")])
    assert told.decision == "keep" and told.because == [] and told.rules[0].fired
    assert told.reasons[0] == "no rule that decides fired" and told.reasons[1].startswith("told: both: both (")
    after = judge({A: 2.0, B: 3.0, C: True}, rules=[both("tell"), rule("gamma", C, "refit", op="==", value=True)])
    assert after.decision == "refit" and after.because == ["gamma"] and after.reasons[1].startswith("told: both")


def test_missing_evidence_of_a_rule_that_only_tells_is_told_and_asks_nobody():
    found = judge({A: 2.0}, rules=[both("tell")])
    assert found.decision == "keep"
    assert found.reasons[1] == "told: evidence restatement.target_sd is missing (rule both)"


def test_behind_a_quarantine_or_first_fit_no_rule_tells():
    ends = [rule("broken", "quality.faults", "quarantine"), both("tell")]
    assert judge({"quality.faults": 1.0}, rules=ends).reasons == ["broken: why broken (quality.faults = 1, limit >= 1)"]


def test_an_outcome_of_an_older_ledger_says_what_was_missing():
    old = {"name": "x", "evidence": A, "op": ">", "value": 1.0, "seen": None, "fired": False}
    old |= {"decision": "refit", "severity": "info", "why": "because"}
    assert RuleOutcome.model_validate(old).missing == [A]
    assert RuleOutcome.model_validate(old | {"seen": 0.5}).missing == []


D, TIME = "drift.calls", "calendar.weeks_since_fit"


def no(seen, rules=("drift", "old")):
    return Refused("ada", "2026-02-09", frozenset(rules), seen)


DRIFT = rule("drift", D, "refit", op=">", value=0.0)
OLD = rule("old", TIME, "refit", value=52.0)


def test_a_no_silences_a_lasting_state_and_the_reason_says_whose_and_until_when():
    found = judge_evidence([DRIFT], {D: 1.0}, None, no({D: 1.0}))
    assert found.decision == "keep" and found.rules[0].fired and found.because == []
    assert found.reasons == ["ada said no (rule drift still fires); it may ask again after 2026-02-09"]


@pytest.mark.parametrize(
    ("asked", "seen", "now", "asks"),
    [
        (DRIFT, {D: 1.0}, {D: 2.0}, True),
        (DRIFT, {D: 2.0}, {D: 1.0}, False),
        (OLD, {TIME: 52.0}, {TIME: 56.0}, False),
        (OLD, {TIME: 52.0}, {TIME: 79.0}, True),
        (rule("low", TIME, "refit", op="<=", value=40.0), {TIME: 38.0}, {TIME: 20.0}, False),
        (rule("low", TIME, "refit", op="<=", value=40.0), {TIME: 38.0}, {TIME: 17.0}, True),
        (rule("spec", C, "refit", op="==", value=True), {C: True}, {C: True}, False),
        (DRIFT, {D: None}, {D: 1.0}, True),
        (DRIFT, {D: None}, {}, False),
        (DRIFT, {D: 1.0}, {}, True),
    ],
)
def test_a_no_ends_when_the_evidence_is_worse_by_half_of_the_limit(asked, seen, now, asks):
    found = judge_evidence([asked], now, None, no(seen, [asked.name]))
    assert (found.decision != "keep") is asks


@pytest.mark.parametrize("evidence", [A, B, "surprise.cusum"])
def test_a_no_never_silences_the_news_of_a_week_nor_an_alarm(evidence):
    asks = rule("asks", evidence, "review")
    assert judge_evidence([asks], {evidence: 2.0}, None, no({evidence: 2.0}, ["asks"])).decision == "review"


def test_a_rule_that_fires_beside_a_silenced_one_asks_and_its_question_covers_both():
    found = judge_evidence([DRIFT, rule("alpha", A, "review")], {D: 1.0, A: 2.0}, None, no({D: 1.0}))
    assert found.decision == "review" and found.because == ["alpha", "drift"]


def test_a_no_to_another_rule_silences_nothing():
    assert judge_evidence([DRIFT], {D: 1.0}, None, no({D: 1.0}, ["old"])).decision == "refit"


def test_a_rule_that_only_tells_belongs_to_no_question():
    found = judge({A: 2.0, B: 3.0, C: True}, rules=[rule("gamma", C, "refit", op="==", value=True), both("tell")])
    assert found.because == ["gamma"]


UPDATING = [
    *RULES,
    rule("tail", "update.khat", "refit", op=">", value=0.7),
    rule("worn", "update.ess", "refit", op="<", value=400.0),
    rule("new", "update.new_weeks", "update", op=">", value=0.0),
]
FRESH = KEEP | {"update.khat": 0.2, "update.ess": 900.0, "update.new_weeks": 1.0}
ASKED = Pending("2024-01-01", frozenset({"alpha", "gamma", "tail", "worn", "new"}))


def test_new_weeks_are_taken_in_by_an_update_and_nothing_new_keeps():
    assert judge(FRESH, rules=UPDATING).decision == "update"
    assert judge(FRESH | {"update.new_weeks": 0.0}, rules=UPDATING).decision == "keep"


def test_an_update_goes_on_beside_a_pending_review_and_says_so():
    found = judge(FRESH | {A: 2.0}, ASKED, UPDATING)
    assert (found.decision, found.because) == ("update", ["new"])
    assert "pending (rule alpha still fires)" in found.reasons[1]


@pytest.mark.parametrize(
    "doubt", [{"update.khat": 0.9}, {"update.khat": None}, {"update.ess": 12.0}, {"update.ess": math.nan}, {C: True}]
)
def test_no_update_is_published_while_a_question_doubts_the_base(doubt):
    assert judge(FRESH | doubt, ASKED, UPDATING).decision == "keep"
    assert judge(FRESH | doubt, None, UPDATING).decision in ("refit", "review")


def test_a_person_is_asked_once_where_it_is_not_known_whether_weeks_are_new():
    unknown = FRESH | {"update.new_weeks": None}
    assert judge(unknown, None, UPDATING).decision == "review"
    assert judge(unknown, ASKED, UPDATING).decision == "keep"


def test_a_review_does_not_cover_the_update_that_fires_beside_it():
    assert judge(FRESH | {A: 2.0}, None, UPDATING).because == ["alpha"]


SEEN = st.fixed_dictionaries(
    {A: st.none() | st.floats(0, 3), B: st.none() | st.floats(0, 3), C: st.none() | st.booleans()}
)


@given(SEEN, st.integers(0, 3), st.booleans())
def test_a_rule_that_only_tells_changes_no_decision_wherever_it_stands(evidence, place, waits):
    pending = Pending("2024-01-01", frozenset({"alpha"})) if waits else None
    with_teller = [*RULES[:place], both("tell"), *RULES[place:]]
    found, plain = judge(evidence, pending, with_teller), judge(evidence, pending)
    assert (found.decision, found.because) == (plain.decision, plain.because)
    assert found.reasons[0] in (plain.reasons[0], "no rule that decides fired")


@given(SEEN)
def test_a_decision_has_its_cause_first_and_every_cause_fired_or_lacks_its_evidence(evidence):
    found = judge(evidence)
    outcomes = {rule.name: rule for rule in found.rules}
    assert all(outcomes[name].fired or outcomes[name].missing for name in found.because)
    assert (found.decision == "keep") == (found.because == [])
    if found.because:
        first = next(rule.name for rule in found.rules if rule.fired or rule.missing)
        assert found.because[0] == first


def test_a_rule_whose_second_condition_doubts_the_base_holds_an_update_back_too():
    also = [Condition(evidence="update.khat", op=">", value=0.7)]
    guarded = rule("guarded", A, "review").model_copy(update={"also": also})
    evidence = FRESH | {A: 2.0, "update.khat": 0.9}
    asked = Pending("2024-01-01", frozenset({"guarded"}))
    assert judge(evidence, asked, [guarded, UPDATING[-1]]).decision == "keep"
