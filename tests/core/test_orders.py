"""Orders of people, read off a ledger: who may stop what, and until when an order holds."""

import pytest

from evermix.core import ledger
from evermix.core.changes import masked_mondays
from evermix.core.orders import frozen_by, obey, orders_for

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
    assert orders_for(events, WEEK, "aa")["waivers"] == ["spend_slip", "target_slip"]
    assert orders_for(events, WEEK, "cc")["waivers"] == []


def test_the_last_of_freeze_and_unfreeze_holds():
    frozen = book(("freeze", {"reason": "audit"}))
    assert frozen_by(frozen) == {"by": "ada", "reason": "audit"}
    assert frozen_by(ledger.append(frozen, "unfreeze", WEEK, "t", "ada", reason="done")) is None
    assert frozen_by([]) is None


def test_a_refit_order_holds_until_a_fit_has_its_verdict():
    asked = book(("verdict", {"verdict": "promote"}), ("refit_request", {"reason": "new prior"}))
    assert orders_for(asked, WEEK, "aa")["refit"] == {"by": "ada", "reason": "new prior"}
    kept = ledger.append(asked, "decision", WEEK, "t", "evermix", decision="keep")
    assert orders_for(kept, WEEK, "aa")["refit"] is not None
    assert orders_for(ledger.append(kept, "verdict", WEEK, "t", "evermix"), WEEK, "aa")["refit"] is None


FROZEN = {"frozen": {"by": "ada", "reason": "audit"}, "refit": {"by": "bob", "reason": "why not"}}


@pytest.mark.parametrize("decision", ["keep", "refit", "review", "first_fit"])
def test_a_frozen_model_is_kept_whatever_the_rules_say_and_the_reason_says_what_they_said(decision):
    found, reasons = obey(decision, ["drift"], FROZEN)
    assert found == "keep" and reasons[0] == "frozen by ada: audit"
    assert (decision == "keep") == (len(reasons) == 1)


def test_no_order_makes_a_broken_delivery_pass():
    assert obey("quarantine", ["fault"], FROZEN) == ("quarantine", ["fault"])


def test_a_refit_order_turns_keep_into_refit_and_leaves_a_review_alone():
    orders = {"frozen": None, "refit": {"by": "bob", "reason": "new prior"}}
    assert obey("keep", ["no rule fired"], orders) == ("refit", ["asked for by bob: new prior"])
    assert obey("review", ["outlier"], orders) == ("review", ["outlier"])


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
