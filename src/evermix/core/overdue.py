"""What should have happened by now and did not: a week's data, its decision, its correction, an answer.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from evermix.config import Deadlines
from evermix.core import ledger
from evermix.core.alerts import Alert, alert_id, question_link, week_link
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


@dataclass(frozen=True)
class Watch:
    """What is watched and how: a model, the deadlines, and where people reach Airflow ('' when there is none)."""

    model: str
    deadlines: Deadlines
    airflow_url: str

    def week(self, as_of: str) -> str:
        """Return where a week is to be looked at."""
        return week_link(self.model, as_of, self.airflow_url)


def overdue_alerts(watch: Watch, events: Sequence[Event], snapshots: Sequence[str], now: datetime) -> list[Alert]:
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
    deadlines = watch.deadlines
    data_week, decision_week = week_due(now, deadlines.data_hours), week_due(now, deadlines.decision_hours)
    if delivered < data_week:
        alerts.append(_data_overdue(watch, data_week, delivered))
    # Without a ledger the weeks that count begin with the first delivery.
    if decided < decision_week if decided is not None else min(snapshots) <= decision_week:
        alerts.append(_decision_overdue(watch, decision_week, decided, delivered >= decision_week))
    return [*alerts, *_quarantine_overdue(watch, events, decision_week), *_approval_waiting(watch, events, now)]


def run_overdue(model: str, as_of: str, airflow_url: str) -> Alert:
    """Return the alert of a refresh run that has not ended by its deadline."""
    return Alert(
        **_head(model, as_of, "run_overdue"),
        severity="critical",
        title=f"{model} {as_of}: the week's run is late",
        happened="The run that computes the week has not ended by its deadline.",
        evidence=[],
        action=f"Look at its tasks in Airflow: queued, running or retrying? Then: evermix status --model {model}",
        link=week_link(model, as_of, airflow_url),
    )


def open_question(events: Sequence[Event]) -> Event | None:
    """Return the event that put the question which still waits, None when no question does."""
    asked = [event for event in events if event["event"] == "approval"]
    return asked[-1] if asked and asked[-1]["state"] == "pending" else None


def _data_overdue(watch: Watch, as_of: str, last: str) -> Alert:
    model, hours = watch.model, watch.deadlines.data_hours
    missing = (date.fromisoformat(as_of) - date.fromisoformat(last)).days // 7
    return Alert(
        **_head(model, as_of, "data_overdue"),
        severity="warning",
        title=f"{model} {as_of}: data overdue",
        happened=f"No data of the week {hours:g} hours after its end; the version in use serves on, unchecked.",
        evidence=[f"newest week delivered: {last}", f"weeks missing: {missing}"],
        action=f"Ask whoever delivers the feed. When it is there: evermix week --model {model} --as-of {as_of}",
        link=watch.week(as_of),
    )


def _decision_overdue(watch: Watch, as_of: str, decided: str | None, has_data: bool) -> Alert:
    model, hours = watch.model, watch.deadlines.decision_hours
    why = "its data are there" if has_data else "its data never came"
    action = "See the alert data_overdue: without data nothing can be decided."
    if has_data:
        action = f"The run failed or never started: see Airflow, or run evermix week --model {model} --as-of {as_of}"
    return Alert(
        **_head(model, as_of, "decision_overdue"),
        severity="critical",
        title=f"{model} {as_of}: decision overdue",
        happened=f"No decision {hours:g} hours after the end of the week; {why}.",
        evidence=[f"last week decided: {decided or 'none'}"],
        action=action,
        link=watch.week(as_of),
    )


def _quarantine_overdue(watch: Watch, events: list[Event], due: str) -> list[Alert]:
    model, hours = watch.model, watch.deadlines.decision_hours
    last = ledger.last_decided(events)
    decision = ledger.decision_of(events, last) if last is not None else None
    # A later week closes the quarantined one for good, so only the last week can still be healed.
    if last is None or decision is None or decision["decision"] != "quarantine" or last > due:
        return []
    return [
        Alert(
            **_head(model, last, "quarantine_overdue"),
            severity="critical",
            title=f"{model} {last}: quarantine not healed",
            happened=f"The delivery is still in quarantine {hours:g} hours after the end of the week.",
            evidence=list(decision["reasons"]),
            action=f"Have the feed corrected, then: evermix week --model {model} --as-of {last}",
            link=watch.week(last),
        )
    ]


def _approval_waiting(watch: Watch, events: list[Event], now: datetime) -> list[Alert]:
    model, days = watch.model, watch.deadlines.approval_days
    asked = open_question(events)
    if asked is None or now - datetime.fromisoformat(asked["at"]) < timedelta(days=days):
        return []
    return [
        Alert(
            **_head(model, asked["as_of"], "approval_waiting"),
            severity="warning",
            title=f"{model} {asked['as_of']}: question unanswered",
            happened=f"The question about {asked['version']} has waited for more than {days:g} days.",
            evidence=[f"asked at {asked['at']}", *asked["question"]["reasons"]],
            action=f"Answer it: evermix review --model {model} --answer approve|reject",
            link=question_link(model, str(asked["version"]), watch.airflow_url),
        )
    ]


def _head(model: str, as_of: str, kind: str) -> dict[str, Any]:
    return {"id": alert_id(model, as_of, kind), "kind": kind, "model": model, "as_of": as_of}
