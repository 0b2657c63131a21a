"""What should have happened by now and did not: a week's data, its decision, its correction, an answer.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from evermix.config import Deadlines
from evermix.core import ledger
from evermix.core.alerts import Alert, Severity, alert_id, question_link, week_link
from evermix.core.ledger import Event

WEEK = timedelta(weeks=1)


def week_due(now: datetime, hours: float) -> str:
    """Return the latest week, ISO Monday, whose end lies at least so many hours before ``now``."""
    moment = now.astimezone(UTC) - timedelta(hours=hours)
    monday = moment.date() - timedelta(days=moment.weekday())
    return (monday - WEEK).isoformat()


def week_end(as_of: str) -> datetime:
    """Return the end of a week: Monday 00:00 UTC after it."""
    return datetime.combine(date.fromisoformat(as_of) + WEEK, time(), UTC)


def overdue_alerts(
    model: str,
    events: Sequence[Event],
    snapshots: Sequence[str],
    deadlines: Deadlines,
    now: datetime,
    airflow_url: str,
) -> list[Alert]:
    """Return what is overdue for a model, at most one alert per kind: the newest week stands for those before it.

    A model without a ledger and without a snapshot was never started, so nothing of it can be overdue.

    Parameters
    ----------
    snapshots : sequence of str
        Weeks (ISO Mondays) of which there is a delivery.
    now : datetime
        With a time zone; an argument, so that this module knows no clock.
    """
    events = list(events)
    decided = ledger.last_decided(events)
    delivered = max([*snapshots, *([decided] if decided else [])], default=None)
    if delivered is None:
        return []
    alerts = []
    data_week, decision_week = week_due(now, deadlines.data_hours), week_due(now, deadlines.decision_hours)
    if delivered < data_week:
        alerts.append(_data_overdue(model, data_week, delivered, deadlines, airflow_url))
    if decided is None or decided < decision_week:
        # Without a ledger the weeks that count begin with the first delivery.
        is_due = decided is not None or min(snapshots) <= decision_week
        if is_due:
            has_data = decision_week in snapshots or delivered >= decision_week
            alerts.append(_decision_overdue(model, decision_week, decided, has_data, deadlines, airflow_url))
    alerts += _quarantine_overdue(model, events, decision_week, deadlines, airflow_url)
    alerts += _approval_waiting(model, events, deadlines, now, airflow_url)
    return alerts


def run_overdue(model: str, as_of: str, airflow_url: str) -> Alert:
    """Return the alert of a refresh run that has not ended by its deadline."""
    return _alert(
        model,
        as_of,
        "run_overdue",
        "critical",
        "the week's run is late",
        "The run that computes the week has not ended by its deadline.",
        [],
        f"Look at its tasks in Airflow: queued, running or retrying? Then: evermix status --model {model}",
        week_link(model, as_of, airflow_url),
    )


def open_question(events: Sequence[Event]) -> Event | None:
    """Return the event that put the question which still waits, None when no question does."""
    asked = [event for event in events if event["event"] == "approval"]
    return asked[-1] if asked and asked[-1]["state"] == "pending" else None


def _data_overdue(model: str, as_of: str, last: str, deadlines: Deadlines, airflow_url: str) -> Alert:
    missing = (date.fromisoformat(as_of) - date.fromisoformat(last)).days // 7
    return _alert(
        model,
        as_of,
        "data_overdue",
        "warning",
        "data overdue",
        f"No data of the week {deadlines.data_hours:g} hours after its end; the version in use serves on, unchecked.",
        [f"newest week delivered: {last}", f"weeks missing: {missing}"],
        f"Ask whoever delivers the feed. When it is there: evermix week --model {model} --as-of {as_of}",
        week_link(model, as_of, airflow_url),
    )


def _decision_overdue(
    model: str, as_of: str, decided: str | None, has_data: bool, deadlines: Deadlines, airflow_url: str
) -> Alert:
    why = "its data are there" if has_data else "its data never came"
    action = (
        f"The run failed or never started: see its log in Airflow, or run evermix week --model {model} --as-of {as_of}"
        if has_data
        else "See the alert data_overdue: without data nothing can be decided."
    )
    return _alert(
        model,
        as_of,
        "decision_overdue",
        "critical",
        "decision overdue",
        f"No decision {deadlines.decision_hours:g} hours after the end of the week; {why}.",
        [f"last week decided: {decided or 'none'}"],
        action,
        week_link(model, as_of, airflow_url),
    )


def _quarantine_overdue(
    model: str, events: list[Event], due: str, deadlines: Deadlines, airflow_url: str
) -> list[Alert]:
    last = ledger.last_decided(events)
    decision = ledger.decision_of(events, last) if last is not None else None
    # A later week closes the quarantined one for good, so only the last week can still be healed.
    if last is None or decision is None or decision["decision"] != "quarantine" or last > due:
        return []
    return [
        _alert(
            model,
            last,
            "quarantine_overdue",
            "critical",
            "quarantine not healed",
            f"The delivery is still in quarantine {deadlines.decision_hours:g} hours after the end of the week.",
            list(decision["reasons"]),
            f"Have the feed corrected, then: evermix week --model {model} --as-of {last}",
            week_link(model, last, airflow_url),
        )
    ]


def _approval_waiting(
    model: str, events: list[Event], deadlines: Deadlines, now: datetime, airflow_url: str
) -> list[Alert]:
    asked = open_question(events)
    if asked is None or now - datetime.fromisoformat(asked["at"]) < timedelta(days=deadlines.approval_days):
        return []
    return [
        _alert(
            model,
            asked["as_of"],
            "approval_waiting",
            "warning",
            "question unanswered",
            f"The question about {asked['version']} has waited for more than {deadlines.approval_days:g} days.",
            [f"asked at {asked['at']}", *asked["question"]["reasons"]],
            f"Answer it: evermix review --model {model} --answer approve|reject",
            question_link(model, str(asked["version"]), airflow_url),
        )
    ]


def _alert(
    model: str,
    as_of: str,
    kind: str,
    severity: Severity,
    title: str,
    happened: str,
    evidence: list[Any],
    action: str,
    link: str,
) -> Alert:
    return Alert(
        id=alert_id(model, as_of, kind),
        kind=kind,
        model=model,
        as_of=as_of,
        severity=severity,
        title=f"{model} {as_of}: {title}",
        happened=happened,
        evidence=evidence,
        action=action,
        link=link,
    )
