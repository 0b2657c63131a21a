"""What the embedded stack consists of: commands, variables, ports and secrets of Airflow and MLflow on one machine."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evermix.config import Environment
from evermix.errors import ConfigError

USER = "admin"
HOST = "127.0.0.1"
# How long SQLite waits for whoever writes. Airflow 3.3.2's API server logs an action by a write in its event loop,
# which stands still until the write is done or refused; if another of its requests holds the lock, that one can only
# end in the same loop. So the API server waits briefly and its clients ask again; the others outwait it.
_API_SERVER_WAIT_S, _OTHERS_WAIT_S = 5, 60


@dataclass(frozen=True)
class Settings:
    """What one home's stack is made with, kept in ``$EVERMIX_HOME/airflow/settings.json`` (private)."""

    airflow_port: int
    mlflow_port: int
    password: str
    jwt_secret: str
    secret_key: str
    fernet_key: str

    @property
    def airflow_url(self) -> str:
        """Where Airflow's UI and API answer."""
        return f"http://{HOST}:{self.airflow_port}"

    @property
    def mlflow_url(self) -> str:
        """Where MLflow answers."""
        return f"http://{HOST}:{self.mlflow_port}"


def load_settings(env: Environment, airflow_port: int = 0, mlflow_port: int = 0) -> Settings:
    """Return the home's settings, made at the first call; ports stay the same while they are free.

    Parameters
    ----------
    airflow_port, mlflow_port : int
        A port to insist on; 0 takes the last one used, or any free one.
    """
    path = env.home / "airflow" / "settings.json"
    old: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    made = {
        "password": secrets.token_urlsafe(12),
        "jwt_secret": secrets.token_urlsafe(48),
        "secret_key": secrets.token_urlsafe(32),
        "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    ports = {
        "airflow_port": choose_port(airflow_port, old.get("airflow_port", 0)),
        "mlflow_port": choose_port(mlflow_port, old.get("mlflow_port", 0)),
    }
    settings = Settings(**(made | old | ports))
    write_private(path, vars(settings))
    # Airflow's simple auth manager reads the login from a file of its own.
    write_private(passwords_file(env), {USER: settings.password})
    return settings


def passwords_file(env: Environment) -> Path:
    """Return the private file that holds Airflow's login."""
    return env.home / "airflow" / "passwords.json"


def choose_port(wanted: int, last: int) -> int:
    """Return the wanted port, or the last one used, or any free one."""
    if wanted and not _is_free(wanted):
        raise ConfigError(f"port {wanted}: is taken on {HOST}. Choose another, or leave it out to get a free one.")
    if wanted or (last and _is_free(last)):
        return wanted or last
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, data: Any) -> None:
    """Write JSON at once or not at all, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=2, sort_keys=True)
    draft.replace(path)


def variables(env: Environment, settings: Settings, daemon: str) -> dict[str, str]:
    """Return the environment of one of `commands`, and so of the tasks that it starts."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "_AIRFLOW"))}
    # Without bytecode every task pays seconds of compiling.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "EVERMIX_HOME": str(env.home),
        "EVERMIX_PROJECT": str(env.project),
        "EVERMIX_TRACKING_URI": env.tracking_uri or settings.mlflow_url,
        "EVERMIX_AIRFLOW_URL": settings.airflow_url,
        "PYTHONUNBUFFERED": "1",
        **_mlflow_variables(),
        **_airflow_variables(env, settings, _API_SERVER_WAIT_S if daemon == "api-server" else _OTHERS_WAIT_S),
    }


def commands(env: Environment, settings: Settings) -> dict[str, list[str]]:
    """Return the command of every daemon by name, in the order in which they start.

    A tracking server that ``EVERMIX_TRACKING_URI`` already names is used as it is.
    """
    folder = Path(sys.executable).parent
    artifacts = str(env.home / "mlartifacts")
    mlflow = [
        *(str(folder / "mlflow"), "server", "--host", HOST, "--port", str(settings.mlflow_port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{env.home / 'mlflow.db'}"),
        # A plain path, not the server's proxy: the same versions load with the server up or down.
        *("--default-artifact-root", artifacts, "--artifacts-destination", artifacts),
    ]
    airflow = str(folder / "airflow")
    return ({} if env.tracking_uri else {"mlflow": mlflow}) | {
        "api-server": [airflow, "api-server"],
        # Task logs are read from disk: one machine needs no log server.
        "scheduler": [airflow, "scheduler", "--skip-serve-logs"],
        "dag-processor": [airflow, "dag-processor"],
    }


def _mlflow_variables() -> Mapping[str, str]:
    return {
        # Job execution costs over a GB and a minute of start-up (measured), and nothing here uses it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _airflow_variables(env: Environment, settings: Settings, sqlite_wait_s: int) -> Mapping[str, str]:
    home = env.home / "airflow"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout={sqlite_wait_s}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(env.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(env.project / "dags" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__FERNET_KEY": settings.fernet_key,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(env)),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(settings.airflow_port),
        "AIRFLOW__API__BASE_URL": settings.airflow_url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": settings.secret_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": settings.jwt_secret,
        # By default a task waits a second between one state and the next.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A stack that was killed is noticed after half a minute instead of five (measured).
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "30",
    }


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: a port that was just given up counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
