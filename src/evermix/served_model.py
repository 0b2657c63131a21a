"""The door for MLflow: a published version, loaded from its folder and asked for weeks.

Every published version stores the name of this module, so the name and ``_load_pyfunc`` stay.
No sampler and no PyMC is needed to predict: kinds predict with plain NumPy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from evermix.core.draws import stack_draws
from evermix.core.panel import ALL_GEOS
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import load_posterior, load_weights
from evermix.errors import DataError
from evermix.records import VersionFile

# As many as monitor uses: a quantile's Monte-Carlo error is then a few percent of the interval.
DRAWS = 1000
LEVEL = 0.9


class ServedVersion:
    """One version that answers for weeks of its panel and for those that follow.

    Parameters
    ----------
    version : VersionFile
        What the version is, as written in ``champion.json``.
    draws : Dataset
        Free variables, dims ``(draw, ...)``; draws count alike, those of an update are taken by their weights.
    panel : DataFrame
        The last panel the version was published with; it gives new weeks their adstock lookback.
    """

    def __init__(self, version: VersionFile, draws: xr.Dataset, panel: pd.DataFrame) -> None:
        self.version = version
        self.draws = draws
        self.panel = panel
        self.kind = load_kind(version.kind)

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictive mean and interval of each asked week and geo.

        Parameters
        ----------
        model_input : DataFrame
            ``week`` (a Monday), ``geo`` (may be left out where the model has none) and every input
            column of the panel (``spend.*``, ``exposure.*``, ``control.*``, ``event.*``).  Rows take the place
            of the panel's rows of the same week, or follow them without a gap.
        params : dict | None
            ``level``: probability inside ``[low, high]``, 0.9 if not given.

        Returns
        -------
        DataFrame
            ``week, geo, mean, low, high``, one row per row asked, in the order asked; target units.

        Raises
        ------
        DataError
            All rules that the table breaks.
        """
        level = float((params or {}).get("level", LEVEL))
        asked = _asked_rows(model_input, self.panel, level)
        panel = _extend(self.panel, asked)
        spec, basis, columns = self.version.spec, self.version.basis, self.version.columns
        predictive = self.kind.predict(self.draws, panel, columns, spec, basis)
        place = pd.MultiIndex.from_frame(panel[["week", "geo"]])
        rows = predictive.rows(place.get_indexer(pd.MultiIndex.from_frame(asked[["week", "geo"]])))
        low, high = rows.interval(level)
        answer = asked[["week", "geo"]].astype({"week": "datetime64[ns]", "geo": object})
        return answer.assign(mean=rows.expected(), low=low, high=high)


def _load_pyfunc(data_path: str) -> ServedVersion:
    """Return the version stored in a folder; called by ``mlflow.pyfunc.load_model``."""
    folder = Path(data_path)
    version = VersionFile.model_validate(json.loads((folder / "champion.json").read_text(encoding="utf-8")))
    weights = load_weights(folder / "weights.npy") if version.weights_hash is not None else None
    draws = stack_draws(load_posterior(folder / "base.nc"), DRAWS, weights)
    return ServedVersion(version, draws, pd.read_parquet(folder / "panel.parquet"))


def _asked_rows(table: pd.DataFrame, panel: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return the asked rows typed like the panel, or one DataError with all faults."""
    inputs = [name for name in panel.columns if name not in ("week", "geo", "target")]
    geos = list(panel["geo"].unique())
    faults = [] if 0.0 < level < 1.0 else [f"level: got {level}, expected a probability in (0, 1)"]
    lacking = [name for name in ("week", *inputs) if name not in table.columns]
    if lacking or not len(table):
        faults.append(f"table: got {len(table)} rows without {lacking or 'nothing'}, expected week and {inputs}")
        _refuse(faults)
    rows = table.assign(geo=table["geo"] if "geo" in table.columns else ALL_GEOS)[["week", "geo", *inputs]]
    rows = rows.reset_index(drop=True)
    rows["week"] = pd.to_datetime(rows["week"]).astype("datetime64[s]")
    rows[inputs] = rows[inputs].astype("float64")
    faults += [f"geo: got {name!r}, expected one of {geos}" for name in rows["geo"].unique() if name not in geos]
    faults += [
        f"{name}: got {int(rows[name].isna().sum())} empty cells, expected none"
        for name in ("week", *inputs)
        if rows[name].isna().any()
    ]
    odd = rows["week"][rows["week"].dt.dayofweek != 0].dropna()
    faults += [f"week: got {day:%Y-%m-%d}, expected a Monday" for day in odd.unique()]
    twice = rows[rows.duplicated(["week", "geo"])]
    faults += [f"week: got {row.week:%Y-%m-%d} of {row.geo} twice, expected once" for row in twice.itertuples()]
    _refuse(faults)
    _refuse(_gaps(rows, panel))
    return rows


def _gaps(rows: pd.DataFrame, panel: pd.DataFrame) -> list[str]:
    """Name the weeks that carry-over would need and that neither the panel nor the rows have."""
    first, last = panel["week"].min(), panel["week"].max()
    faults = [
        f"week: got {day:%Y-%m-%d}, expected {first:%Y-%m-%d} or later" for day in rows["week"].unique() if day < first
    ]
    for geo in panel["geo"].unique():
        known = rows.loc[(rows["geo"] == geo) & (rows["week"] > last), "week"]
        end = rows["week"].max()
        needed = pd.date_range(last, end, freq="7D", inclusive="right") if end > last else pd.DatetimeIndex([])
        lacking = needed.difference(pd.DatetimeIndex(known))
        faults += [
            f"week: {day:%Y-%m-%d} of {geo} is not there, expected every week after {last:%Y-%m-%d}" for day in lacking
        ]
    return faults


def _extend(panel: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the panel with the rows in place of, or after, its own."""
    both = pd.concat([panel, rows.assign(target=float("nan"))[panel.columns]], ignore_index=True)
    whole = both.drop_duplicates(["week", "geo"], keep="last").sort_values(["week", "geo"], ignore_index=True)
    return whole.astype(panel.dtypes.to_dict())


def _refuse(faults: list[str]) -> None:
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise DataError("served version: " + "; ".join(faults[:5]) + more + ". Mend the rows named.")
