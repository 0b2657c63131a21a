"""Bring the embedded stack up: Airflow and MLflow on loopback, with a DAG per model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evermix.config import Environment, Params, load_params
from evermix.engines import airflow_api, stack
from evermix.engines.airflow_api import AirflowClient
from evermix.engines.registry import make_database
from evermix.engines.store import write_json
from evermix.errors import ConfigError, ServiceError

Say = Callable[[str], None]


def up(env: Environment, say: Say, airflow_port: int = 0, mlflow_port: int = 0) -> dict[str, Any]:
    """Start what is not running; return addresses and login once every model has its DAGs.

    Raises
    ------
    ServiceError
        A part did not start; what had started was stopped again.
    ConfigError
        A DAG file does not parse.
    """
    params = load_params(env.project / "params.yaml")
    write_manifest(env, params)
    if not env.tracking_uri:
        # Before the server does: it makes its tables in place, where a kill leaves them half made for good.
        make_database(f"sqlite:///{env.home / 'mlflow.db'}")
    about = stack.start(env, say, airflow_port, mlflow_port)
    _wait_for_dags(client(about), params)
    say(f"Airflow has the DAGs of {', '.join(params.models)}")
    return {key: about[key] for key in ("airflow_url", "mlflow_url", "user", "password", "password_file")}


def client(about: dict[str, Any]) -> AirflowClient:
    """Return a client of the running stack."""
    return AirflowClient(about["airflow_url"], about["user"], about["password"])


def write_manifest(env: Environment, params: Params) -> None:
    """Write ``models.json``, from which the DAG files learn which models there are without loading evermix."""
    models = {
        name: {
            "owner": "evermix",
            "doc": f"A `{model.kind}` model fed by `{model.source.path}`.",
            "approval_expires_weeks": model.gate.approval_expires_weeks,
        }
        for name, model in params.models.items()
    }
    write_json(env.home / "models.json", {"models": models})


def _wait_for_dags(airflow: AirflowClient, params: Params) -> None:
    expected = {"ingest"} | {f"{kind}_{name}" for name in params.models for kind in ("refresh", "approval")}

    def parsed() -> dict[str, Any] | None:
        return {} if expected <= {dag["dag_id"] for dag in airflow.dags()} else None

    try:
        airflow_api.wait(parsed, "the DAGs of all models", timeout_s=90.0)
    except ServiceError:
        # Not before: an error that was mended lingers until the file is parsed again.
        if errors := airflow.import_errors():
            raise ConfigError(f"{errors[0]['filename']}: does not parse. {errors[0]['stack_trace']}") from None
        raise
