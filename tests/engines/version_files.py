"""A version small enough to be worked by hand, and the kind that predicts with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from evermix.core.predictive import Predictive
from evermix.engines.models.drawsfile import save_tree
from evermix.engines.store import write_json
from evermix.records import VersionFile

KIND = "engines.version_files:CarryKind"


class CarryKind:
    """Target is ``effect * (spend.tv of this week + half of last week's)``, with noise of sd 1."""

    name = "carry"

    def check(self, spec: dict[str, Any], columns: dict[str, Any]) -> None: ...
    def pin(self, panel: Any, columns: Any, spec: Any, basis: Any) -> dict[str, Any]: ...
    def build(self, panel: Any, columns: Any, spec: Any, basis: Any) -> Any: ...
    def observed(self, panel: Any, columns: Any, spec: Any, basis: Any) -> Any: ...
    def variables(self, model: Any) -> list[str]: ...
    def contributions(self, draws: Any, panel: Any, columns: Any, spec: Any, basis: Any) -> Any: ...
    def log_likelihood(self, draws: Any, panel: Any, columns: Any, spec: Any, basis: Any) -> Any: ...

    def carry_weeks(self, spec: Any) -> int:
        return 1

    def predict(self, draws: xr.Dataset, panel: pd.DataFrame, columns: Any, spec: Any, basis: Any) -> Predictive:
        spend = panel["spend.tv"]
        carried = spend + 0.5 * spend.groupby(panel["geo"]).shift(1, fill_value=0.0)
        mean = draws["effect"].to_numpy()[:, None] * carried.to_numpy()[None, :]
        return Predictive(mean, np.ones_like(mean))


def make_version(model: str = "brand", as_of: str = "2026-01-05", digest: str = "0123abcd") -> VersionFile:
    return VersionFile(
        id=f"{model}/{as_of}/{digest}",
        model=model,
        as_of=as_of,
        fitted_through=as_of,
        kind=KIND,
        spec={},
        basis={},
        columns={},
        recipe=1,
        sampler={"chains": 2},
        request="r",
        observed_hash="o",
        draws_hash="d",
        noise_sd=1.0,
    )


def make_panel(geos: tuple[str, ...] = ("all",)) -> pd.DataFrame:
    """Three weeks, 2025-12-22 to 2026-01-05; spend 10, 20, 40 in the first geo, ten times that in the next."""
    weeks = pd.date_range("2025-12-22", periods=3, freq="7D").astype("datetime64[s]")
    rows = [
        {"week": week, "geo": geo, "target": 1.0, "spend.tv": spend * 10.0**place}
        for week, spend in zip(weeks, (10.0, 20.0, 40.0), strict=True)
        for place, geo in enumerate(geos)
    ]
    return pd.DataFrame(rows).astype({"week": "datetime64[s]"})


def write_version(folder: Path, version: VersionFile, geos: tuple[str, ...] = ("all",)) -> dict[str, Path]:
    """Write the files of a version whose effect is 2 in every draw, and a plot; return them by name."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "champion.json", version.model_dump())
    posterior = xr.Dataset({"effect": (("chain", "draw"), np.full((2, 50), 2.0))})
    save_tree(xr.DataTree.from_dict({"posterior": posterior}), folder / "base.nc")
    make_panel(geos).to_parquet(folder / "panel.parquet")
    (folder / "roas.png").write_bytes(b"a plot")
    files = {name: folder / name for name in ("base.nc", "champion.json", "panel.parquet")}
    return {**files, "plots/roas.png": folder / "roas.png"}
