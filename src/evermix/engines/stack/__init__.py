"""The embedded stack: Airflow and MLflow as plain processes on this machine, all state in ``EVERMIX_HOME``."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evermix.config import Environment
from evermix.engines.stack import services
from evermix.engines.stack.daemons import Daemon, find, memory_mb, spawn, stop, tail
from evermix.errors import ServiceError, StoreError

Progress = Callable[[str], None]

__all__ = ["describe", "memory_of", "probe", "start", "stop_all"]


def start(
    env: Environment, progress: Progress, airflow_port: int = 0, mlflow_port: int = 0, timeout_s: float = 180.0
) -> dict[str, Any]:
    """Start what is not running and wait until it answers; return what `describe` returns.

    A start that fails stops what it had started and raises with the last lines of the log that matters.

    Raises
    ------
    ServiceError
        A daemon ended or did not answer within `timeout_s`.
    StoreError
        Another ``up`` or ``down`` of this home is at work.
    """
    with _alone(env):
        if all(find(daemon) for daemon in _daemons(env)) and _daemons(env):
            progress("the stack is already up")
            return describe(env)
        stop(_daemons(env))
        settings = services.load_settings(env, airflow_port, mlflow_port)
        running: list[Daemon] = []
        try:
            _start_all(env, settings, progress, running, time.monotonic() + timeout_s)
        except BaseException:
            stop(running)
            _state(env).unlink(missing_ok=True)
            raise
        return describe(env)


def stop_all(env: Environment, progress: Progress) -> list[str]:
    """Stop what `start` started, and nothing else; return the names of what was running."""
    with _alone(env):
        progress("stopping the stack")
        names = stop(_daemons(env))
        _state(env).unlink(missing_ok=True)
        return names


def describe(env: Environment) -> dict[str, Any]:
    """Return addresses, login and processes of the running stack; ``{"up": False}`` when there is none."""
    daemons = _daemons(env)
    if not daemons:
        return {"up": False}
    state = json.loads(_state(env).read_text(encoding="utf-8"))
    passwords = json.loads(services.passwords_file(env).read_text(encoding="utf-8"))
    return {
        "up": all(find(daemon) is not None for daemon in daemons),
        "airflow_url": state["airflow_url"],
        "mlflow_url": state["mlflow_url"],
        "user": services.USER,
        "password": passwords[services.USER],
        "password_file": str(services.passwords_file(env)),
        "processes": {daemon.name: daemon.pid for daemon in daemons},
        "logs": {daemon.name: daemon.log for daemon in daemons},
    }


def memory_of(env: Environment) -> float:
    """Return the memory of the whole stack, running tasks included, in MB (PSS)."""
    return memory_mb(_daemons(env))


def probe(url: str, timeout_s: float = 5.0) -> bytes | None:
    """Return what a service answers; None where it does not, which is an answer too."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _start_all(
    env: Environment, settings: services.Settings, progress: Progress, running: list[Daemon], deadline: float
) -> None:
    for name, command in services.commands(env, settings).items():
        variables = services.variables(env, settings, name)
        if name == "api-server":
            # MLflow wakes up meanwhile.
            _migrate(env, command[0], variables, progress)
        running.append(spawn(name, command, variables, env.home / "logs" / f"{name}.log"))
        # Written after each one, so that `down` finds even half a stack.
        _save(env, settings, running)
    progress("waiting for Airflow and MLflow to answer")
    started = time.monotonic()
    for what, is_well in _checks(env, settings).items():
        _wait(what, is_well, running, deadline)
        progress(f"{what} is up ({time.monotonic() - started:.0f} s)")


def _checks(env: Environment, settings: services.Settings) -> dict[str, Callable[[], bool]]:
    def airflow_part(part: str) -> bool:
        health = probe(f"{settings.airflow_url}/api/v2/monitor/health")
        return health is not None and json.loads(health)[part]["status"] == "healthy"

    checks: dict[str, Callable[[], bool]] = {
        "Airflow's API": lambda: airflow_part("metadatabase"),
        "Airflow's scheduler": lambda: airflow_part("scheduler"),
        "Airflow's DAG processor": lambda: airflow_part("dag_processor"),
    }
    if not env.tracking_uri:
        checks["MLflow"] = lambda: probe(f"{settings.mlflow_url}/health") is not None
    return checks


def _migrate(env: Environment, airflow: str, variables: dict[str, str], progress: Progress) -> None:
    """Bring Airflow's database to this version; once per version, since looking costs as much as doing."""
    done, now = env.home / "airflow" / "migrated", version("apache-airflow-core")
    if done.exists() and done.read_text(encoding="utf-8") == now:
        return
    progress("preparing Airflow's database")
    log = env.home / "logs" / "migrate.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        code = subprocess.run([airflow, "db", "migrate"], env=variables, stdout=out, stderr=out, check=False).returncode
    if code != 0:
        raise ServiceError(f"airflow db migrate: exit code {code}, expected 0.\n{tail(log)}\nThe whole log: {log}")
    done.write_text(now, encoding="utf-8")


def _wait(what: str, is_well: Callable[[], bool], running: list[Daemon], deadline: float) -> None:
    while not is_well():
        for daemon in running:
            if find(daemon) is None:
                raise ServiceError(f"{daemon.name}: ended while starting.\n{tail(Path(daemon.log))}\nLog: {daemon.log}")
        if time.monotonic() > deadline:
            ends = "\n".join(f"--- {daemon.name}\n{tail(Path(daemon.log), 5)}" for daemon in running)
            raise ServiceError(f"{what}: no healthy answer in time.\n{ends}\nRun `evermix up` again, or read the logs.")
        time.sleep(0.3)


def _state(env: Environment) -> Path:
    return env.home / "stack.json"


def _daemons(env: Environment) -> list[Daemon]:
    if not _state(env).exists():
        return []
    return [Daemon(**one) for one in json.loads(_state(env).read_text(encoding="utf-8"))["daemons"]]


def _save(env: Environment, settings: services.Settings, running: list[Daemon]) -> None:
    services.write_private(
        _state(env),
        {
            "airflow_url": settings.airflow_url,
            "mlflow_url": env.tracking_uri or settings.mlflow_url,
            "user": services.USER,
            "daemons": [asdict(daemon) for daemon in running],
        },
    )


@contextmanager
def _alone(env: Environment) -> Iterator[None]:
    env.home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(env.home / ".stack.lock", timeout=0):
            yield
    except Timeout:
        raise StoreError(f"{env.home}: another `evermix up` or `down` is at work here. Wait for it.") from None
