"""A version written as an MLflow model: data only, read back by ``evermix.served_model``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix import __version__
from evermix.engines.registry.session import import_mlflow
from evermix.records import VersionFile

if TYPE_CHECKING:
    import pandas as pd

ID_TAG = "evermix_version"
# What a served version cannot do without, by name.
MODEL_FILES = ("base.nc", "champion.json", "panel.parquet")
# What an update has beside them.
WEIGHTS = "weights.npy"
# Stored inside every published version: the module of this name must go on reading them.
LOADER = "evermix.served_model"
# The folder inside a published version that holds its files.
_FOLDER = "version"


def save_model(
    path: Path,
    version: VersionFile,
    files: Mapping[str, Path],
    model_id: str | None = None,
    run_id: str | None = None,
) -> None:
    """Write one version as a folder that ``mlflow.pyfunc.load_model`` loads.

    The folder holds draws, version file and panel, and names the module that reads them:
    nothing is pickled, no code is copied, so evermix must be installed where it is loaded.

    Parameters
    ----------
    path : Path
        The folder to make.
    files : Mapping[str, Path]
        At least the names in ``MODEL_FILES``; ``weights.npy`` makes it an update.
    """
    mlflow = import_mlflow()
    import pandas as pd
    from mlflow.models import Model

    example = input_example(pd.read_parquet(files["panel.parquet"]))
    with tempfile.TemporaryDirectory() as draft:
        # MLflow keeps the folder's name inside the model.
        folder = Path(draft) / _FOLDER
        folder.mkdir()
        for name in (*MODEL_FILES, *([WEIGHTS] if WEIGHTS in files else [])):
            shutil.copyfile(files[name], folder / name)
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=LOADER,
            data_path=str(folder),
            signature=signature(example),
            input_example=example,
            # Named here, since MLflow would otherwise import the model to find out.
            pip_requirements=[f"evermix=={__version__}"],
            mlflow_model=Model(model_uuid=model_id, model_id=model_id, run_id=run_id, metadata={ID_TAG: version.id}),
        )


def served_file(model: str, number: str | int, name: str, folder: str, tracking_uri: str) -> Path | None:
    """Download one file of a registered version into a folder; None where the version has no such file."""
    mlflow = import_mlflow()
    uri = f"models:/{model}/{number}/data/{_FOLDER}/{name}"
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder, tracking_uri=tracking_uri))
    except FileNotFoundError:
        return None
    except mlflow.MlflowException as err:
        if err.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def input_example(panel: pd.DataFrame) -> pd.DataFrame:
    """Return the inputs of the panel's last week, one row per geo: all its columns but the target."""
    last = panel[panel["week"] == panel["week"].max()].drop(columns="target").reset_index(drop=True)
    return last.astype({"week": "datetime64[ns]", "geo": object})


def signature(example: pd.DataFrame) -> Any:
    """Return the MLflow signature: inputs of a week in, interval of its target out.

    Notes
    -----
    ``geo`` may be left out where the model has none (its single value is "all").  ``level`` is the
    probability of the interval ``[low, high]``.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    has_geo = list(example["geo"].unique()) != ["all"]
    inputs = [ColSpec(DataType.datetime, "week"), ColSpec(DataType.string, "geo", required=has_geo)]
    inputs += [ColSpec(DataType.double, name) for name in example.columns if name not in ("week", "geo")]
    outputs = [ColSpec(DataType.datetime, "week"), ColSpec(DataType.string, "geo")]
    outputs += [ColSpec(DataType.double, name) for name in ("mean", "low", "high")]
    level = ParamSpec(name="level", dtype=DataType.double, default=0.9)
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema([level]))
