"""The registry as the rest of evermix uses it: versions by their id, aliases by their role."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.engines.registry import publish as steps
from evermix.engines.registry.model import ID_TAG, MODEL_FILES, served_file
from evermix.engines.registry.session import import_mlflow, make_database, translated
from evermix.errors import StoreError
from evermix.records import VersionFile

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

ALIASES = ("champion", "challenger")
_SCHEMES = ("sqlite:////", "http://", "https://", "postgresql+psycopg2://")
_ID = re.compile(r"^[a-z][a-z0-9_]{0,39}/\d{4}-\d{2}-\d{2}/[0-9a-f]{8}$")


class Registry:
    """The registry behind one tracking URI.

    Parameters
    ----------
    tracking_uri : str
        ``sqlite:////absolute/path.db`` or the address of an MLflow server.
    artifact_root : Path | None
        Where new experiments keep their files, for direct SQLite; None lets the server decide.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        if not tracking_uri.startswith(_SCHEMES):
            raise StoreError(
                f"registry: tracking URI {tracking_uri!r}, expected sqlite:////ABSOLUTE/FILE, http(s)://HOST or "
                "postgresql+psycopg2://. Set EVERMIX_TRACKING_URI."
            )
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root
        self._client: MlflowClient | None = None

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
            accepted panel, which gives predictions their adstock lookback) make the served model, with
            ``weights.npy`` of an update;
            all others, named like ``plots/roas.png``, are kept as the run's artifacts.
        metrics : Mapping[str, float]
            Diagnostics and scores of the fit.
        params : Mapping[str, Any]
            Flat; kept as text.
        tags : Mapping[str, str]
            Kept on the run and on the version; ``tag`` changes those of the version later.

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
            run = steps.find_run(client, version)
            if found is not None and run is not None and run.info.status == "FINISHED":
                return int(found.version)
            if run is None:
                run = steps.create_run(client, version, self.artifact_root, tags)
            steps.complete_run(client, run, files, metrics, params)
            if found is None:
                model_id = steps.complete_model(client, run, version, files)
                found = steps.create_version(client, version, run.info.run_id, model_id, tags)
            client.set_terminated(run.info.run_id, "FINISHED")
            return int(found.version)

    def set_alias(self, model: str, alias: str, version_id: str | None) -> None:
        """Point ``champion`` or ``challenger`` at a version; None takes the alias away."""
        if alias not in ALIASES:
            raise StoreError(f"registry: alias {alias!r}, expected one of {', '.join(ALIASES)}.")
        with self._talking(f"setting alias {alias} of {model}") as client:
            seen = _aliases(client, model).get(alias)
            if seen == version_id:
                return
            if version_id is None:
                client.delete_registered_model_alias(model, alias)
            else:
                found = _need_version(client, model, version_id)
                client.set_registered_model_alias(model, alias, found.version)

    def get_alias(self, model: str, alias: str) -> str | None:
        """Return the id of the version that an alias points to."""
        with self._talking(f"reading alias {alias} of {model}") as client:
            return _aliases(client, model).get(alias)

    def tag(self, model: str, version_id: str, tags: Mapping[str, str]) -> None:
        """Set tags (``verdict``, ``decision`` ...) of a published version."""
        with self._talking(f"tagging {version_id}") as client:
            found = _need_version(client, model, version_id)
            for name, value in tags.items():
                if found.tags.get(name) != str(value):
                    client.set_model_version_tag(model, found.version, name, str(value))

    def set_witness(self, model: str, witness: Mapping[str, str]) -> None:
        """Keep where the ledger stood (``ledger_head``, ``git_commit``, ``as_of``) as tags of the registered model.

        A model of which nothing was published yet has no place for it: nothing is kept.
        """
        with self._talking(f"telling of the ledger of {model}") as client:
            seen = _registered_tags(client, model)
            for name, value in witness.items():
                if seen is not None and seen.get(name) != value:
                    client.set_registered_model_tag(model, name, value)

    def witness(self, model: str) -> dict[str, str] | None:
        """Return the tags that `set_witness` kept, with any others; None for a model that was never published."""
        with self._talking(f"reading {model}") as client:
            return _registered_tags(client, model)

    def state(self, model: str) -> dict[str, Any]:
        """Return ``{champion, challenger, versions: [{id, number, run_id, tags}]}``, oldest version first.

        A version that evermix did not publish has id None; an alias that points to one reads "number N".
        """
        with self._talking(f"reading {model}") as client:
            aliases = _aliases(client, model)
            versions = [
                {"id": v.tags.get(ID_TAG), "number": int(v.version), "run_id": v.run_id, "tags": dict(v.tags)}
                for v in _versions(client, model)
            ]
        return {alias: aliases.get(alias) for alias in ALIASES} | {"versions": versions}

    def read_file(self, model: str, version_id: str, name: str) -> bytes | None:
        """Return the bytes of one of a version's ``MODEL_FILES`` as they are served, None where it has none."""
        with self._talking(f"reading {name} of {version_id}") as client, tempfile.TemporaryDirectory() as folder:
            found = _need_version(client, model, version_id)
            path = served_file(model, found.version, name, folder, self.tracking_uri)
            return None if path is None else path.read_bytes()

    def missing(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Return ids that the truth names and the registry lacks; the caller publishes them again."""
        known = {version["id"] for version in self.state(model)["versions"]}
        said = [truth.get(alias) for alias in ALIASES]
        return [version_id for version_id in said if version_id is not None and version_id not in known]

    def disagreements(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Return one sentence for each version or alias in which registry and history differ.

        Parameters
        ----------
        truth : Mapping[str, str | None]
            ``{"champion": id or None, "challenger": id or None}``, from the history.
        """
        state = self.state(model)
        out = [f"{model}: the registry lacks version {gone}" for gone in self.missing(model, truth)]
        for alias in ALIASES:
            said, seen = truth.get(alias), state[alias]
            if said != seen:
                out.append(f"{model}: {alias} is {said or 'nobody'} in the history, {seen or 'nobody'} in the registry")
        strangers = [str(v["number"]) for v in state["versions"] if v["id"] is None]
        return out + [f"{model}: version number {n} was not published by evermix" for n in strangers]

    def reconcile(self, model: str, truth: Mapping[str, str | None]) -> list[str]:
        """Point the aliases where the history says, and return one sentence per repair.

        A version named by ``missing`` cannot be pointed at: publish it first.  Versions that
        evermix did not publish are left alone.
        """
        state, gone = self.state(model), self.missing(model, truth)
        repairs = []
        for alias in ALIASES:
            said, seen = truth.get(alias), state[alias]
            if said != seen and said not in gone:
                self.set_alias(model, alias, said)
                repairs.append(f"{model}: {alias} now points at {said or 'nobody'} (was {seen or 'nobody'})")
        return repairs

    @contextmanager
    def _talking(self, what: str) -> Iterator[MlflowClient]:
        with translated(f"registry {self.tracking_uri}: {what}"):
            mlflow = import_mlflow()
            # With direct SQLite, MLflow 3.17 looks up a version's source by the process-wide URI, not the client's.
            mlflow.set_tracking_uri(self.tracking_uri)
            if self._client is None:
                if self.tracking_uri.startswith("sqlite:"):
                    make_database(self.tracking_uri)
                self._client = mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)
            yield self._client


def _check_inputs(version: VersionFile, files: Mapping[str, Path]) -> None:
    if not _ID.match(version.id) or not version.id.startswith(f"{version.model}/"):
        raise StoreError(
            f"registry: version id {version.id!r}, expected {version.model}/YYYY-MM-DD/8 hex digits."
            " Check champion.json."
        )
    lacking = [name for name in MODEL_FILES if name not in files]
    lacking += [str(path) for path in files.values() if not Path(path).is_file()]
    if lacking:
        raise StoreError(f"registry: {version.id} lacks {', '.join(lacking)}. Run the step that writes it.")


def _versions(client: MlflowClient, model: str, extra: str = "") -> list[ModelVersion]:
    """Return a model's versions, oldest first, whatever the size of MLflow's pages."""
    out: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{model}'{extra}", page_token=token)
        out += page
        token = page.token
        if not token:
            return sorted(out, key=lambda v: int(v.version))


def _find_version(client: MlflowClient, model: str, version_id: str) -> ModelVersion | None:
    found = _versions(client, model, f" and tags.{ID_TAG} = '{version_id}'")
    return found[0] if found else None


def _need_version(client: MlflowClient, model: str, version_id: str) -> ModelVersion:
    found = _find_version(client, model, version_id)
    if found is None:
        raise StoreError(
            f"registry: no version {version_id!r} of {model!r}. "
            "`evermix promote --reconcile` publishes it again from the history."
        )
    return found


def _aliases(client: MlflowClient, model: str) -> dict[str, str]:
    """Return version id by alias; empty for a model that was never published."""
    found = _registered(client, model)
    numbers = found.aliases if found is not None else {}
    ids = {alias: client.get_model_version(model, number).tags.get(ID_TAG) for alias, number in numbers.items()}
    return {alias: known or f"number {numbers[alias]}" for alias, known in ids.items()}


def _registered_tags(client: MlflowClient, model: str) -> dict[str, str] | None:
    found = _registered(client, model)
    return None if found is None else dict(found.tags)


def _registered(client: MlflowClient, model: str) -> RegisteredModel | None:
    from mlflow import MlflowException

    try:
        return client.get_registered_model(model)
    except MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
