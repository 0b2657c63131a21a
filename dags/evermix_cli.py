"""What the DAG files share: the models, their weekly assets, and how a task runs an ``evermix`` command.

Only airflow.sdk and the standard library are imported here: the scheduler parses DAG files all day.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

log = logging.getLogger(__name__)

KINDS = {1: "a bug", 2: "ConfigError", 3: "DataError", 4: "FitError", 5: "StoreError", 6: "ServiceError"}
SERVICE_ERROR = 6

# Only a ServiceError or a killed process is retried; `run_evermix` fails the task at once for all else.
# 20 s, 40 s, 80 s, 160 s, then every 5 minutes: a service may be away for an hour before a person is needed.
RETRIES = {
    "retries": 16,
    "retry_delay": timedelta(seconds=20),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
}


def read_models() -> dict[str, dict[str, Any]]:
    """Return the models by name from ``$EVERMIX_HOME/models.json``, which ``evermix up`` and ``init`` write.

    No manifest means no model yet: the DAG folder parses, and holds a producer that has nothing to ingest.
    """
    home = os.environ.get("EVERMIX_HOME") or Path(__file__).resolve().parents[1] / ".evermix"
    manifest = Path(home) / "models.json"
    if not manifest.exists():
        return {}
    return json.loads(manifest.read_text(encoding="utf-8"))["models"]


def weekly_asset(model: str) -> Asset:
    """Return the asset whose partitions are the stored weeks of a model, each keyed by its Monday."""
    return Asset(name=f"evermix/{model}", uri=f"evermix://snapshots/{model}", group="evermix")


def models_param(models: Iterable[str]) -> Param:
    """Return the parameter by which a producer's run is narrowed to some models."""
    return Param(
        sorted(models),
        type="array",
        items={"type": "string"},
        description="The models to ingest; all of them unless narrowed.",
    )


def asked_week(model: str, dag_run: Any, params: Any) -> str:
    """Return the week that a producer's run asks of a model; skip the task where the run does not ask for the model."""
    if model not in params["models"]:
        raise AirflowSkipException(f"{model} is not among the models asked for: {params['models']}")
    if dag_run.partition_key is None:
        raise AirflowFailException("no partition key. Trigger again with the week's Monday, e.g. 2026-01-05, as key.")
    return dag_run.partition_key


def run_evermix(*words: str) -> Any:
    """Run one ``evermix`` command, stream its output into the task's log, and return what ``--json`` printed.

    Returns
    -------
    object or None
        The parsed answer when ``--json`` is among the words, else None.

    Raises
    ------
    AirflowFailException
        Exit codes 1 to 5 and any unknown one: the task fails at once, for a retry would fail the same way.
    AirflowException
        Exit code 6, or the process was killed from outside: the task is retried.
    """
    command = [*(shlex.split(os.environ.get("EVERMIX_COMMAND", "")) or [sys.executable, "-m", "evermix"]), *words]
    log.info("$ %s", shlex.join(command))
    answer: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        # Two pipes are read at once, or the one that fills up first would stop the command.
        progress = threading.Thread(target=_stream, args=(process.stderr,))
        progress.start()
        _stream(process.stdout, answer)
        progress.join()
    _raise_for(process.returncode, shlex.join(words))
    return json.loads("".join(answer)) if "--json" in words else None


def tell_run_overdue(model: str, context: dict[str, Any]) -> None:
    """Report a run that has not ended by its deadline; Airflow calls it on the executor, so no triggerer is needed."""
    week = context["dag_run"]["partition_key"]
    if week is None:
        log.warning("the run has no partition key, so there is no week to report")
        return
    run_evermix("watchdog", "--run-overdue", model, "--as-of", week, "--json")


def _stream(lines: Iterable[str], kept: list[str] | None = None) -> None:
    for line in lines:
        log.info("%s", line.rstrip())
        if kept is not None:
            kept.append(line)


def _raise_for(code: int, words: str) -> None:
    if code == 0:
        return
    what = f"killed by signal {-code}" if code < 0 else f"exit code {code} ({KINDS.get(code, 'unknown')})"
    if code == SERVICE_ERROR or code < 0:
        raise AirflowException(f"evermix {words}: {what}. Retried; the lines above say what did not answer.")
    raise AirflowFailException(f"evermix {words}: {what}. Not retried; the lines above say what to do.")
