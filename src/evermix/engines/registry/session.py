"""mlflow imported quietly, and its exceptions translated.  Knows no version and no model."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from evermix.engines.store import DRAFT
from evermix.errors import ServiceError, StoreError

# Error codes of MLflow behind which stands a server or database that did not answer.
_TRANSIENT = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
# What SQLite says when the disk is at fault and not a server.
_DISK = (
    "database or disk is full",
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database",
)
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Two tries of 10 s: an absent server is known after less than 30 s.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


def import_mlflow() -> Any:
    """Return mlflow, quiet and without telemetry; settings that the user made stay."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        # Importing mlflow.pyfunc warns of mlflow's own type hints.
        warnings.simplefilter("ignore")
        import mlflow
        import mlflow.pyfunc

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def make_database(tracking_uri: str) -> None:
    """Make the SQLite file of a home's registry if it is not there, at once or not at all.

    MLflow makes its tables in some sixty steps, and one of them that was cut off by a kill fails for ever after.
    """
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    if path.exists():
        return
    with translated(f"registry {tracking_uri}: making the database"):
        _make_whole(path)


def _make_whole(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        for left in path.parent.glob(f"{DRAFT}{path.name}*"):
            left.unlink()
        draft = path.with_name(f"{DRAFT}{path.name}")
        # The first question makes the tables.
        import_mlflow().MlflowClient(f"sqlite:///{draft}", f"sqlite:///{draft}").search_registered_models()
        draft.replace(path)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Let whatever goes wrong with MLflow inside the block leave as one of our errors.

    Raises
    ------
    ServiceError
        The server or database does not answer: worth a retry.
    StoreError
        MLflow refuses the call, or a file cannot be read or written.
    """
    mlflow = import_mlflow()
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (RequestException, SQLAlchemyError) as err:
        _refuse_a_bad_disk(where, err)
        raise ServiceError(f"{where}: no answer ({_short(err)}). Is the MLflow server up?") from err
    except mlflow.MlflowException as err:
        _refuse_a_bad_disk(where, err)
        if err.error_code in _TRANSIENT:
            raise ServiceError(f"{where}: no answer ({_short(err)}). Is the MLflow server up?") from err
        raise StoreError(f"{where}: MLflow refused it ({_short(err)}). Mend the value named.") from err
    except OSError as err:
        raise StoreError(f"{where}: a file could not be read or written ({err}). Check the path named.") from err


def _refuse_a_bad_disk(where: str, err: Exception) -> None:
    if any(sign in str(err) for sign in _DISK):
        raise StoreError(
            f"{where}: the database cannot be written ({_short(err)}). Make room, or mend its rights, then run again."
        ) from err


def _short(err: Exception) -> str:
    line = (str(err).strip().splitlines() or [type(err).__name__])[0]
    return line if len(line) <= 300 else line[:300] + "..."
