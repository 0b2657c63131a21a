"""What a version says of some rows of a panel, computed from the weeks that they need alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from evermix.core.predictive import Predictive
from evermix.core.update import cut_to_rows
from evermix.engines.models import load_kind
from evermix.records import VersionFile


def predict_rows(version: VersionFile, draws: xr.Dataset, panel: pd.DataFrame, rows: NDArray[np.bool_]) -> Predictive:
    """Return the predictive distribution of rows that have a target, in panel order.

    Parameters
    ----------
    draws : Dataset
        With a leading dim ``draw``.
    panel : DataFrame
        With the inputs of the version.
    rows : ndarray of bool, shape (row of the panel,)
        At least one.
    """
    kind = load_kind(version.kind)
    parts = []
    for stretch in cut_to_rows(panel, rows, kind.carry_weeks(version.spec)):
        predictive = kind.predict(draws, stretch, version.columns, version.spec, version.basis)
        parts.append(predictive.rows(stretch["target"].notna().to_numpy()))
    mean, sd = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("mean", "sd"))
    return Predictive(mean, sd, parts[0].nu)
