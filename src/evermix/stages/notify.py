"""Tell people what the ledger calls for: at least once, and never again where a delivery is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout

from evermix.config import (
    Environment,
    Operations,
    Route,
    airflow_url,
    check_routes,
    has_operations,
    load_operations,
    load_params,
)
from evermix.core import ledger
from evermix.core.alerts import Alert
from evermix.core.outbox import Outbox, Place, place_of, read_outbox
from evermix.engines.history import read_ref, write_ref
from evermix.errors import ConfigError, EvermixError, ServiceError
from evermix.stages.publish import branch_events

Say = Callable[[str], None]
_FILE = "deliveries.jsonl"
_WRITES = 4
_PATIENCE_S = 60.0


def run(
    env: Environment,
    models: Sequence[str],
    say: Say,
    raised: Mapping[str, Sequence[Alert]] | None = None,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Send what is due; return what was ``sent``, what is ``due`` (a dry run) and what ``failed``, and raise nothing.

    ``misnamed`` are rules of params that tell a route which there is not; they stop no alert.

    A place that fails is left for this run, so that its alerts come in order; the others go on.

    Parameters
    ----------
    raised : mapping
        Alerts by model that no ledger event stands for: what is overdue.  They are kept until they are delivered.
    """
    told: dict[str, Any] = {"sent": [], "due": [], "failed": [], "misnamed": []}
    if not has_operations(env):
        return told
    try:
        operations = load_operations(env)
    except EvermixError as err:
        return {**told, "failed": [str(err)]}
    told["misnamed"] += _unknown_routes(env, operations)
    if not operations.routes:
        return told
    for model in models:
        box = _Box(env, model, _places(operations), tuple((raised or {}).get(model, ())))
        try:
            _tell(box, say, dry_run, told)
        except EvermixError as err:
            told["failed"].append(f"{model}: {err}")
    return told


def raise_failures(told: Mapping[str, Any]) -> None:
    """Raise one ServiceError that names every route that failed, or a ConfigError that names those there are not."""
    if told["failed"]:
        raise ServiceError("\n".join(dict.fromkeys([*told["failed"], *told["misnamed"]])))
    if told["misnamed"]:
        raise ConfigError("\n".join(told["misnamed"]))


def _unknown_routes(env: Environment, operations: Operations) -> list[str]:
    """Return what is wrong with the routes that rules name; alerts go out all the same."""
    try:
        check_routes(operations, load_params(env.project / "params.yaml"))
    except EvermixError as err:
        return [str(err)]
    return []


def undelivered(env: Environment, model: str, operations: Operations, events: list[ledger.Event]) -> int:
    """Return how many deliveries of a model's alerts are due, over all places."""
    box = _Box(env, model, _places(operations), ())
    outbox = box.started(read_outbox(box.read()), events)
    return sum(len(box.due(outbox, place, events)) for place in box.places)


@dataclass(frozen=True)
class _Box:
    """One model's outbox: the ref that keeps it, the places of today's routes, and what was raised now."""

    env: Environment
    model: str
    places: Mapping[Place, tuple[Route, str]]
    raised: tuple[Alert, ...]

    @property
    def ref(self) -> str:
        return f"refs/outbox/{self.model}"

    def read(self) -> bytes | None:
        return (read_ref(self.env, self.ref) or {}).get(_FILE)

    def started(self, outbox: Outbox, events: list[ledger.Event]) -> Outbox:
        """Return the outbox with a start for every place, and all that was raised."""
        for place in self.places:
            outbox.start(place, events)
        for alert in self.raised:
            outbox.raised.setdefault(alert.id, alert)
        return outbox

    def due(self, outbox: Outbox, place: Place, events: list[ledger.Event]) -> list[Alert]:
        """Return what a place has not taken yet; what is overdue now is due at a place that began later, too."""
        route, _ = self.places[place]
        known = {a.id: a for a in (*outbox.alerts(place, self.model, events, airflow_url()), *self.raised)}
        return [a for a in outbox.due(place, known.values()) if self._takes(outbox, route, a)]

    def _takes(self, outbox: Outbox, route: Route, alert: Alert) -> bool:
        """Return whether an alert goes this way; one whose own routes are all gone goes by severity, not astray."""
        names = {one.name for one, _ in self.places.values()}
        is_astray = not names & set(alert.routes) and not outbox.is_delivered_anywhere(alert.id)
        by_severity = alert.by_severity or is_astray
        return route.name in alert.routes or (by_severity and route.takes(self.model, alert.severity))

    def change(self, change: Callable[[Outbox], Any], message: str) -> Outbox:
        """Read, change and write the outbox, again from the start when another worker was faster."""
        tries = 0
        while True:
            before = self.read()
            outbox = read_outbox(before)
            change(outbox)
            after = outbox.to_lines()
            if after == before:
                return outbox
            try:
                write_ref(self.env, self.ref, {_FILE: after}, message)
            except ServiceError:
                tries += 1
                if tries == _WRITES:
                    raise
            else:
                return outbox


def _tell(box: _Box, say: Say, dry_run: bool, told: dict[str, Any]) -> None:
    """Send what is due of one model, and add to ``told`` what came of it."""
    with _alone(box.env, box.model):
        events = branch_events(box.env, box.model)
        if not events and not box.raised:
            return
        if dry_run:
            outbox = box.started(read_outbox(box.read()), events)
        else:
            outbox = box.change(lambda outbox: box.started(outbox, events), f"outbox {box.model}")
        for place in box.places:
            for alert in box.due(outbox, place, events):
                line = {"alert": alert.id, "route": place.route, "title": alert.title, "severity": alert.severity}
                why = "" if dry_run else _deliver(box, alert, place)
                if why:
                    told["failed"].append(why)
                    break
                told["due" if dry_run else "sent"].append(line)
                if not dry_run:
                    say(f"told {place.route}: {alert.subject()}")


def _deliver(box: _Box, alert: Alert, place: Place) -> str:
    """Send, then record: a crash between the two sends it again with the same id.  Return what failed, or ''."""
    from evermix.engines.alerts import send

    _, url = box.places[place]
    why = ""
    try:
        send(url, f"route {place.route} ({url.split(':')[0]})", alert)
    except EvermixError as err:
        why = str(err)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    state = "failed" if why else "delivered"
    box.change(lambda outbox: outbox.record(alert.id, place, why, at), f"{state} {alert.id} {place.route}")
    return why


@contextmanager
def _alone(env: Environment, model: str) -> Iterator[None]:
    """Hold the outbox on this machine: a closing week and the watchdog do not both send the same alert."""
    path = env.home / "outbox" / f"{model}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        raise ServiceError(f"{path}: another process is sending alerts; it, or the next one, sends them.") from None
    try:
        yield
    finally:
        lock.release()


def _places(operations: Operations) -> dict[Place, tuple[Route, str]]:
    return {place_of(route.name, url): (route, url) for route in operations.routes for url in route.to}
