"""Versions as MLflow sees them: runs, registered versions, tags, aliases.  The only home of mlflow.

The registry is a projection for people and servers.  The history in git is the truth,
so everything here can be repeated, compared with the truth and repaired from it.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.errors import ServiceError, StoreError
from evermix.records import VersionFile

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ALIASES = ("champion", "challenger")
ID_TAG = "evermix_version"
# Stored in every published version: whatever replaces this module must keep its name.
LOADER = "evermix.served_model"
# What a served version cannot do without, by name in ``files``.
MODEL_FILES = ("base.nc", "champion.json", "panel.parquet")
_ID = re.compile(r"^[a-z][a-z0-9_]{0,39}/\d{4}-\d{2}-\d{2}/[0-9a-f]{8}$")
_TRANSIENT = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"}
# Two tries of 10 s: an absent server is known after less than 30 s.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}


class Registry:
    """The registry behind one tracking URI.

    Parameters
    ----------
    tracking_uri : str
        ``sqlite:////absolute/path.db`` or the address of an MLflow server.
    artifact_root : Path | None
        Where new experiments keep their files, with direct SQLite; None lets the server decide.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        if not tracking_uri.startswith(("sqlite:///", "http://", "https://", "postgresql+psycopg2://")):
            raise StoreError(
                f"registry: tracking URI {tracking_uri!r}, expected sqlite:///FILE, http(s)://HOST or "
                "postgresql+psycopg2://. Set EVERMIX_TRACKING_URI."
            )
        if tracking_uri.startswith("sqlite:///"):
            Path(tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        self._cached: MlflowClient | None = None

    def publish(
        self,
        version: VersionFile,
        files: Mapping[str, Path],
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> int:
        """Return the registry's number of a version, published now or found as published before.

        One run per fit, in the experiment of the model.  The version's id is the key: a second
        call changes nothing, and a call after a broken one adds what is missing.

        Parameters
        ----------
        files : Mapping[str, Path]
            File by name.  ``base.nc``, ``champion.json`` and ``panel.parquet`` (the whole last
            accepted panel, which gives predictions their adstock lookback) make the served model;
            all others, named like ``plots/roas.png``, are kept as the run's artifacts.
        metrics : Mapping[str, float]
            Diagnostics and scores of the fit.
        params : Mapping[str, Any]
            Flat; kept as text.
        tags : Mapping[str, str]
            Kept on the run and on the version.

        Raises
        ------
        StoreError
            A file is missing, an id is malformed, or MLflow refuses a value.
        ServiceError
            The server does not answer.
        """
        _check_inputs(version, files)
        with self._talking(f"publishing {version.id}") as client:
            found = _find_version(client, version.model, version.id)
            run = _find_run(client, version)
            if found is not None and run is not None and run.info.status == "FINISHED":
                return int(found.version)
            run = run or self._create_run(client, version, tags)
            _complete_run(client, run, files, metrics, params, tags)
            if found is None:
                model_id = _complete_model(client, run, version, files)
                found = _create_version(client, version, run.info.run_id, model_id, tags)
            client.set_terminated(run.info.run_id, "FINISHED")
            return int(found.version)

    def set_alias(self, model: str, alias: str, version_id: str | None) -> None:
        """Point ``champion`` or ``challenger`` at a version; None takes the alias away."""
        if alias not in ALIASES:
            raise StoreError(f"registry: alias {alias!r}, expected one of {', '.join(ALIASES)}.")
        with self._talking(f"setting alias {alias} of {model}") as client:
            if version_id is None:
                if alias in _aliases(client, model):
                    client.delete_registered_model_alias(model, alias)
                return
            found = _need_version(client, model, version_id)
            if _aliases(client, model).get(alias) != version_id:
                client.set_registered_model_alias(model, alias, found.version)

    def get_alias(self, model: str, alias: str) -> str | None:
        """Return the id of the version that an alias points to."""
        with self._talking(f"reading alias {alias} of {model}") as client:
            return _aliases(client, model).get(alias)

    def rollback(self, model: str, version_id: str) -> None:
        """Make an earlier version the champion again; the version itself is not touched."""
        self.set_alias(model, "champion", version_id)

    def tag(self, model: str, version_id: str, tags: Mapping[str, str]) -> None:
        """Set tags (``verdict``, ``decision`` ...) of a published version."""
        with self._talking(f"tagging {version_id}") as client:
            found = _need_version(client, model, version_id)
            for name, value in tags.items():
                if found.tags.get(name) != str(value):
                    client.set_model_version_tag(model, found.version, name, str(value))

    def state(self, model: str) -> dict[str, Any]:
        """Return ``{champion, challenger, versions: [{id, number, run_id, tags}]}``, oldest version first."""
        with self._talking(f"reading {model}") as client:
            aliases = _aliases(client, model)
            versions = sorted(_versions(client, model), key=lambda v: int(v.version))
            return {alias: aliases.get(alias) for alias in ALIASES} | {
                "versions": [
                    {"id": v.tags.get(ID_TAG), "number": int(v.version), "run_id": v.run_id, "tags": dict(v.tags)}
                    for v in versions
                ]
            }

    def missing(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Return ids that the truth names and the registry lacks; the caller publishes them again."""
        known = {v["id"] for v in self.state(model)["versions"]}
        return [truth[a] for a in ALIASES if truth.get(a) is not None and truth[a] not in known]  # type: ignore[misc]

    def disagreements(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Return one sentence for each alias or version in which registry and history differ.

        Parameters
        ----------
        truth : Mapping[str, str | None]
            ``{"champion": id or None, "challenger": id or None}``, from the history.
        """
        state = self.state(model)
        known = {v["id"] for v in state["versions"]}
        out = []
        for alias in ALIASES:
            said, seen = truth.get(alias), state[alias]
            if said is not None and said not in known:
                out.append(f"{model}: the registry has no version {said}, which the history calls {alias}")
            if said != seen:
                out.append(f"{model}: {alias} is {said or 'nobody'} in the history, {seen or 'nobody'} in the registry")
        strangers = [v["number"] for v in state["versions"] if v["id"] is None]
        out += [f"{model}: registry version {n} was not published by evermix" for n in strangers]
        return out

    def reconcile(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Point the aliases where the history says and return one sentence per repair.

        A version named by ``missing`` cannot be pointed to: publish it first.  Versions that
        evermix did not publish are left alone.
        """
        state = self.state(model)
        gone = self.missing(model, truth)
        repairs = []
        for alias in ALIASES:
            said, seen = truth.get(alias), state[alias]
            if said == seen or said in gone:
                continue
            self.set_alias(model, alias, said)
            repairs.append(f"{model}: {alias} now points to {said or 'nobody'} (was {seen or 'nobody'})")
        return repairs

    def _create_run(self, client: MlflowClient, version: VersionFile, tags: Mapping[str, str]) -> Run:
        return client.create_run(
            _experiment(client, version.model, self.artifact_root),
            run_name=version.id,
            tags={ID_TAG: version.id, "mlflow.source.name": "evermix"} | {k: str(v) for k, v in tags.items()},
        )

    @contextmanager
    def _talking(self, what: str) -> Iterator[MlflowClient]:
        """Yield a client; whatever goes wrong with MLflow leaves as one of our errors."""
        mlflow = import_mlflow()
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        where = f"registry {self.tracking_uri}: {what}"
        try:
            if self._cached is None:
                self._cached = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)
            yield self._cached
        except (RequestException, SQLAlchemyError) as err:
            raise ServiceError(f"{where}: no answer ({_first_line(err)}). Is the MLflow server up?") from err
        except mlflow.MlflowException as err:
            if err.error_code in _TRANSIENT:
                raise ServiceError(f"{where}: no answer ({_first_line(err)}). Is the MLflow server up?") from err
            raise StoreError(f"{where}: MLflow refused it ({_first_line(err)}).") from err
        except OSError as err:
            raise StoreError(f"{where}: a file could not be read or written ({err}).") from err


def import_mlflow() -> Any:
    """Return mlflow, quiet and without telemetry; settings that the user made stay."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return mlflow


def _check_inputs(version: VersionFile, files: Mapping[str, Path]) -> None:
    if not _ID.match(version.id) or not version.id.startswith(f"{version.model}/"):
        raise StoreError(f"registry: version id {version.id!r}, expected {version.model}/YYYY-MM-DD/8 hex digits.")
    lacking = [name for name in MODEL_FILES if name not in files]
    lacking += [str(path) for path in files.values() if not Path(path).is_file()]
    if lacking:
        raise StoreError(f"registry: {version.id} lacks {', '.join(lacking)}. Run the step that writes it.")


def _experiment(client: MlflowClient, model: str, artifact_root: Path | None) -> str:
    from mlflow import MlflowException

    found = client.get_experiment_by_name(model)
    if found is None:
        location = None if artifact_root is None else (artifact_root.resolve() / model).as_uri()
        try:
            return str(client.create_experiment(model, artifact_location=location))
        except MlflowException as err:
            if err.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(model)
    if found.lifecycle_stage != "active":
        raise StoreError(f"registry: experiment {model!r} was deleted. Restore it: mlflow experiments restore.")
    return str(found.experiment_id)


def _find_run(client: MlflowClient, version: VersionFile) -> Run | None:
    experiment = client.get_experiment_by_name(version.model)
    if experiment is None:
        return None
    query = f"tags.{ID_TAG} = '{version.id}'"
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"])
    return found[0] if found else None


def _complete_run(
    client: MlflowClient,
    run: Run,
    files: Mapping[str, Path],
    metrics: Mapping[str, float],
    params: Mapping[str, Any],
    tags: Mapping[str, str],
) -> None:
    """Log what the run does not have yet."""
    from mlflow.entities import Metric, Param, RunTag

    now = run.info.start_time
    have = run.data
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(k, float(v), now, 0) for k, v in metrics.items() if k not in have.metrics],
        params=[Param(k, str(v)) for k, v in params.items() if k not in have.params],
        tags=[RunTag(k, str(v)) for k, v in tags.items() if k not in have.tags],
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files.items():
            if name not in MODEL_FILES:
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if any(Path(folder).iterdir()):
            client.log_artifacts(run.info.run_id, folder)


def _complete_model(client: MlflowClient, run: Run, version: VersionFile, files: Mapping[str, Path]) -> str:
    """Return the id of the run's logged model; one that was left half written is replaced."""
    from mlflow.entities import LoggedModelOutput

    experiment = run.info.experiment_id
    for model in client.search_logged_models([experiment], f"source_run_id = '{run.info.run_id}'"):
        if model.status == "READY":
            return str(model.model_id)
        client.delete_logged_model(model.model_id)
    model = client.create_logged_model(experiment, name="model", source_run_id=run.info.run_id)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model", version, files, model_id=model.model_id, run_id=run.info.run_id)
        client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return str(model.model_id)


def save_model(
    path: Path, version: VersionFile, files: Mapping[str, Path], model_id: str | None = None, run_id: str | None = None
) -> None:
    """Write one version as a folder that ``mlflow.pyfunc.load_model`` loads.

    Our own flavour: the folder holds data only (draws, version, panel) and names the module that
    reads them, so nothing is pickled and evermix must be installed where it is loaded.
    """
    mlflow = import_mlflow()
    import pandas as pd
    from mlflow.models import Model

    from evermix import __version__

    example = input_example(pd.read_parquet(files["panel.parquet"]))
    with tempfile.TemporaryDirectory() as folder:
        for name in MODEL_FILES:
            shutil.copyfile(files[name], Path(folder) / name)
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=LOADER,
            data_path=folder,
            signature=_signature(example),
            input_example=example,
            pip_requirements=[f"evermix=={__version__}"],
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=run_id, metadata={ID_TAG: version.id}),
        )
