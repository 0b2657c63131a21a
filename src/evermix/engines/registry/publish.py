"""The steps of a publication, each of which finds what an earlier try left and adds what is missing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.engines.registry.model import ID_TAG, MODEL_FILES, WEIGHTS, save_model
from evermix.errors import StoreError
from evermix.records import VersionFile

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def find_run(client: MlflowClient, version: VersionFile) -> Run | None:
    """Return the oldest run of a version's fit, or None."""
    experiment = client.get_experiment_by_name(version.model)
    if experiment is None:
        return None
    query = f"tags.{ID_TAG} = '{version.id}'"
    found = client.search_runs([experiment.experiment_id], query, order_by=["attributes.start_time ASC"])
    return found[0] if found else None


def create_run(client: MlflowClient, version: VersionFile, artifact_root: Path | None, tags: Mapping[str, str]) -> Run:
    """Return a new run, in the experiment of the model.

    The tags are given whole, so that MLflow adds none of its own (user, path of the program).
    """
    return client.create_run(
        _experiment(client, version.model, artifact_root),
        run_name=version.id,
        tags={ID_TAG: version.id, "mlflow.source.name": "evermix"} | {k: str(v) for k, v in tags.items()},
    )


def complete_run(
    client: MlflowClient,
    run: Run,
    files: Mapping[str, Path],
    metrics: Mapping[str, float],
    params: Mapping[str, Any],
) -> None:
    """Log the metrics, params and artifacts that the run does not have yet."""
    from mlflow.entities import Metric, Param

    have, at = run.data, run.info.start_time
    client.log_batch(
        run.info.run_id,
        metrics=[Metric(k, float(v), at, 0) for k, v in metrics.items() if k not in have.metrics],
        params=[Param(k, str(v)) for k, v in params.items() if k not in have.params],
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, path in files.items():
            if name not in (*MODEL_FILES, WEIGHTS):
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if any(Path(folder).iterdir()):
            client.log_artifacts(run.info.run_id, folder)


def complete_model(client: MlflowClient, run: Run, version: VersionFile, files: Mapping[str, Path]) -> str:
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
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)


def create_version(
    client: MlflowClient, version: VersionFile, run_id: str, model_id: str, tags: Mapping[str, str]
) -> ModelVersion:
    """Return a new registered version, with all its tags from the first moment."""
    from mlflow import MlflowException

    try:
        client.create_registered_model(version.model)
    except MlflowException as err:
        if err.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    made = client.create_model_version(
        version.model,
        f"models:/{model_id}",
        run_id,
        tags={ID_TAG: version.id} | {k: str(v) for k, v in tags.items()},
        # A server refuses the source without it (MLflow 3.17).
        model_id=model_id,
    )
    return _keep_first(client, version, made)


def _keep_first(client: MlflowClient, version: VersionFile, made: ModelVersion) -> ModelVersion:
    """Return the lowest number of a version, and take back ours if another worker published it at the same moment."""
    found = client.search_model_versions(f"name = '{version.model}' and tags.{ID_TAG} = '{version.id}'")
    first = min(found, key=lambda one: int(one.version), default=made)
    if int(first.version) < int(made.version):
        client.delete_model_version(version.model, made.version)
        return first
    return made


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
        raise StoreError(f"registry: experiment {model!r} was deleted. Restore it with `mlflow experiments restore`.")
    return str(found.experiment_id)
