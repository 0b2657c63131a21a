"""Tell people what the ledger calls for: at least once, and never again where a delivery is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout

from evermix.config import Environment, Operations, Route, airflow_url, has_operations, load_operations
from evermix.core.alerts import Alert
from evermix.core.outbox import Outbox, Place, place_of, read_outbox
from evermix.engines.history import read_ref, write_ref
from evermix.errors import EvermixError, ServiceError
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

    A place that fails is left for this run, so that its alerts come in order; the others go on.

    Parameters
    ----------
    raised : mapping
        Alerts by model that no ledger event stands for: what is overdue.  They are kept until they are delivered.
    """
    told: dict[str, Any] = {"sent": [], "due": [], "failed": []}
    if not has_operations(env):
        return told
    try:
        operations = load_operations(env)
    except EvermixError as err:
        return {**told, "failed": [str(err)]}
    if not operations.routes:
        return told
    for model in models:
        try:
            _one_model(env, model, operations, (raised or {}).get(model, ()), dry_run, say, told)
        except EvermixError as err:
            told["failed"].append(f"{model}: {err}")
    return told


def raise_failures(told: Mapping[str, Any]) -> None:
    """Raise one ServiceError that names every route that failed; none did: return."""
    if told["failed"]:
        raise ServiceError("\n".join(dict.fromkeys(told["failed"])))


def undelivered(env: Environment, model: str, operations: Operations, events: list[dict[str, Any]]) -> int:
    """Return how many deliveries of a model's alerts are due, over all places."""
    box = read_outbox((read_ref(env, _ref(model)) or {}).get(_FILE))
    places = _places(operations)
    for place in places:
        box.start(place, events)
    return sum(len(_due(box, place, route, model, events)) for place, (route, _) in places.items())


def _one_model(
    env: Environment,
    model: str,
    operations: Operations,
    raised: Sequence[Alert],
    dry_run: bool,
    say: Say,
    told: dict[str, Any],
) -> None:
    with _alone(env, model):
        events = branch_events(env, model)
        if not events and not raised:
            return
        box = _prepare(env, model, operations, events, raised, dry_run)
        for place, (route, url) in _places(operations).items():
            for alert in _due(box, place, route, model, events, raised):
                line = {"alert": alert.id, "route": route.name, "title": alert.title, "severity": alert.severity}
                if dry_run:
                    told["due"].append(line)
                    continue
                why = _deliver(env, model, alert, place, url)
                if why:
                    told["failed"].append(why)
                    break
                say(f"told {route.name}: {alert.subject()}")
                told["sent"].append(line)


def _prepare(
    env: Environment,
    model: str,
    operations: Operations,
    events: list[dict[str, Any]],
    raised: Sequence[Alert],
    dry_run: bool,
) -> Outbox:
    """Return the outbox with a start for every place and all that was raised, written if that was new."""

    def note(box: Outbox) -> None:
        for place in _places(operations):
            box.start(place, events)
        for alert in raised:
            box.raised.setdefault(alert.id, alert)

    if not dry_run:
        return _change(env, model, note, f"outbox {model}")
    box = read_outbox((read_ref(env, _ref(model)) or {}).get(_FILE))
    note(box)
    return box


def _due(
    box: Outbox,
    place: Place,
    route: Route,
    model: str,
    events: list[dict[str, Any]],
    raised: Sequence[Alert] = (),
) -> list[Alert]:
    """Return what a place has not taken yet; what is overdue now is due at a place that began later, too."""
    known = {a.id: a for a in (*box.alerts(place, model, events, airflow_url()), *raised)}
    return [alert for alert in box.due(place, known.values()) if route.takes(model, alert.severity)]


def _deliver(env: Environment, model: str, alert: Alert, place: Place, url: str) -> str:
    """Send, then record: a crash between the two sends it again with the same id.  Return what failed, or ''."""
    from evermix.engines.alerts import send

    where = f"route {place.route} ({url.split(':')[0]})"
    fields = alert.model_dump(include={"kind", "model", "as_of", "severity", "action", "link"})
    why = ""
    try:
        send(url, where, alert.subject(), alert.body(), alert.severity, {"alert_id": alert.id, **fields})
    except EvermixError as err:
        why = str(err)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    state = "failed" if why else "delivered"
    _change(env, model, lambda box: box.record(alert.id, place, why, at), f"{state} {alert.id} {place.route}")
    return why


def _change(env: Environment, model: str, change: Callable[[Outbox], None], message: str) -> Outbox:
    """Read, change and write the outbox, again from the start when another worker was faster."""
    tries = 0
    while True:
        before = (read_ref(env, _ref(model)) or {}).get(_FILE)
        box = read_outbox(before)
        change(box)
        after = box.to_lines()
        if after == before:
            return box
        try:
            write_ref(env, _ref(model), {_FILE: after}, message)
        except ServiceError:
            tries += 1
            if tries == _WRITES:
                raise
        else:
            return box


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


def _ref(model: str) -> str:
    return f"refs/outbox/{model}"
