"""A model's health as numbers: what is known has one, what is not has none."""

from datetime import datetime

import pytest
from core import ledgers

from evermix.core import ledger
from evermix.core.health import model_numbers

CHAMPION = {"id": ledgers.CHAMPION, "fitted_through": "2025-12-29"}
NOW = datetime.fromisoformat("2026-01-27T07:00:00+00:00")


def numbers(events, champion=None, weeks=(), overdue=()):
    return {
        (name.removeprefix("evermix_model_"), *labels.values()): value
        for name, value, labels in model_numbers(events, champion, weeks, overdue, NOW)
    }


def test_a_running_model_by_hand():
    seen = numbers(ledgers.first_weeks(), CHAMPION, ["2026-01-05", "2026-01-12"], ["data_overdue"])
    # Two weeks decided, 01-05 and 01-12; on Tuesday 01-27 the week 01-19 has ended, too.
    assert seen["weeks_behind",] == 1.0
    assert seen["weeks_since_fit",] == 2.0
    # Promoted on 2026-01-12 at 07:00, that is 15 days ago to the minute.
    assert seen["champion_age_seconds",] == 15 * 86400
    assert seen["last_closed_week_seconds",] == datetime.fromisoformat("2026-01-12T00:00:00+00:00").timestamp()
    assert seen["last_data_week_seconds",] == seen["last_closed_week_seconds",]
    assert (seen["decisions_total", "first_fit"], seen["decisions_total", "refit"]) == (1.0, 0.0)
    assert (seen["verdicts_total", "promote"], seen["verdicts_total", "hold"]) == (1.0, 0.0)
    assert (seen["overdue", "data_overdue"], seen["overdue", "decision_overdue"]) == (1.0, 0.0)
    assert (seen["ledger_events",], seen["ledger_faults",], seen["frozen",]) == (4.0, 0.0, 0.0)


def test_evidence_and_checks_are_numbers_and_what_was_missing_is_counted_and_not_made_up():
    seen = numbers(ledgers.first_weeks())
    assert seen["evidence", "surprise.max_abs_z"] == 5.5
    assert seen["evidence", "structure.spec_changed"] == 0.0
    assert ("evidence", "x.lost") not in seen
    assert seen["evidence_missing",] == 1.0
    assert seen["check_value", "rhat_max"] == 1.04
    assert seen["checks_failed",] == 1.0


def test_rules_of_the_last_decision_say_whether_they_fired():
    rules = [ledgers.rule("outlier_week"), ledgers.rule("level_shift", fired=False)]
    seen = numbers(ledgers.decision([], "2026-01-12", "review", rules=rules))
    assert (seen["rule_fired", "outlier_week"], seen["rule_fired", "level_shift"]) == (1.0, 0.0)


def test_an_open_question_has_an_age_and_an_answered_one_has_none():
    asked = ledgers.question(ledgers.first_weeks(), "2026-01-12", "review", "hold")
    assert numbers(asked)["pending_approval_seconds",] == 8 * 86400
    assert numbers(ledgers.answer(asked, "2026-01-12", "approved"))["pending_approval_seconds",] == 0.0


def test_a_quarantine_shows_until_it_is_healed():
    broken = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    assert numbers(broken)["quarantined",] == 1.0
    assert numbers(ledgers.decision(broken, "2026-01-19", "keep"))["quarantined",] == 0.0


def test_a_freeze_shows_until_it_is_taken_back():
    frozen = ledger.append(ledgers.first_weeks(), "freeze", "2026-01-12", ledgers.at("2026-01-12"), "ada", reason="x")
    assert numbers(frozen)["frozen",] == 1.0
    thawed = ledger.append(frozen, "unfreeze", "2026-01-12", ledgers.at("2026-01-12"), "ada", reason="x")
    assert numbers(thawed)["frozen",] == 0.0


def test_a_changed_event_is_a_fault_of_the_ledger():
    events = ledgers.first_weeks()
    events[1] = {**events[1], "verdict": "reject"}
    assert numbers(events)["ledger_faults",] >= 1.0


@pytest.mark.parametrize("name", ["weeks_behind", "champion_age_seconds", "evidence_missing", "last_data_week_seconds"])
def test_a_model_that_was_never_started_has_no_such_number(name):
    seen = numbers([])
    assert (name,) not in seen
    assert seen["ledger_events",] == 0.0
