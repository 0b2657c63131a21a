"""The state of all models and of the platform as metrics: read once, or served to Prometheus."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from evermix.config import Environment, Operations, airflow_url, load_operations
from evermix.core.health import model_numbers, quality_numbers
from evermix.core.overdue import Watch, overdue_alerts
from evermix.core.quality_record import latest_delivery, read_points
from evermix.engines.history import read_branch_file
from evermix.engines.stack import probe
from evermix.engines.telemetry import Exporter, Sample, make_server, render
from evermix.errors import ConfigError
from evermix.stages import notify
from evermix.stages.publish import branch_events
from evermix.stages.quality import record_of
from evermix.stages.snapshots import known_weeks

TIMEOUT_S = 2.0


def read(env: Environment, models: Sequence[str], now: datetime) -> list[Sample]:
    """Return the samples of this moment: every model, then the platform."""
    operations = load_operations(env)
    samples = [Sample("evermix_build_info", 1.0, {"version": version("evermix")})]
    for model in models:
        samples += _model(env, model, operations, now)
    return [*samples, *_platform(env)]


def text(env: Environment, models: Sequence[str]) -> str:
    """Return the samples of this moment in Prometheus's text format."""
    return render(read(env, models, datetime.now(UTC))).decode()


def serve(
    env: Environment, models: Callable[[], Sequence[str]], host: str, port: int, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    models : callable
        Returns the models that params name now, so that a new one needs no restart.
    """
    exporter = Exporter(lambda: read(env, models(), datetime.now(UTC)), say)
    try:
        server = make_server(exporter, host, port)
    except OSError as err:
        raise ConfigError(f"{host}:{port}: cannot be served on ({err.strerror}). Choose --host and --port.") from None
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        say(f"metrics at http://{host}:{server.server_address[1]}/metrics")
        server.serve_forever()


def _model(env: Environment, model: str, operations: Operations, now: datetime) -> list[Sample]:
    events, weeks = branch_events(env, model), known_weeks(env, model)
    pointer = read_branch_file(env, model, f"live/{model}/champion.json")
    champion = json.loads(pointer) if pointer else None
    overdue = overdue_alerts(Watch(model, operations.deadlines, ""), events, weeks, now)
    numbers = model_numbers(events, champion, weeks, [alert.kind for alert in overdue], now)
    waiting = float(notify.undelivered(env, model, operations, events))
    numbers.append(("evermix_model_alerts_undelivered", waiting, {}))
    numbers += quality_numbers(read_points(latest_delivery(record_of(env, model))))
    return [Sample(name, value, {"model": model, **labels}) for name, value, labels in numbers]


def _platform(env: Environment) -> Iterator[Sample]:
    place = env.home
    while not place.exists():
        place = place.parent
    room = shutil.disk_usage(place)
    yield Sample("evermix_home_free_bytes", float(room.free), {})
    yield Sample("evermix_home_size_bytes", float(room.total), {})
    for service, is_up in _services(env):
        yield Sample("evermix_service_up", float(is_up), {"service": service})


def _services(env: Environment) -> Iterator[tuple[str, bool]]:
    """Yield each service that the environment names and whether it is well; one that it does not name is no service."""
    if env.tracking_uri.startswith(("http://", "https://")):
        yield "mlflow", probe(f"{env.tracking_uri.rstrip('/')}/health", TIMEOUT_S) is not None
    if airflow_url():
        health = _json(probe(f"{airflow_url()}/api/v2/monitor/health", TIMEOUT_S))
        yield "airflow_api", health is not None
        for part in ("metadatabase", "scheduler", "dag_processor") if health is not None else ():
            yield f"airflow_{part}", ((health or {}).get(part) or {}).get("status") == "healthy"


def _json(answer: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(answer or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
