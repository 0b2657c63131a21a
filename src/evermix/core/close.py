"""What closing a week means for ledger, champion and pending question.  Pure: state before in, state after out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from evermix.core import ledger
from evermix.core.ledger import Event
from evermix.core.question import shown_of
from evermix.records import Decision, Verdict


@dataclass(frozen=True)
class WeekOutcome:
    """What is known of a computed week when it is closed.

    Attributes
    ----------
    challenger : str or None
        Id of the version that this week's fit made, None when it made none.
    snapshot : str
        SHA-256 of the snapshot's data.
    evidence_of_version : mapping
        Hashes that the version carries: request, draws, observed data, snapshot; of an update also its weights.
    evaluation : mapping
        What evaluate recorded of the challenger, of which a question keeps what a person needs to see.
    update : str or None
        Id of the version that weighs the champion's draws anew; None: the week is no update.
    """

    decision: Decision
    verdict: Verdict | None
    challenger: str | None
    snapshot: str
    reconstructed: bool
    code: Mapping[str, Any]
    evidence_of_version: Mapping[str, Any]
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    update: str | None = None


@dataclass(frozen=True)
class Closing:
    """The state after: the ledger, who is champion now, and the question that is pending now."""

    events: list[Event]
    promoted: str | None
    question: dict[str, Any] | None
    asked: bool


def close_week(
    events: list[Event],
    champion: str | None,
    question: Mapping[str, Any] | None,
    week: WeekOutcome,
    expires_weeks: int,
    at: str,
) -> Closing:
    """Return the ledger and the state after a week.

    A verdict of ``promote`` makes the challenger champion; ``hold`` asks a person; ``reject`` leaves the champion.
    A new question supersedes the pending one; a pending one older than ``expires_weeks`` expires to hold.  An update
    makes its version champion and leaves the pending question as it is.
    """
    as_of = week.decision.as_of
    promoted = None
    asked = None
    verdict = week.verdict.verdict if week.verdict is not None and week.challenger is not None else None
    if verdict == "promote":
        promoted = week.challenger
    elif verdict == "hold" or (verdict is not None and week.decision.decision == "review"):
        asked = {
            "version": week.challenger,
            "as_of": as_of,
            "decision": week.decision.decision,
            "verdict": verdict,
            "promotable": verdict == "hold",
            "reasons": [*week.decision.reasons, *(week.verdict.reasons if week.verdict else [])],
            "champion": champion,
            **shown_of(week.evaluation),
        }
    events = ledger.append(
        events,
        "decision",
        as_of,
        at,
        "evermix",
        decision=week.decision.decision,
        reasons=week.decision.reasons,
        because=week.decision.because,
        evidence=week.decision.evidence,
        rules=[rule.model_dump() for rule in week.decision.rules],
        champion=promoted or week.update or champion,
        snapshot=week.snapshot,
        reconstructed=week.reconstructed,
        code=dict(week.code),
    )
    if week.update is not None:
        details = week.evidence_of_version
        events = ledger.append(
            events, "update", as_of, at, "evermix", version=week.update, previous_version=champion, **details
        )
    if week.verdict is not None and week.challenger is not None:
        events = ledger.append(
            events,
            "verdict",
            as_of,
            at,
            "evermix",
            version=week.challenger,
            verdict=verdict,
            reasons=week.verdict.reasons,
            checks=[check.model_dump() for check in week.verdict.checks],
            **week.evidence_of_version,
        )
    pending = dict(question) if question else None
    if pending is not None:
        state = _end_of_question(pending, promoted or asked, as_of, expires_weeks)
        if state is not None:
            events = _answer(events, pending, state, at, "evermix")
            pending = None
    if promoted is not None:
        events = ledger.append(events, "promotion", as_of, at, "evermix", version=promoted, previous_version=champion)
    if asked is not None:
        events = ledger.append(
            events, "approval", as_of, at, "evermix", state="pending", version=asked["version"], question=asked
        )
    return Closing(events, promoted, asked or pending, asked is not None)


def answer_question(
    events: list[Event], question: Mapping[str, Any], approve: bool, by: str, at: str, reason: str = ""
) -> tuple[list[Event], str | None]:
    """Return the ledger after a person's answer, and the version to promote (None: the champion stays)."""
    # Not the champion of the question: updates may have moved it since.
    as_of, champion = question["as_of"], ledger.champion_of(events)
    promoted = question["version"] if approve and question["promotable"] else None
    events = _answer(events, question, "approved" if approve else "rejected", at, by, **_why(reason))
    if promoted is not None:
        events = ledger.append(events, "promotion", as_of, at, by, version=promoted, previous_version=champion)
    return events, promoted


def hold_question(events: list[Event], question: Mapping[str, Any], by: str, at: str, reason: str = "") -> list[Event]:
    """Return the ledger after a person's hold, signed, with the question still open; held twice by one is held once."""
    held = {"version": question["version"], **_why(reason)}
    if any(e["event"] == "hold" and e["by"] == by and held.items() <= e.items() for e in events):
        return events
    return ledger.append(events, "hold", question["as_of"], at, by, **held)


def _answer(events: list[Event], question: Mapping[str, Any], state: str, at: str, by: str, **more: str) -> list[Event]:
    return ledger.append(
        events, "approval", question["as_of"], at, by, state=state, version=question["version"], **more
    )


def _why(reason: str) -> dict[str, str]:
    return {"reason": reason} if reason else {}


def _end_of_question(question: Mapping[str, Any], newer: Any, as_of: str, expires_weeks: int) -> str | None:
    if newer:
        return "superseded"
    age = (date.fromisoformat(as_of) - date.fromisoformat(question["as_of"])).days // 7
    return "expired" if age >= expires_weeks else None
