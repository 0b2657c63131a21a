"""Orders of people, read off a ledger: who may stop what, and until when an order holds."""

import pytest
from core import ledgers

from evermix.core import ledger
from evermix.core.changes import masked_mondays
from evermix.core.orders import frozen_by, obey, orders_for, refused_question, request_evidence

WEEK = "2026-01-05"


def book(*events):
    out = []
    for kind, details in events:
        out = ledger.append(out, kind, details.pop("as_of", WEEK), "2026-01-12T06:00:00+00:00", "ada", **details)
    return out


def waiver(fault, snapshot="aa", as_of=WEEK):
    return ("waiver", {"fault": fault, "snapshot": snapshot, "reason": "checked", "as_of": as_of})


def test_a_waiver_holds_for_the_week_and_the_bytes_it_was_given_for():
    events = book(
        waiver("target_slip"), waiver("spend_slip"), waiver("stale", "bb"), waiver("stale", as_of="2026-01-12")
    )
    assert orders_for(events, WEEK, "aa", 4)["waivers"] == ["spend_slip", "target_slip"]
    assert orders_for(events, WEEK, "cc", 4)["waivers"] == []


def test_the_last_of_freeze_and_unfreeze_holds():
    frozen = book(("freeze", {"reason": "audit"}))
    assert frozen_by(frozen) == {"by": "ada", "reason": "audit"}
    assert frozen_by(ledger.append(frozen, "unfreeze", WEEK, "t", "ada", reason="done")) is None
    assert frozen_by([]) is None


def test_a_refit_order_holds_until_a_fit_has_its_verdict():
    asked = book(("verdict", {"verdict": "promote"}), ("refit_request", {"reason": "new prior"}))
    assert orders_for(asked, WEEK, "aa", 4)["refit"] == {"by": "ada", "reason": "new prior"}
    kept = ledger.append(asked, "decision", WEEK, "t", "evermix", decision="keep")
    assert orders_for(kept, WEEK, "aa", 4)["refit"] is not None
    assert orders_for(ledger.append(kept, "verdict", WEEK, "t", "evermix"), WEEK, "aa", 4)["refit"] is None


FROZEN = {"frozen": {"by": "ada", "reason": "audit"}, "refit": {"by": "bob", "reason": "why not"}}


@pytest.mark.parametrize("decision", ["keep", "refit", "review", "first_fit"])
def test_a_frozen_model_is_kept_whatever_the_rules_say_and_the_reason_says_what_they_said(decision):
    found, reasons, order = obey(decision, ["drift"], FROZEN)
    assert (found, order) == ("keep", "freeze") and reasons[0] == "frozen by ada: audit"
    assert (decision == "keep") == (len(reasons) == 1)


def test_no_order_makes_a_broken_delivery_pass():
    assert obey("quarantine", ["fault"], FROZEN) == ("quarantine", ["fault"], None)


@pytest.mark.parametrize("decision", ["keep", "update"])
def test_a_refit_order_makes_a_quiet_week_refit_under_its_own_name(decision):
    orders = {"frozen": None, "refit": {"by": "bob", "reason": "new prior"}}
    assert obey(decision, ["no rule fired"], orders) == ("refit", ["person: asked for by bob: new prior"], "person")


def test_a_fit_that_was_to_come_anyway_says_who_else_asked_for_it():
    upstream = {"by": "airflow", "reason": "spend corrected", "upstream": "warehouse"}
    orders = {"frozen": None, "refit": {"by": "bob", "reason": "new prior"}, "upstream": upstream}
    assert obey("review", ["outlier"], orders) == (
        "review",
        ["outlier", "person: asked for by bob: new prior", "upstream warehouse asked, by airflow: spend corrected"],
        None,
    )


def test_an_upstream_request_is_evidence_until_a_fit_has_its_verdict_and_orders_nothing():
    asked = book(("refit_request", {"reason": "spend corrected", "upstream": "warehouse", "ref": "7"}))
    orders = orders_for(asked, WEEK, "aa", 4)
    assert orders["upstream"] == {"by": "ada", "reason": "spend corrected", "upstream": "warehouse"}
    assert request_evidence(orders) == {"request.person": False, "request.upstream": True}
    assert obey("keep", ["no rule fired"], orders) == ("keep", ["no rule fired"], None)
    done = ledger.append(asked, "verdict", WEEK, "t", "evermix")
    assert request_evidence(orders_for(done, WEEK, "aa", 4)) == {"request.person": False, "request.upstream": False}


def answered(state, *after):
    fired = ledgers.rule("input_drift", evidence="drift.calls", op=">", value=0.0, seen=2.0, decision="refit")
    quiet = ledgers.rule(fired=False)
    events = ledgers.decision([], "2026-01-05", "refit", rules=[quiet, fired], because=["input_drift"])
    events = ledgers.question(ledgers.verdict(events, "2026-01-05", "hold"), "2026-01-05", "refit", "hold")
    events = ledgers.decision(events, "2026-01-12", "keep")
    events = ledgers.answer(events, "2026-01-05", state)
    for kind, details in after:
        events = ledger.append(events, kind, "2026-01-05", "t", "ada", **details)
    return events


def test_a_persons_no_names_its_rules_what_they_saw_and_until_when_it_holds():
    assert refused_question(answered("rejected"), 4) == {
        "by": "ada",
        "as_of": "2026-01-05",
        "until": "2026-02-09",
        "rules": ["input_drift"],
        "seen": {"drift.calls": 2.0},
    }
    assert orders_for(answered("rejected"), "2026-02-09", "aa", 4)["refused"] is not None
    assert orders_for(answered("rejected"), "2026-02-16", "aa", 4)["refused"] is None


def test_an_approval_that_could_promote_nothing_is_a_no_and_one_that_promoted_is_none():
    assert refused_question(answered("approved"), 4)["rules"] == ["input_drift"]
    promoted = {"version": ledgers.CHALLENGER, "previous_version": ledgers.CHAMPION}
    assert refused_question(answered("approved", ("promotion", promoted)), 4) is None


@pytest.mark.parametrize("state", ["expired", "superseded", "pending"])
def test_silence_is_no_answer(state):
    assert refused_question(answered(state), 4) is None


def test_a_quarantine_stands_until_other_bytes_come_or_a_fault_is_waived():
    events = book(("decision", {"decision": "quarantine", "snapshot": "aa"}))
    assert ledger.quarantine_stands(events, WEEK, "aa")
    assert not ledger.quarantine_stands(events, WEEK, "bb")
    assert not ledger.quarantine_stands([*events, *book(waiver("stale"))], WEEK, "aa")
    assert not ledger.quarantine_stands([], WEEK, "aa")


def test_masked_weeks_are_counted_up_to_the_week_that_is_fitted():
    from evermix.config import MaskedWeeks

    spans = [MaskedWeeks(first="2026-01-05", last="2026-01-19", why="outage")]
    assert masked_mondays(spans, "2026-01-12") == ["2026-01-05", "2026-01-12"]
    assert masked_mondays(spans, "2025-12-29") == []
