"""The ledger of one model: an append-only, hash-chained list of events.  Pure: text in, text out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

GENESIS = "0" * 64

Event = dict[str, Any]


def append(events: list[Event], kind: str, as_of: str, at: str, by: str, **details: Any) -> list[Event]:
    """Return the ledger with one more event at its end.

    Parameters
    ----------
    events : list of Event
        The ledger so far, oldest first.
    kind : str
        ``decision``, ``update``, ``verdict``, ``approval``, ``hold``, ``promotion``, ``rollback``, or an order of a
        person:
        ``waiver``, ``freeze``, ``unfreeze``, ``refit_request``.
    as_of : str
        Monday of the week that the event belongs to, ISO date.
    at : str
        When it happened, ISO time in UTC; an argument, so that this module knows no clock.
    by : str
        Who did it: ``evermix`` or a person's login.
    """
    body = {
        "seq": len(events),
        "previous": events[-1]["hash"] if events else GENESIS,
        "event": kind,
        "as_of": as_of,
        "at": at,
        "by": by,
        **details,
    }
    return [*events, {**body, "hash": event_hash(body)}]


def event_hash(event: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an event without its own ``hash``, as canonical JSON."""
    body = {key: value for key, value in event.items() if key != "hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def head(events: list[Event]) -> str:
    """Return the hash of the last event, or the genesis value of an empty ledger."""
    return str(events[-1]["hash"]) if events else GENESIS


def to_lines(events: Iterable[Event]) -> str:
    """Return the ledger as JSON lines."""
    return "".join(json.dumps(event, sort_keys=True, allow_nan=False) + "\n" for event in events)


def from_lines(text: str) -> list[Event]:
    """Return the events of a JSON-lines ledger."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def faults(events: list[Event]) -> list[str]:
    """Return what is wrong with the chain, in words; empty when every event follows from the one before."""
    out: list[str] = []
    previous = GENESIS
    for place, event in enumerate(events):
        if event.get("seq") != place:
            out.append(f"event {place}: seq is {event.get('seq')!r}, expected {place}: an event is missing or moved")
        if event.get("previous") != previous:
            out.append(f"event {place}: does not follow the event before it")
        if event.get("hash") != event_hash(event):
            out.append(
                f"event {place} ({event.get('event')} of {event.get('as_of')}): was changed after it was written"
            )
        previous = str(event.get("hash"))
    return out


def last_decided(events: list[Event]) -> str | None:
    """Return the latest week with a decision, ISO Monday, or None."""
    weeks = [event["as_of"] for event in events if event["event"] == "decision"]
    return max(weeks) if weeks else None


def decision_of(events: list[Event], as_of: str) -> Event | None:
    """Return the decision that holds for a week: its last one, since a quarantined week may be healed."""
    found = [event for event in events if event["event"] == "decision" and event["as_of"] == as_of]
    return found[-1] if found else None


# Events that make a version the champion.
MOVES = ("promotion", "rollback", "update")


def champion_of(events: list[Event]) -> str | None:
    """Return the version in use, None before the first."""
    moves = [event["version"] for event in events if event["event"] in MOVES]
    return moves[-1] if moves else None


def quarantine_stands(events: list[Event], as_of: str, snapshot: str) -> bool:
    """Return whether a week is quarantined on these very bytes, and nobody has waived a fault of it since."""
    decided = decision_of(events, as_of)
    if decided is None or decided["decision"] != "quarantine" or decided["snapshot"] != snapshot:
        return False
    later = events[decided["seq"] + 1 :]
    return not any(event["event"] == "waiver" and event["as_of"] == as_of for event in later)


def fold_weeks(events: list[Event], model: str) -> list[dict[str, Any]]:
    """Return one object per decided week, oldest first, with the later events of that week folded in.

    Returns
    -------
    list of dict
        Keys ``model, as_of, decision, reasons, evidence, verdict, approval, version, at`` and
        ``healed`` (a quarantine that a later delivery ended), ``reconstructed``, ``checks``.
    """
    weeks: dict[str, dict[str, Any]] = {}
    for event in events:
        week = weeks.get(event["as_of"])
        if event["event"] == "decision":
            healed = week is not None and week["decision"] == "quarantine"
            weeks[event["as_of"]] = _decided(event, model, healed)
        elif week is not None:
            _fold(week, event)
    return [weeks[key] for key in sorted(weeks)]


def _decided(event: Event, model: str, healed: bool) -> dict[str, Any]:
    return {
        "model": model,
        "as_of": event["as_of"],
        "decision": event["decision"],
        "reasons": event["reasons"],
        "evidence": event["evidence"],
        "verdict": None,
        "approval": None,
        "version": event["champion"],
        "at": event["at"],
        "healed": healed,
        "reconstructed": event["reconstructed"],
        "snapshot": event["snapshot"],
    }


def _fold(week: dict[str, Any], event: Event) -> None:
    match event["event"]:
        case "verdict":
            week["verdict"] = event["verdict"]
            week["verdict_reasons"] = event["reasons"]
            week["challenger"] = event["version"]
        case "approval":
            held = {"held_by": week["approval"]["held_by"]} if "held_by" in (week["approval"] or {}) else {}
            week["approval"] = {
                key: event[key] for key in ("state", "version", "by", "at", "reason") if key in event
            } | held
        case "hold" if week["approval"] is not None:
            week["approval"]["held_by"] = list(dict.fromkeys([*week["approval"].get("held_by", []), event["by"]]))
        case "promotion" | "rollback" | "update":
            week["version"] = event["version"]
