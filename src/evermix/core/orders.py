"""What people have ordered, read off the ledger: waivers, a freeze, a refit.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from evermix.config import FREEZE, PERSON
from evermix.core.ledger import Event, decision_of, last_decided
from evermix.records import DecisionName, RuleOutcome


def orders_for(events: Sequence[Event], as_of: str, snapshot: str, expires_weeks: int) -> dict[str, Any]:
    """Return the orders that hold for a week.

    Parameters
    ----------
    as_of : str
        ISO Monday of the week that is opened.
    snapshot : str
        SHA-256 of its delivery: a waiver holds for the very bytes that a person has seen, and for no others.
    expires_weeks : int
        For how many weeks a person's no to a question holds.

    Returns
    -------
    dict
        ``waivers``: names of rules; ``frozen``, ``refit`` (of a person) and ``upstream`` (of a data team's system,
        named ``upstream``): ``{by, reason}`` or None, a refit with ``plain`` where the champion's amendments are to
        be dropped; ``refused``: `refused_question` or None.
    """
    waived = {e["fault"] for e in events if e["event"] == "waiver" and (e["as_of"], e["snapshot"]) == (as_of, snapshot)}
    refused = refused_question(events, expires_weeks)
    return {
        "waivers": sorted(waived),
        "frozen": frozen_by(events),
        "refit": refit_asked_by(events),
        "upstream": refit_asked_by(events, upstream=True),
        "refused": refused if refused is not None and as_of <= refused["until"] else None,
    }


def request_evidence(orders: Mapping[str, Any]) -> dict[str, bool]:
    """Return the ``request.*`` evidence: who asks for a refit."""
    return {
        "request.person": orders.get("refit") is not None,
        "request.upstream": orders.get("upstream") is not None,
    }


def refused_question(events: Sequence[Event], expires_weeks: int) -> dict[str, Any] | None:
    """Return the last question that a person answered without a change of champion, and what was seen when it was put.

    Returns
    -------
    dict or None
        ``by``; ``as_of`` of the question; ``until``: the last week that it speaks for, ``expires_weeks`` weeks after
        the last one decided before the answer; ``rules``: names; ``seen``: what these rules saw, by evidence.
    """
    answers = [i for i, e in enumerate(events) if e["event"] == "approval" and e["state"] in ("approved", "rejected")]
    if not answers:
        return None
    place = answers[-1]
    answer, known = events[place], list(events[:place])
    asked, last = decision_of(known, answer["as_of"]), last_decided(known)
    promoted = any(e["event"] == "promotion" and e["version"] == answer["version"] for e in events[place:])
    if promoted or asked is None or last is None:
        return None
    rules = [RuleOutcome.model_validate(r) for r in asked["rules"] if r["name"] in asked.get("because", ())]
    return {
        "by": answer["by"],
        "as_of": answer["as_of"],
        "until": (date.fromisoformat(last) + timedelta(weeks=expires_weeks)).isoformat(),
        "rules": sorted(rule.name for rule in rules),
        "seen": {one.evidence: one.seen for rule in rules for one in rule.conditions()},
    }


def frozen_by(events: Sequence[Event]) -> dict[str, str] | None:
    """Return who froze the model and why, None if it is not frozen."""
    moves = [event for event in events if event["event"] in ("freeze", "unfreeze")]
    return _signed(moves[-1]) if moves and moves[-1]["event"] == "freeze" else None


def obey(
    decision: DecisionName, reasons: Sequence[str], orders: Mapping[str, Any]
) -> tuple[DecisionName, list[str], str | None]:
    """Return the decision after the orders of people, and the name of the order that made it, None: the table did.

    A broken delivery stays a quarantine whatever was ordered; a frozen model is watched and neither fitted nor
    asked about; a refit that a person asked for turns ``keep`` or ``update`` into ``refit``.  Who asked for a refit,
    person or upstream, stands among the reasons of every fit, since any fit answers the request.
    """
    frozen, person, upstream = (orders.get(name) for name in ("frozen", "refit", "upstream"))
    if decision == "quarantine":
        return decision, list(reasons), None
    if frozen is not None:
        passed_over = [] if decision == "keep" else [f"it would have been {decision}: {'; '.join(reasons)}"]
        return "keep", [f"frozen by {frozen['by']}: {frozen['reason']}", *passed_over], FREEZE
    asked = [f"{PERSON}: asked for by {person['by']}: {person['reason']}"] if person is not None else []
    if upstream is not None:
        asked.append(f"upstream {upstream['upstream']} asked, by {upstream['by']}: {upstream['reason']}")
    if decision in ("keep", "update"):
        return ("refit", asked, PERSON) if person is not None else (decision, list(reasons), None)
    return decision, [*reasons, *asked], None


def refit_asked_by(events: Sequence[Event], upstream: bool = False) -> dict[str, Any] | None:
    """Return who asked for a refit and why; it holds until a fit has come out of it: one verdict, whatever it was.

    Parameters
    ----------
    upstream : bool
        Of a data team's system, then with its name as ``upstream``, rather than of a person.
    """
    asked = [place for place, e in enumerate(events) if e["event"] == "refit_request" and ("upstream" in e) == upstream]
    if not asked or any(event["event"] == "verdict" for event in events[asked[-1] :]):
        return None
    event = events[asked[-1]]
    told = _signed(event) | ({"plain": True} if event.get("plain") else {})
    return told | ({"upstream": str(event["upstream"])} if upstream else {})


def _signed(event: Event) -> dict[str, str]:
    return {"by": str(event["by"]), "reason": str(event["reason"])}
