"""What people have ordered, read off the ledger: waivers, a freeze, a refit.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evermix.core.ledger import Event
from evermix.records import DecisionName

ORDERS = ("waiver", "freeze", "unfreeze", "refit_request")


def orders_for(events: Sequence[Event], as_of: str, snapshot: str) -> dict[str, Any]:
    """Return the orders that hold for a week.

    Parameters
    ----------
    as_of : str
        ISO Monday of the week that is opened.
    snapshot : str
        SHA-256 of its delivery: a waiver holds for the very bytes that a person has seen, and for no others.

    Returns
    -------
    dict
        ``waivers``: names of rules; ``frozen`` and ``refit``: ``{by, reason}`` or None.
    """
    waived = {e["fault"] for e in events if e["event"] == "waiver" and (e["as_of"], e["snapshot"]) == (as_of, snapshot)}
    return {"waivers": sorted(waived), "frozen": frozen_by(events), "refit": refit_asked_by(events)}


def frozen_by(events: Sequence[Event]) -> dict[str, str] | None:
    """Return who froze the model and why, None if it is not frozen."""
    moves = [event for event in events if event["event"] in ("freeze", "unfreeze")]
    return _signed(moves[-1]) if moves and moves[-1]["event"] == "freeze" else None


def obey(decision: DecisionName, reasons: Sequence[str], orders: Mapping[str, Any]) -> tuple[DecisionName, list[str]]:
    """Return the decision after the orders of people.

    A broken delivery stays a quarantine whatever was ordered; a frozen model is watched and neither fitted nor
    asked about; a refit that a person asked for turns ``keep`` into ``refit``.
    """
    frozen, refit = orders.get("frozen"), orders.get("refit")
    if decision == "quarantine":
        return decision, list(reasons)
    if frozen is not None:
        passed_over = [] if decision == "keep" else [f"it would have been {decision}: {'; '.join(reasons)}"]
        return "keep", [f"frozen by {frozen['by']}: {frozen['reason']}", *passed_over]
    if refit is not None and decision == "keep":
        return "refit", [f"asked for by {refit['by']}: {refit['reason']}"]
    return decision, list(reasons)


def refit_asked_by(events: Sequence[Event]) -> dict[str, str] | None:
    """Return who asked for a refit and why; it holds until a fit has come out of it: one verdict, whatever it was."""
    asked = [place for place, event in enumerate(events) if event["event"] == "refit_request"]
    if not asked or any(event["event"] == "verdict" for event in events[asked[-1] :]):
        return None
    return _signed(events[asked[-1]])


def _signed(event: Event) -> dict[str, str]:
    return {"by": str(event["by"]), "reason": str(event["reason"])}
