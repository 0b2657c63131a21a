"""The health of one model as numbers, from its ledger, champion and deliveries.  Pure: names are the exported ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, get_args

from evermix.core import ledger
from evermix.core.ledger import Event
from evermix.core.orders import frozen_by
from evermix.core.overdue import open_question, week_due
from evermix.core.rule_costs import rule_costs
from evermix.records import DecisionName, QualityPoint, VerdictName

OVERDUE_KINDS = ("data_overdue", "decision_overdue", "quarantine_overdue", "approval_waiting")

Number = tuple[str, float, dict[str, str]]


def model_numbers(
    events: Sequence[Event],
    champion: Mapping[str, Any] | None,
    snapshots: Sequence[str],
    overdue: Sequence[str],
    now: datetime,
) -> list[Number]:
    """Return name, value and labels (without the model) of what is known; what is not known is left out.

    Parameters
    ----------
    champion : mapping or None
        The pointer of the version in use.
    snapshots : sequence of str
        Weeks (ISO Mondays) of which there is a delivery.
    overdue : sequence of str
        Kinds of the alerts that are overdue now.
    """
    events = list(events)
    return [
        *_of_ledger(events),
        *_of_time(events, champion, snapshots, now),
        *_of_last_decision(events),
        *_of_last_verdict(events),
        *[("evermix_model_overdue", float(kind in overdue), {"kind": kind}) for kind in OVERDUE_KINDS],
    ]


def quality_numbers(points: Sequence[QualityPoint]) -> Iterator[Number]:
    """Yield what was measured of the last delivery, and whether it lies outside its limits."""
    for point in points:
        labels = {"measure": point.measure, "column": point.column}
        yield "evermix_model_quality_outside", float(point.outside), labels
        if point.value is not None:
            yield "evermix_model_quality", point.value, labels


def _of_ledger(events: list[Event]) -> Iterator[Number]:
    decisions = Counter(event["decision"] for event in events if event["event"] == "decision")
    verdicts = Counter(event["verdict"] for event in events if event["event"] == "verdict")
    yield "evermix_model_ledger_events", float(len(events)), {}
    yield "evermix_model_ledger_faults", float(len(ledger.faults(events))), {}
    yield "evermix_model_frozen", float(frozen_by(events) is not None), {}
    for decision in get_args(DecisionName):
        yield "evermix_model_decisions_total", float(decisions[decision]), {"decision": decision}
    for verdict in get_args(VerdictName):
        yield "evermix_model_verdicts_total", float(verdicts[verdict]), {"verdict": verdict}


def _of_time(
    events: list[Event], champion: Mapping[str, Any] | None, snapshots: Sequence[str], now: datetime
) -> Iterator[Number]:
    decided, asked = ledger.last_decided(events), open_question(events)
    yield "evermix_model_pending_approval_seconds", _age(asked, now) if asked else 0.0, {}
    if snapshots:
        yield "evermix_model_last_data_week_seconds", _unix(max(snapshots)), {}
    if decided is None:
        return
    ended = week_due(now, 0.0)
    yield "evermix_model_last_closed_week_seconds", _unix(decided), {}
    yield "evermix_model_weeks_behind", float(max(0, _weeks(decided, ended))), {}
    if champion is not None:
        yield "evermix_model_weeks_since_fit", float(_weeks(champion["fitted_through"], decided)), {}
        moves = [e for e in events if e["event"] in ledger.MOVES and e["version"] == champion["id"]]
        if moves:
            yield "evermix_model_champion_age_seconds", _age(moves[-1], now), {}


def _of_last_decision(events: list[Event]) -> Iterator[Number]:
    decided = [event for event in events if event["event"] == "decision"]
    if not decided:
        return
    last = decided[-1]
    yield "evermix_model_quarantined", float(last["decision"] == "quarantine"), {}
    yield "evermix_model_evidence_missing", float(sum(value is None for value in last["evidence"].values())), {}
    for name, value in last["evidence"].items():
        if value is not None:
            yield "evermix_model_evidence", float(value), {"evidence": name}
    for rule in last["rules"]:
        yield "evermix_model_rule_fired", float(rule["fired"]), {"rule": rule["name"]}
    for cost in rule_costs(events):
        if cost.fits_per_year is not None:
            yield "evermix_model_rule_fits_per_year", cost.fits_per_year, {"rule": cost.rule}


def _of_last_verdict(events: list[Event]) -> Iterator[Number]:
    verdicts = [event for event in events if event["event"] == "verdict"]
    if not verdicts:
        return
    checks = verdicts[-1]["checks"]
    yield "evermix_model_checks_failed", float(sum(not check["passed"] for check in checks)), {}
    for check in checks:
        if check["seen"] is not None:
            yield "evermix_model_check_value", float(check["seen"]), {"check": check["metric"]}


def _age(event: Event, now: datetime) -> float:
    return max(0.0, (now - datetime.fromisoformat(event["at"])).total_seconds())


def _weeks(first: str, last: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(first)).days // 7


def _unix(monday: str) -> float:
    return datetime.combine(date.fromisoformat(monday), time(), UTC).timestamp()
