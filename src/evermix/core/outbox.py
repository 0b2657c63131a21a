"""What was told to whom: the deliveries of one model's alerts, as lines of text.  Pure.

At least once: an alert is due at a place until its delivery is recorded, and never after.  A place is one URL of one
route; its first line says where in the ledger it began, so that a new one is not flooded with the past.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from evermix.core.alerts import Alert, ledger_alerts, start_of_latest_week
from evermix.core.ledger import Event


@dataclass(frozen=True)
class Place:
    """One URL of a route: its name, and 8 hex digits of the SHA-256 of the URL as written, placeholders and all."""

    route: str
    target: str


@dataclass
class Outbox:
    """Starts and deliveries by place, and the alerts that no ledger event stands for."""

    starts: dict[Place, int] = field(default_factory=dict)
    raised: dict[str, Alert] = field(default_factory=dict)
    raised_before: dict[Place, frozenset[str]] = field(default_factory=dict)
    attempts: dict[tuple[str, Place], dict[str, Any]] = field(default_factory=dict)

    def start(self, place: Place, events: Sequence[Event]) -> None:
        """Note where a place begins, once: with the latest week, and with nothing that was raised before."""
        if place not in self.starts:
            self.starts[place] = start_of_latest_week(events)
            self.raised_before[place] = frozenset(self.raised)

    def due(self, place: Place, alerts: Iterable[Alert]) -> list[Alert]:
        """Return those of some alerts whose delivery to a place is not recorded."""
        return [alert for alert in alerts if not self.is_delivered(alert.id, place)]

    def alerts(self, place: Place, model: str, events: Sequence[Event], airflow_url: str) -> list[Alert]:
        """Return all alerts since a place began: those of the ledger, then those that were raised."""
        raised = [a for key, a in self.raised.items() if key not in self.raised_before[place]]
        return [*ledger_alerts(model, events, airflow_url, self.starts[place]), *raised]

    def is_delivered(self, alert: str, place: Place) -> bool:
        """Return whether a place has taken an alert."""
        return self.attempts.get((alert, place), {}).get("state") == "delivered"

    def is_delivered_anywhere(self, alert: str) -> bool:
        """Return whether any place has taken an alert, one that is gone included."""
        return any(one == alert and attempt["state"] == "delivered" for (one, _), attempt in self.attempts.items())

    def record(self, alert: str, place: Place, why: str, at: str) -> None:
        """Note one attempt; ``why`` '' means delivered, which no later failure of another worker takes back."""
        if self.is_delivered(alert, place):
            return
        known = self.attempts.get((alert, place), {"attempts": 0})
        state = "failed" if why else "delivered"
        self.attempts[alert, place] = {"state": state, "at": at, "attempts": known["attempts"] + 1, "why": why}

    def to_lines(self) -> bytes:
        """Return the outbox as JSON lines."""
        lines: list[dict[str, Any]] = [{"line": "raised", **alert.model_dump()} for alert in self.raised.values()]
        for place, events in self.starts.items():
            before = sorted(self.raised_before[place])
            lines.append({"line": "start", **vars(place), "events": events, "raised_before": before})
        for (alert, place), attempt in self.attempts.items():
            lines.append({"line": "delivery", "alert": alert, **vars(place), **attempt})
        return "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode()


def place_of(route: str, url: str) -> Place:
    """Return the place that a route's URL is, as it stands in ``alerts.yaml``."""
    return Place(route, hashlib.sha256(url.encode()).hexdigest()[:8])


def read_outbox(data: bytes | None) -> Outbox:
    """Return the outbox that `Outbox.to_lines` wrote; None is an empty one."""
    box = Outbox()
    for text in (data or b"").decode().splitlines():
        line = json.loads(text)
        kind = line.pop("line")
        if kind == "raised":
            box.raised[line["id"]] = Alert.model_validate(line)
            continue
        place = _taken(line)
        if kind == "start":
            box.starts[place] = line["events"]
            box.raised_before[place] = frozenset(line["raised_before"])
        else:
            box.attempts[line.pop("alert"), place] = line
    return box


def _taken(line: dict[str, Any]) -> Place:
    return Place(line.pop("route"), line.pop("target"))
