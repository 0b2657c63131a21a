"""Which alerts a ledger calls for, with stable ids and texts.  Pure: the ledger is the truth, so none is lost.

Each alert says what happened, the evidence, what to do and where to look.  Its id is a function of the ledger event
(or of model, kind and week for something that did not happen), so a receiver that has seen an id may drop it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote

from evermix.core.ledger import Event
from evermix.core.outcomes import fired_lines, news_of, routes_of, rules_behind, rules_of
from evermix.records import Record, RuleOutcome

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Alert(Record):
    """One thing that somebody may want to know; ``evidence`` are lines, ``link`` an address or a command.

    ``routes`` are those that rules name, ``by_severity`` false where these alone are meant.
    """

    id: str
    kind: str
    model: str
    as_of: str
    severity: Severity
    title: str
    happened: str
    evidence: list[str]
    action: str
    link: str
    routes: tuple[str, ...] = ()
    by_severity: bool = True

    def subject(self) -> str:
        """Return the one line that a phone shows."""
        return f"[{self.severity}] {self.title} ({self.id})"

    def body(self) -> str:
        """Return the message as plain text."""
        lines = [self.happened, "", *[f"- {line}" for line in self.evidence], *([""] if self.evidence else [])]
        return "\n".join([*lines, f"What to do: {self.action}", f"Look at: {self.link}", f"Alert id: {self.id}"])


# Kind, severity, title, what happened, evidence, action.
_Told = tuple[str, Severity, str, str, list[str], str]

# What happened, and what to do, by the kind of a ledger event that needs no more than its own fields.
_TOLD: dict[str, tuple[Severity, str, str, str]] = {
    "approval_expired": (
        "warning",
        "question expired unanswered",
        "The question about {version} was not answered in time; the version in use stays.",
        "Nothing is broken. To use {version} all the same: evermix promote --model {model} --version {version}",
    ),
    "approval_superseded": (
        "info",
        "question superseded",
        "A newer version took the place of the question about {version}.",
        "Nothing for this one; a newer question, if there is one, comes in an alert of its own.",
    ),
    "approval_approved": ("info", "question answered: approved", "{by} approved {version}.", "Nothing."),
    "approval_rejected": (
        "info",
        "question answered: rejected",
        "{by} rejected {version}; the version in use stays.",
        "Nothing.",
    ),
    "hold": (
        "info",
        "question held",
        "{by} looked at {version} and holds: nothing changes, the question stays open.",
        "Answer it before it expires: evermix review --model {model} --answer approve|reject",
    ),
    "promotion": (
        "info",
        "new version in use",
        "{version} is champion now, by {by}; before: {previous_version}.",
        "Nothing. To go back: evermix rollback --model {model} --reason WHY",
    ),
    "rollback": (
        "warning",
        "rolled back",
        "{by} went back to {version}; before: {previous_version}.",
        "Tell who uses the model's numbers; find out what was wrong before the next refit.",
    ),
    "waiver": (
        "warning",
        "fault waived",
        "{by} waived the fault {fault} of one delivery.",
        "Check that the reason holds; the waiver binds to the bytes of that delivery and to no other.",
    ),
    "freeze": (
        "warning",
        "model frozen",
        "{by} froze the model: it is watched, and neither fitted nor asked about.",
        "Take the freeze back when its reason is gone: evermix unfreeze --model {model} --reason WHY",
    ),
    "unfreeze": ("info", "model unfrozen", "{by} took the freeze back.", "Nothing."),
    "refit_request": ("info", "refit asked for", "{by} asked for a refit with the next week.", "Nothing."),
    "upstream_request": (
        "info",
        "refit asked for",
        "{upstream} asked for a refit, by {by}.",
        "Nothing; a rule decides.",
    ),
}
_DECIDED = ("quarantine", "review", "refit", "first_fit")


def alert_id(model: str, cause: str, kind: str) -> str:
    """Return the first 16 hex digits of the SHA-256 of model, cause (a ledger event's hash, or a week) and kind."""
    text = json.dumps([model, cause, kind], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ledger_alerts(model: str, events: Sequence[Event], airflow_url: str, start: int = 0) -> list[Alert]:
    """Return the alerts that a ledger calls for, in its order.

    A review, and a verdict that leads to a question in the same closing, have no alert of their own: the question's
    carries their reasons and severity, so that one thing to do is one alert.

    Parameters
    ----------
    airflow_url : str
        Where people reach Airflow, '' when there is none: then links are commands.
    start : int
        Number of events at the beginning that call for nothing any more.
    """
    return [alert for place in range(start, len(events)) for alert in _alerts_of(model, events, place, airflow_url)]


def _alerts_of(model: str, events: Sequence[Event], place: int, airflow_url: str) -> Iterator[Alert]:
    event = events[place]
    told = _tell(model, events, place)
    if told is not None:
        has_rules = told[0] in (*_DECIDED, "approval_pending", "verdict_hold", "verdict_reject")
        yield _alert(model, event, told, rules_behind(events, place) if has_rules else [], airflow_url)
    if event["event"] == "decision":
        for rule in news_of(events, place):
            yield _alert(model, event, _tell_rule(model, event, rule), [rule], airflow_url)


def _alert(model: str, event: Event, told: _Told, rules: Sequence[RuleOutcome], airflow_url: str) -> Alert:
    kind, severity, title, happened, evidence, action = told
    routes, by_severity = routes_of(rules)
    return Alert(
        id=alert_id(model, str(event["hash"]), kind),
        kind=kind,
        model=model,
        as_of=event["as_of"],
        severity=severity,
        title=f"{model} {event['as_of']}: {title}",
        happened=happened,
        evidence=evidence,
        action=action,
        link=_link(model, event, kind, airflow_url),
        routes=routes,
        by_severity=by_severity,
    )


def start_of_latest_week(events: Sequence[Event]) -> int:
    """Return how many events lie before the latest decided week: an outbox that is new tells of that week only."""
    weeks = [event["as_of"] for event in events if event["event"] == "decision"]
    return next((i for i, event in enumerate(events) if event["as_of"] == max(weeks)), 0) if weeks else 0


def week_link(model: str, as_of: str, airflow_url: str) -> str:
    """Return where a week is to be looked at: its DAG, or the command that writes its report."""
    if airflow_url:
        return f"{airflow_url}/dags/refresh_{model}"
    return f"evermix report --model {model} --as-of {as_of}"


def question_link(model: str, version: str, airflow_url: str) -> str:
    """Return where a question is answered; the run id is the one that the refresh DAG gives it."""
    if airflow_url:
        run = "question__" + re.sub(r"[^A-Za-z0-9_.~:+-]", "_", version)
        return f"{airflow_url}/dags/approval_{model}/runs/{quote(run, safe='')}"
    return f"evermix review --model {model}"


def _tell(model: str, events: Sequence[Event], place: int) -> _Told | None:
    """Return kind, severity, title, what happened, evidence and action of one event; None: nobody needs to know."""
    event = events[place]
    match event["event"]:
        case "decision":
            return _tell_decision(model, events, place)
        case "verdict":
            return _tell_verdict(events, place)
        case "approval" if event["state"] == "pending":
            return _tell_question(model, events, place)
        case "approval":
            kind = f"approval_{event['state']}"
        case "refit_request" if "upstream" in event:
            kind = "upstream_request"
        case kind:
            pass
    if kind not in _TOLD:
        return None
    severity, title, happened, action = _TOLD[kind]
    fields = {key: "none" if value is None else value for key, value in event.items()} | {"model": model}
    reason = [f"reason: {event['reason']}"] if event.get("reason") else []
    return kind, severity, title, happened.format_map(fields), reason, action.format_map(fields)


def _tell_decision(model: str, events: Sequence[Event], place: int) -> _Told | None:
    event, decision = events[place], str(events[place]["decision"])
    again = [e for e in events[:place] if e["event"] == "decision" and e["as_of"] == event["as_of"]]
    was_broken = bool(again) and again[-1]["decision"] == "quarantine"
    evidence = [*event["reasons"], *fired_lines(event)]
    week = f"--model {model} --as-of {event['as_of']}"
    if decision == "quarantine":
        text = f"The delivery breaks the data contract; {event['champion'] or 'no version'} goes on serving."
        action = f"Read the faults (evermix report {week}), have the feed corrected, then: evermix week {week}"
        return "quarantine", _severity(event, decision, "critical"), "delivery in quarantine", text, evidence, action
    if decision in ("review", "refit", "first_fit"):
        if decision == "review" and _asks(events, place):
            return None
        text = {"review": "The evidence needs a person.", "refit": "The model was fitted again."}.get(
            decision, "The model was fitted for the first time."
        )
        fallback: Severity = "warning" if decision == "review" else "info"
        action = f"evermix report {week}" if decision == "review" else "Nothing; the verdict comes apart if it is bad."
        title = {"review": "review", "refit": "refit", "first_fit": "first fit"}[decision]
        return decision, _severity(event, decision, fallback), title, text, evidence, action
    if was_broken:
        return "healed", "info", "quarantine healed", "A corrected delivery was accepted.", evidence, "Nothing."
    return None


def _tell_rule(model: str, event: Event, rule: RuleOutcome) -> _Told:
    text = f"{rule.why}." if rule.fired else f"Its evidence is missing: {', '.join(rule.missing)}."
    action = f"Nothing was decided by it. Look at the week: evermix report --model {model} --as-of {event['as_of']}"
    kind = f"told_{rule.name}"
    return kind, cast(Severity, rule.severity), rule.name.replace("_", " "), text, [rule.line()], action


def _tell_verdict(events: Sequence[Event], place: int) -> _Told | None:
    event = events[place]
    verdict = event["verdict"]
    if verdict == "promote" or _asks(events, place):
        return None
    checks = [
        f"{c['metric']} = {_number(c['seen'])}, allowed {_number(c['low'], '-inf')} to {_number(c['high'], 'inf')}"
        for c in event["checks"]
        if not c["passed"]
    ]
    text = f"{event['version']} got the verdict {verdict} and is not used; the version in use stays."
    action = "Read the checks; look at priors and at channels that move together (docs/operate.md)."
    return f"verdict_{verdict}", "warning", f"verdict {verdict}", text, [*event["reasons"], *checks], action


def _tell_question(model: str, events: Sequence[Event], place: int) -> _Told:
    event, question = events[place], events[place]["question"]
    decided = [e for e in events[:place] if e["event"] == "decision" and e["as_of"] == event["as_of"]]
    severity = _severity(decided[-1], question["decision"], "warning") if decided else "warning"
    text = (
        f"{question['decision']}, verdict {question['verdict']}: a person is asked about {event['version']}. "
        f"In use until then: {question['champion'] or 'none'}."
    )
    action = f"Look at the evidence and answer: evermix review --model {model} --answer approve|reject"
    # A question is never below a warning: somebody has to do something.
    severity = max(severity, "warning", key=SEVERITIES.index)
    evidence = [*question["reasons"], *(fired_lines(decided[-1]) if decided else [])]
    return "approval_pending", severity, "a person is asked", text, evidence, action


def _asks(events: Sequence[Event], place: int) -> bool:
    """Return whether the closing that wrote an event also put a question: its alert tells of both."""
    as_of, at = events[place]["as_of"], events[place]["at"]
    later = [e for e in events[place + 1 :] if e["as_of"] == as_of and e["at"] == at]
    return any(e["event"] == "approval" and e["state"] == "pending" for e in later)


def _severity(event: Event, decision: str, fallback: Severity) -> Severity:
    """Return the gravest severity among the rules that fired for a decision; params give each rule its own."""
    fired = [cast(Severity, r.severity) for r in rules_of(event) if r.fired and r.decision == decision]
    return max(fired, key=SEVERITIES.index, default=fallback)


def _link(model: str, event: Mapping[str, Any], kind: str, airflow_url: str) -> str:
    if kind.startswith("approval_"):
        return question_link(model, str(event["version"]), airflow_url)
    return week_link(model, str(event["as_of"]), airflow_url)


def _number(value: Any, missing: str = "missing") -> str:
    if value is None:
        return missing
    return f"{value:.4g}" if isinstance(value, float) else str(value)
