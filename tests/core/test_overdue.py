"""What did not happen: weeks without data or decision, quarantines and questions that nobody looked after."""

from datetime import UTC, datetime

import pytest
from core import ledgers

from evermix.config import Deadlines
from evermix.core.overdue import Watch, overdue_alerts, run_overdue, week_due, week_end

DEADLINES = Deadlines(data_hours=30, decision_hours=54, approval_days=3)


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def watch(model="brand"):
    return Watch(model, DEADLINES, "http://airflow")


def kinds(events, snapshots, now):
    return [(a.kind, a.as_of) for a in overdue_alerts(watch(), events, snapshots, moment(now))]


def test_a_week_ends_on_the_monday_after_it():
    assert week_end("2026-01-05") == moment("2026-01-12T00:00")


@pytest.mark.parametrize(
    ("now", "due"),
    [
        ("2026-01-19T00:00", "2026-01-05"),
        ("2026-01-20T05:59", "2026-01-05"),
        ("2026-01-20T06:00", "2026-01-12"),
        ("2026-01-27T05:59", "2026-01-12"),
    ],
)
def test_a_week_is_due_from_so_many_hours_after_its_end(now, due):
    assert week_due(moment(now), 30.0) == due


def test_a_model_that_was_never_started_is_not_overdue():
    assert kinds([], [], "2030-01-01T00:00") == []


def test_data_are_overdue_from_the_deadline_on_and_not_before():
    events = ledgers.first_weeks()
    assert kinds(events, ["2026-01-12"], "2026-01-27T05:59") == []
    assert kinds(events, ["2026-01-12"], "2026-01-27T06:00") == [("data_overdue", "2026-01-19")]


def test_a_decision_is_overdue_though_its_data_came():
    events = ledgers.first_weeks()
    assert kinds(events, ["2026-01-12", "2026-01-19"], "2026-01-28T05:59") == []
    assert kinds(events, ["2026-01-12", "2026-01-19"], "2026-01-28T06:00") == [("decision_overdue", "2026-01-19")]


def test_a_week_that_never_came_is_overdue_twice_first_its_data_then_its_decision():
    found = kinds(ledgers.first_weeks(), ["2026-01-12"], "2026-01-28T06:00")
    assert found == [("data_overdue", "2026-01-19"), ("decision_overdue", "2026-01-19")]


def test_several_missed_weeks_are_one_alert_that_counts_them():
    alerts = overdue_alerts(watch(), ledgers.first_weeks(), ["2026-01-12"], moment("2026-02-10T12:00"))
    assert (alerts[0].kind, alerts[0].as_of) == ("data_overdue", "2026-02-02")
    assert "weeks missing: 3" in alerts[0].evidence


def test_a_first_week_that_was_delivered_and_never_decided_is_overdue():
    assert kinds([], ["2026-01-12"], "2026-01-20T12:00") == []
    assert kinds([], ["2026-01-12"], "2026-01-21T06:00") == [("decision_overdue", "2026-01-12")]


def test_a_quarantine_is_overdue_until_it_is_healed_or_a_later_week_closes_it():
    broken = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine")
    weeks = ["2026-01-12", "2026-01-19"]
    assert kinds(broken, weeks, "2026-01-28T05:59") == []
    assert kinds(broken, weeks, "2026-01-28T06:00") == [("quarantine_overdue", "2026-01-19")]
    assert kinds(ledgers.decision(broken, "2026-01-19", "keep"), weeks, "2026-01-28T06:00") == []
    later = ledgers.decision(broken, "2026-01-26", "keep")
    assert kinds(later, [*weeks, "2026-01-26"], "2026-02-04T06:00") == []


def test_a_question_waits_too_long_three_days_after_it_was_put_and_not_once_it_is_answered():
    asked = ledgers.question(ledgers.first_weeks(), "2026-01-12", "review", "hold")
    assert kinds(asked, ["2026-01-12"], "2026-01-22T06:59") == []
    assert kinds(asked, ["2026-01-12"], "2026-01-22T07:00") == [("approval_waiting", "2026-01-12")]
    assert kinds(ledgers.answer(asked, "2026-01-12", "rejected"), ["2026-01-12"], "2026-01-22T07:00") == []


def test_the_id_stays_the_same_from_hour_to_hour_and_differs_by_model_week_and_kind():
    events, weeks = ledgers.first_weeks(), ["2026-01-12"]

    def ids(model, now):
        return {a.id for a in overdue_alerts(watch(model), events, weeks, moment(now))}

    assert ids("brand", "2026-01-28T06:00") == ids("brand", "2026-01-30T17:00")
    everything = ids("brand", "2026-01-28T06:00") | ids("demand", "2026-01-28T06:00") | ids("brand", "2026-02-04T06:00")
    assert len(everything) == 6


def test_another_time_zone_is_the_same_moment():
    now = datetime.fromisoformat("2026-01-27T01:00:00-05:00")
    alerts = overdue_alerts(watch(), ledgers.first_weeks(), ["2026-01-12"], now)
    assert [alert.kind for alert in alerts] == ["data_overdue"]


def test_a_late_run_is_critical_and_names_its_week():
    alert = run_overdue("brand", "2026-01-12", "http://airflow:8080")
    assert (alert.kind, alert.as_of, alert.severity) == ("run_overdue", "2026-01-12", "critical")
    assert alert.link == "http://airflow:8080/dags/refresh_brand"
