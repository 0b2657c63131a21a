from evermix.core import ledger
from evermix.core.close import WeekOutcome, answer_question, close_week
from evermix.records import Decision, Verdict

OLD, NEW = "m/2026-01-05/aaaaaaaa", "m/2026-02-02/bbbbbbbb"


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
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    events, promoted = answer_question(closing.events, closing.question, approve=True, by="ada", at="t2")
    assert promoted == NEW
    assert (events[-1]["event"], events[-1]["by"], events[-1]["at"]) == ("promotion", "ada", "t2")
    assert events[-1]["previous_version"] == OLD


def test_a_rejection_promotes_nothing():
    closing = close_week([], OLD, None, outcome(verdict="hold"), 4, "t")
    events, promoted = answer_question(closing.events, closing.question, approve=False, by="ada", at="t2")
    assert promoted is None
    assert events[-1]["state"] == "rejected"
