"""mlflow imported quietly, and its exceptions translated.  Knows no version and no model."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evermix.errors import ServiceError, StoreError

# Error codes of MLflow behind which stands a server or database that did not answer.
_TRANSIENT = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
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
        raise ServiceError(f"{where}: no answer ({_short(err)}). Is the MLflow server up?") from err
    except mlflow.MlflowException as err:
        if err.error_code in _TRANSIENT:
            raise ServiceError(f"{where}: no answer ({_short(err)}). Is the MLflow server up?") from err
        raise StoreError(f"{where}: MLflow refused it ({_short(err)}). Mend the value named.") from err
    except OSError as err:
        raise StoreError(f"{where}: a file could not be read or written ({err}). Check the path named.") from err


def _short(err: Exception) -> str:
    line = (str(err).strip().splitlines() or [type(err).__name__])[0]
    return line if len(line) <= 300 else line[:300] + "..."
