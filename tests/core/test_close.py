from dataclasses import replace

from evermix.core import ledger
from evermix.core.close import WeekOutcome, answer_question, close_week, hold_question
from evermix.core.overdue import open_question
from evermix.records import Decision, Verdict

OLD, NEW, UPDATED = "m/2026-01-05/aaaaaaaa", "m/2026-02-02/bbbbbbbb", "m/2026-02-02/dddddddd"


def outcome(decision="refit", verdict="promote", challenger=NEW, as_of="2026-02-02"):
    return WeekOutcome(
        decision=Decision(
            model="m",
            as_of=as_of,
            decision=decision,
            reasons=["why"],
            evidence={},
            rules=[],
            request="r",
            requested_now=True,
        ),
        verdict=Verdict(model="m", request="r", verdict=verdict, reasons=[], checks=[]) if verdict else None,
        challenger=challenger if verdict else None,
        snapshot="s",
        reconstructed=False,
        code={},
        evidence_of_version={},
    )


def names(closing):
    return [(event["event"], event.get("state")) for event in closing.events]


def test_a_promoted_challenger_becomes_champion():
    closing = close_week([], OLD, None, outcome(), 4, "t")
    assert closing.promoted == NEW
    assert closing.question is None
    assert names(closing) == [("decision", None), ("verdict", None), ("promotion", None)]
    assert ledger.faults(closing.events) == []


def test_a_held_challenger_is_put_before_a_person_and_the_champion_stays():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    assert closing.promoted is None
    assert closing.asked
    assert closing.question["version"] == NEW
    assert closing.question["promotable"]
    assert closing.events[0]["champion"] == OLD


def test_a_rejected_challenger_asks_nobody():
    closing = close_week([], OLD, None, outcome(verdict="reject"), 4, "t")
    assert (closing.promoted, closing.question, closing.asked) == (None, None, False)


def test_a_review_whose_challenger_was_rejected_still_asks_but_cannot_promote():
    closing = close_week([], OLD, None, outcome(decision="review", verdict="reject"), 4, "t")
    assert closing.asked
    events, promoted = answer_question(closing.events, closing.question, approve=True, by="ada", at="t2")
    assert promoted is None
    assert [event["state"] for event in events if event["event"] == "approval"] == ["pending", "approved"]


def test_a_quiet_week_leaves_a_young_question_pending():
    question = {"version": NEW, "as_of": "2026-01-26", "promotable": True, "champion": OLD}
    closing = close_week([], OLD, question, outcome(decision="keep", verdict=None), 4, "t")
    assert closing.question == question
    assert not closing.asked


def test_an_unanswered_question_expires_after_the_weeks_that_params_say():
    question = {"version": NEW, "as_of": "2026-01-05", "promotable": True, "champion": OLD}
    closing = close_week([], OLD, question, outcome(decision="keep", verdict=None), 4, "t")
    assert closing.question is None
    assert closing.events[-1]["state"] == "expired"


def test_a_newer_challenger_supersedes_the_question():
    question = {"version": "m/2026-01-26/cccccccc", "as_of": "2026-01-26", "promotable": True, "champion": OLD}
    closing = close_week([], OLD, question, outcome(verdict="hold"), 4, "t")
    assert [event["state"] for event in closing.events if event["event"] == "approval"] == ["superseded", "pending"]
    assert closing.question["version"] == NEW


def test_an_approval_promotes_and_names_who_and_when():
    before = ledger.append([], "promotion", "2025-01-06", "t", "evermix", version=OLD, previous_version=None)
    closing = close_week(before, OLD, None, outcome(verdict="hold"), 4, "t")
    events, promoted = answer_question(closing.events, closing.question, approve=True, by="ada", at="t2")
    assert promoted == NEW
    assert (events[-1]["event"], events[-1]["by"], events[-1]["at"]) == ("promotion", "ada", "t2")
    assert events[-1]["previous_version"] == OLD


def test_a_rejection_promotes_nothing():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    events, promoted = answer_question(closing.events, closing.question, approve=False, by="ada", at="t2")
    assert promoted is None
    assert events[-1]["state"] == "rejected"


def test_the_reason_of_an_answer_is_in_the_ledger_and_none_leaves_no_trace():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    events, _ = answer_question(closing.events, closing.question, False, "ada", "t2", "prices went up that week")
    (week,) = ledger.fold_weeks(events, "m")
    assert week["approval"]["reason"] == "prices went up that week"
    assert ledger.faults(events) == []
    plain, _ = answer_question(closing.events, closing.question, False, "ada", "t2")
    assert "reason" not in plain[-1]


def test_another_reason_of_the_same_person_is_kept_and_the_person_counted_once():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    once = hold_question(closing.events, closing.question, "ada", "t2")
    told = hold_question(once, closing.question, "ada", "t3", "waiting for the price list")
    assert told[-1]["reason"] == "waiting for the price list"
    assert hold_question(told, closing.question, "ada", "t4", "waiting for the price list") == told
    (week,) = ledger.fold_weeks(told, "m")
    assert week["approval"]["held_by"] == ["ada"]


def test_a_question_keeps_what_a_person_needs_to_see_of_the_challenger():
    rows = [{"channel": "tv", "version": "challenger", "mean": 2.0, "low": 1.0, "high": 3.0}]
    seen = {"values": {"coverage_90": 0.9, "rhat_max": 1.0}, "roas": rows}
    closing = close_week([], OLD, None, replace(outcome(verdict="hold"), evaluation=seen), 4, "t")
    assert closing.question["roas"] == rows
    assert closing.question["coverage"] == {"90": 0.9}
    assert closing.events[-1]["question"] == closing.question


def test_a_hold_is_signed_once_by_each_person_and_leaves_the_question_open():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    once = hold_question(closing.events, closing.question, "ada", "t2")
    assert (once[-1]["event"], once[-1]["by"], once[-1]["version"]) == ("hold", "ada", NEW)
    assert hold_question(once, closing.question, "ada", "t3") == once
    twice = hold_question(once, closing.question, "bob", "t3")
    assert open_question(twice) is not None
    (week,) = ledger.fold_weeks(twice, "m")
    assert (week["approval"]["state"], week["approval"]["held_by"]) == ("pending", ["ada", "bob"])
    events, promoted = answer_question(twice, closing.question, approve=True, by="ada", at="t4")
    (week,) = ledger.fold_weeks(events, "m")
    assert promoted == NEW and week["approval"]["held_by"] == ["ada", "bob"]
    assert ledger.faults(events) == []


def test_the_causes_of_a_decision_go_into_the_ledger():
    made = outcome(decision="keep", verdict=None)
    made = replace(made, decision=made.decision.model_copy(update={"because": ["input_drift"]}))
    assert close_week([], OLD, None, made, 4, "t").events[0]["because"] == ["input_drift"]


def test_an_update_is_an_event_of_its_own_and_leaves_the_question_as_it_is():
    question = {"version": NEW, "as_of": "2026-01-26", "promotable": True, "champion": OLD, "decision": "review"}
    made = {"parent": OLD, "weights_hash": "w", "khat": 0.2, "ess": 900.0}
    week = replace(outcome(decision="update", verdict=None), update=UPDATED, evidence_of_version=made)
    closing = close_week([], OLD, question, week, 9, "t")
    assert closing.question == question
    assert [event["event"] for event in closing.events] == ["decision", "update"]
    assert closing.events[0]["champion"] == UPDATED
    assert closing.events[1] | made | {"version": UPDATED, "previous_version": OLD} == closing.events[1]
    assert ledger.champion_of(closing.events) == UPDATED


def test_an_approval_after_updates_remembers_the_champion_that_it_replaced():
    made = {"parent": OLD, "weights_hash": "w", "khat": 0.2, "ess": 900.0}
    week = replace(outcome(decision="update", verdict=None), update=UPDATED, evidence_of_version=made)
    question = {"version": NEW, "as_of": "2026-01-26", "promotable": True, "champion": OLD, "decision": "review"}
    events = close_week([], OLD, question, week, 9, "t").events
    answered, _ = answer_question(events, question, approve=True, by="ada", at="t2")
    assert answered[-1]["previous_version"] == UPDATED
