"""Which alerts a ledger calls for: one per thing that somebody may have to know, with a stable id."""

import hashlib

import pytest
from core import ledgers

from evermix.core import ledger
from evermix.core.alerts import ledger_alerts, start_of_latest_week
from evermix.core.close import WeekOutcome, answer_question, close_week
from evermix.records import Decision, RuleOutcome, Verdict


def alerts_of(events, url=""):
    return ledger_alerts("brand", events, url)


def last(events, url=""):
    return alerts_of(events, url)[-1]


def test_the_id_is_16_hex_digits_of_model_event_hash_and_kind():
    events = ledgers.decision([], "2026-01-12", "quarantine")
    text = f'["brand","{events[0]["hash"]}","quarantine"]'
    assert last(events).id == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_the_same_event_has_the_same_id_whatever_comes_after_it():
    events = ledgers.decision([], "2026-01-12", "quarantine")
    longer = ledgers.decision(events, "2026-01-12", "keep")
    assert alerts_of(longer)[0].id == last(events).id
    assert len({alert.id for alert in alerts_of(longer)}) == 2


def test_a_quiet_week_alerts_nobody():
    assert alerts_of(ledgers.decision([], "2026-01-12", "keep")) == []


def test_a_quarantine_says_what_happened_the_evidence_what_to_do_and_where_to_look():
    broken = ledgers.rule("broken_contract", "critical", decision="quarantine", evidence="quality.faults", seen=2.0)
    alert = last(ledgers.decision([], "2026-01-12", "quarantine", rules=[broken]))
    body = alert.body()
    assert alert.severity == "critical"
    assert "goes on serving" in body
    assert "rule broken_contract: quality.faults = 2, limit >= 4" in body
    assert "evermix week --model brand --as-of 2026-01-12" in body
    assert "Look at: evermix report --model brand --as-of 2026-01-12" in body
    assert f"Alert id: {alert.id}" in body
    assert alert.subject() == f"[critical] brand 2026-01-12: delivery in quarantine ({alert.id})"


def test_a_corrected_delivery_says_that_the_quarantine_is_over():
    events = ledgers.decision(ledgers.decision([], "2026-01-12", "quarantine"), "2026-01-12", "keep")
    assert [alert.kind for alert in alerts_of(events)] == ["quarantine", "healed"]


@pytest.mark.parametrize("severity", ["info", "warning", "critical"])
def test_a_refit_is_as_grave_as_the_rule_that_asked_for_it(severity):
    rules = [ledgers.rule("input_drift", severity, decision="refit"), ledgers.rule("quiet", "critical", fired=False)]
    assert last(ledgers.decision([], "2026-01-12", "refit", rules=rules)).severity == severity


def test_a_review_that_leads_to_a_question_is_one_alert_that_carries_the_rules_severity():
    events = ledgers.decision([], "2026-01-12", "review", rules=[ledgers.rule(severity="critical")])
    events = ledgers.question(ledgers.verdict(events, "2026-01-12", "hold"), "2026-01-12", "review", "hold")
    (alert,) = alerts_of(events)
    assert (alert.kind, alert.severity) == ("approval_pending", "critical")
    assert "evermix review --model brand --answer approve|reject" in alert.action
    assert "reason of review" in alert.evidence


def test_a_question_is_never_below_a_warning_since_somebody_must_act():
    events = ledgers.decision([], "2026-01-12", "refit", rules=[ledgers.rule("backstop", "info", decision="refit")])
    events = ledgers.question(ledgers.verdict(events, "2026-01-12", "hold"), "2026-01-12", "refit", "hold")
    assert [(a.kind, a.severity) for a in alerts_of(events)] == [("refit", "info"), ("approval_pending", "warning")]


def test_a_review_without_a_question_is_an_alert_of_its_own():
    assert last(ledgers.decision([], "2026-01-12", "review", rules=[ledgers.rule()])).kind == "review"


def test_a_rejected_fit_names_the_checks_that_failed_and_no_others():
    alert = last(ledgers.verdict(ledgers.decision([], "2026-01-12", "refit"), "2026-01-12", "reject"))
    assert (alert.kind, alert.severity) == ("verdict_reject", "warning")
    assert "rhat_max = 1.04, allowed -inf to 1.01" in alert.evidence
    assert not any("ess_bulk_min" in line for line in alert.evidence)


@pytest.mark.parametrize(
    ("state", "severity"),
    [("approved", "info"), ("rejected", "info"), ("superseded", "info"), ("expired", "warning")],
)
def test_what_became_of_a_question_is_told(state, severity):
    alert = last(ledgers.answer(ledgers.first_weeks(), "2026-01-12", state))
    assert (alert.kind, alert.severity) == (f"approval_{state}", severity)
    assert ledgers.CHALLENGER in alert.happened


ORDERS = {
    "hold": ("info", {"version": "v2"}),
    "promotion": ("info", {"version": "v2", "previous_version": None}),
    "rollback": ("warning", {"version": "v1", "previous_version": "v2", "reason": "odd ROAS"}),
    "waiver": ("warning", {"fault": "spend_jump", "snapshot": "0" * 64, "reason": "a true peak"}),
    "freeze": ("warning", {"reason": "price test"}),
    "unfreeze": ("info", {"reason": "test is over"}),
    "refit_request": ("info", {"reason": "new creative"}),
    "upstream_request": ("info", {"reason": "spend corrected", "upstream": "warehouse", "ref": ""}),
}


@pytest.mark.parametrize("kind", ORDERS)
def test_what_a_person_did_is_told_with_name_and_reason(kind):
    severity, fields = ORDERS[kind]
    event = "refit_request" if kind == "upstream_request" else kind
    alert = last(ledger.append(ledgers.first_weeks(), event, "2026-01-12", ledgers.at("2026-01-12"), "ada", **fields))
    assert (alert.kind, alert.severity) == (kind, severity)
    assert "ada" in alert.happened
    assert alert.evidence == ([f"reason: {fields['reason']}"] if "reason" in fields else [])


def test_links_lead_to_airflow_where_there_is_one_and_a_question_to_the_run_that_asks_it():
    events = ledgers.decision([], "2026-01-12", "quarantine")
    assert last(events, "http://airflow:8080").link == "http://airflow:8080/dags/refresh_brand"
    asked = last(ledgers.question(events, "2026-01-12", "review", "hold"), "http://airflow:8080")
    assert asked.link == "http://airflow:8080/dags/approval_brand/runs/question__brand_2026-01-12_1badcafe"
    assert last(ledgers.question(events, "2026-01-12", "review", "hold")).link == "evermix review --model brand"


def teller(seen=2.0, **changes):
    fields = {"evidence": "drift.calls", "op": ">", "value": 0.0, "seen": seen, "fired": bool(seen), "decision": "tell"}
    return ledgers.rule("inputs_moved", **(fields | changes))


def weeks_of(*rules, decision="keep"):
    events = []
    for week, rule in zip(("2026-01-12", "2026-01-19", "2026-01-26", "2026-02-02"), rules, strict=False):
        events = ledgers.decision(events, week, decision, rules=[rule])
    return events


def test_a_rule_that_only_tells_is_an_alert_with_its_severity_its_routes_and_what_it_saw():
    (alert,) = alerts_of(weeks_of(teller(severity="info", tell=["data-team"])))
    assert (alert.kind, alert.severity, alert.routes) == ("told_inputs_moved", "info", ("data-team",))
    assert not alert.by_severity
    assert alert.evidence == ["rule inputs_moved: drift.calls = 2, limit > 0"]
    assert "Nothing was decided by it" in alert.action


def test_a_lasting_condition_is_told_once_and_again_after_a_week_without_it():
    events = weeks_of(teller(), teller(3.0), teller(0.0), teller(1.0))
    assert [alert.as_of for alert in alerts_of(events)] == ["2026-01-12", "2026-02-02"]
    assert len({alert.id for alert in alerts_of(events)}) == 2


def test_a_quarantined_week_neither_tells_nor_makes_a_lasting_condition_news():
    events = ledgers.decision(
        weeks_of(teller()),
        "2026-01-19",
        "quarantine",
        rules=[
            ledgers.rule("broken_contract", "critical", decision="quarantine"),
            teller(None, missing=["drift.calls"]),
        ],
    )
    events = ledgers.decision(events, "2026-01-26", "keep", rules=[teller()])
    assert [alert.kind for alert in alerts_of(events)] == ["told_inputs_moved", "quarantine"]


def test_evidence_that_a_rule_which_only_tells_lacks_is_told():
    (alert,) = alerts_of(weeks_of(teller(None, missing=["drift.calls"])))
    assert alert.happened == "Its evidence is missing: drift.calls."


def test_a_decision_goes_to_the_routes_that_its_rules_name_and_to_all_where_one_names_none():
    named = ledgers.rule("input_drift", decision="refit", tell=["data-team"])
    other = ledgers.rule("backstop", decision="refit", tell=["modelling"])
    silent = ledgers.rule("spec_changed", decision="refit")
    quiet = ledgers.rule("quiet", decision="refit", fired=False, tell=["nobody"])

    def sent(*rules):
        alert = last(ledgers.decision([], "2026-01-12", "refit", rules=list(rules)))
        return alert.routes, alert.by_severity

    assert sent(named, quiet) == (("data-team",), False)
    assert sent(named, other) == (("data-team", "modelling"), False)
    assert sent(named, silent) == (("data-team",), True)
    assert sent(silent) == ((), True)


def test_a_question_and_a_rejected_fit_go_where_their_decision_went():
    rules = [ledgers.rule(tell=["modelling"])]
    events = ledgers.decision([], "2026-01-12", "review", rules=rules)
    asked = ledgers.question(ledgers.verdict(events, "2026-01-12", "hold"), "2026-01-12", "review", "hold")
    assert last(asked).routes == ("modelling",)
    assert last(ledgers.verdict(events, "2026-01-12", "reject")).routes == ("modelling",)
    assert last(ledgers.answer(asked, "2026-01-12", "rejected")).by_severity


def test_events_before_the_start_call_for_nothing():
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    start = start_of_latest_week(events)
    assert [alert.kind for alert in ledger_alerts("brand", events, "", start)] == ["quarantine"]
    assert start == len(events) - 1


def test_the_latest_week_begins_with_its_first_delivery_and_an_empty_ledger_at_nothing():
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    healed = ledgers.decision(events, "2026-01-19", "keep")
    assert start_of_latest_week(healed) == len(events) - 1
    assert start_of_latest_week([]) == 0


def test_an_event_of_a_kind_that_is_not_known_alerts_nobody():
    assert alerts_of(ledger.append([], "note", "2026-01-12", ledgers.at("2026-01-12"), "ada")) == []


def closed(events, as_of, decision_name, verdict_name=None, champion=None, question=None):
    """Close a week as the loop does."""
    fired = RuleOutcome.model_validate(ledgers.rule(decision=decision_name))
    decision = Decision(
        model="brand",
        as_of=as_of,
        decision=decision_name,
        reasons=["why"],
        evidence={},
        rules=[fired],
        request=None,
        requested_now=verdict_name is not None,
    )
    verdict = None
    if verdict_name is not None:
        verdict = Verdict(model="brand", request="1", verdict=verdict_name, reasons=["so"], checks=[])
    outcome = WeekOutcome(
        decision=decision,
        verdict=verdict,
        challenger=f"brand/{as_of}/1badcafe" if verdict else None,
        snapshot="0" * 64,
        reconstructed=False,
        code={},
        evidence_of_version={},
    )
    return close_week(events, champion, question, outcome, 4, ledgers.at(as_of))


def test_what_the_loop_itself_writes_gives_the_alerts_that_are_meant():
    first = closed([], "2026-01-05", "first_fit", "promote")
    quiet = closed(first.events, "2026-01-12", "keep", champion=first.promoted)
    asked = closed(quiet.events, "2026-01-19", "review", "hold", first.promoted)
    rejected = closed(asked.events, "2026-01-26", "refit", "reject", first.promoted, asked.question)
    broken = closed(rejected.events, "2026-02-02", "quarantine", champion=first.promoted, question=rejected.question)
    events, _ = answer_question(broken.events, asked.question, True, "ada", ledgers.at("2026-02-02", 1))
    assert [(alert.kind, alert.as_of) for alert in alerts_of(events)] == [
        ("first_fit", "2026-01-05"),
        ("promotion", "2026-01-05"),
        ("approval_pending", "2026-01-19"),
        ("refit", "2026-01-26"),
        ("verdict_reject", "2026-01-26"),
        ("quarantine", "2026-02-02"),
        ("approval_approved", "2026-01-19"),
        ("promotion", "2026-01-19"),
    ]
