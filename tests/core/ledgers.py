"""Small ledgers for tests: the events that closing a week writes, with a chain that holds."""

from __future__ import annotations

from typing import Any

from evermix.core import ledger
from evermix.core.ledger import Event

CHAMPION = "brand/2026-01-05/0badcafe"
CHALLENGER = "brand/2026-01-12/1badcafe"


def at(as_of: str, day: int = 0) -> str:
    """Return the time at which a week is closed here: the Monday after it, 07:00 UTC, and so many days later."""
    from datetime import date, timedelta

    return f"{date.fromisoformat(as_of) + timedelta(days=7 + day)}T07:00:00+00:00"


def rule(name: str = "outlier_week", severity: str = "warning", fired: bool = True, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "evidence": "surprise.max_abs_z",
        "op": ">=",
        "value": 4.0,
        "seen": 5.5,
        "fired": fired,
        "decision": "review",
        "severity": severity,
        "why": "a week lies far off",
    } | changes


def decision(events: list[Event], as_of: str, name: str, **changes: Any) -> list[Event]:
    fields: dict[str, Any] = {
        "decision": name,
        "reasons": [f"reason of {name}"],
        "evidence": {"surprise.max_abs_z": 5.5, "drift.calls": 0.0, "structure.spec_changed": False, "x.lost": None},
        "rules": [],
        "champion": CHAMPION,
        "snapshot": "0" * 64,
        "reconstructed": False,
        "code": {},
    }
    return ledger.append(events, "decision", as_of, at(as_of), "evermix", **(fields | changes))


def verdict(events: list[Event], as_of: str, name: str, version: str = CHALLENGER) -> list[Event]:
    checks = [
        {"metric": "rhat_max", "seen": 1.04, "low": None, "high": 1.01, "passed": False, "otherwise": name, "why": ""},
        {
            "metric": "ess_bulk_min",
            "seen": 900.0,
            "low": 400.0,
            "high": None,
            "passed": True,
            "otherwise": "",
            "why": "",
        },
    ]
    said = {"version": version, "verdict": name, "reasons": [f"{name}: chains disagree"], "checks": checks}
    return ledger.append(events, "verdict", as_of, at(as_of), "evermix", **said)


def question(events: list[Event], as_of: str, about: str, verdict_name: str, version: str = CHALLENGER) -> list[Event]:
    asked = {
        "version": version,
        "as_of": as_of,
        "decision": about,
        "verdict": verdict_name,
        "promotable": verdict_name == "hold",
        "reasons": [f"reason of {about}"],
        "champion": CHAMPION,
    }
    said = {"state": "pending", "version": version, "question": asked}
    return ledger.append(events, "approval", as_of, at(as_of), "evermix", **said)


def answer(events: list[Event], as_of: str, state: str, by: str = "ada", version: str = CHALLENGER) -> list[Event]:
    return ledger.append(events, "approval", as_of, at(as_of, 2), by, state=state, version=version)


def first_weeks() -> list[Event]:
    """Return a first fit that was promoted, and a quiet week."""
    events = decision([], "2026-01-05", "first_fit", rules=[rule("no_champion", "info", decision="first_fit")])
    events = verdict(events, "2026-01-05", "promote", CHAMPION)
    said = {"version": CHAMPION, "previous_version": None}
    events = ledger.append(events, "promotion", "2026-01-05", at("2026-01-05"), "evermix", **said)
    return decision(events, "2026-01-12", "keep", rules=[rule(fired=False)])
