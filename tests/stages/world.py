"""A small week in a work clone: a regression whose truth is known, and draws around that truth instead of a fit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from stages.histories import quality_point

from evermix.config import ModelParams, parse_params
from evermix.core.diff import diff_panels
from evermix.core.draws import hash_draws
from evermix.core.quality_record import to_text
from evermix.engines.models import load_kind
from evermix.engines.models.drawsfile import save_tree
from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, write_bytes, write_json, write_text

FIRST = pd.Timestamp("2023-01-02")
FITTED_WEEKS = 120
SIGMA = 0.2
SPEC = {
    "yearly_seasonality": 1,
    "trend": False,
    "media": "log1p",
    "likelihood": "Normal",
    "priors": {"intercept_sd": 1.0, "coefficient_sd": 1.0, "noise_sd": 1.0},
}
COLUMNS = {
    "date": "week",
    "geo": None,
    "target": {"column": "sales", "aggregate": "sum"},
    "channels": {
        "tv": {"spend": "tv_spend", "exposure": None, "launched": None},
        "search": {"spend": "search_spend", "exposure": None, "launched": None},
    },
    "controls": {"price": {"column": "price", "aggregate": "mean"}},
    "events": {},
}
BASIS = {
    "geos": ["all"],
    "time": {"origin": "2023-01-02", "unit_weeks": 120},
    "target": {"all": {"max": 1500.0, "mean": 1000.0, "sd": 100.0}},
    "media": {"tv": {"all": 300.0}, "search": {"all": 300.0}},
    "controls": {"price": {"mean": 10.0, "sd": 1.0}},
    "events": {},
}


def make_params(**changes: Any) -> ModelParams:
    """Return the shipped params of ``brand`` with this world's kind, columns and spec."""
    root = Path(__file__).resolve().parents[2]
    brand = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["models"]["brand"]
    brand |= {"kind": "regression", "columns": COLUMNS, "spec": SPEC} | changes
    return parse_params({"models": {"brand": brand}}, "params.yaml").model("brand")


def week_of(number: int) -> str:
    return (FIRST + pd.Timedelta(weeks=number)).strftime("%Y-%m-%d")


def make_draws(size: int = 4000, seed: int = 3) -> xr.DataTree:
    random = np.random.default_rng(seed)
    truth = np.array([0.8, 1.2, -0.5, 0.4, 0.3])
    coefficient = truth + 0.02 * random.standard_normal((2, size // 2, truth.size))
    posterior = xr.Dataset(
        {
            "intercept": (("chain", "draw", "geo"), 0.02 * random.standard_normal((2, size // 2, 1))),
            "coefficient": (("chain", "draw", "feature"), coefficient),
            "sigma": (("chain", "draw"), SIGMA + 0.002 * random.standard_normal((2, size // 2))),
        },
        coords={"geo": ["all"], "feature": ["tv", "search", "price", "sin_1", "cos_1"]},
    )
    return xr.DataTree.from_dict({"posterior": posterior})


def make_panel(weeks: int, seed: int = 7) -> pd.DataFrame:
    """Return a panel that the draws describe: same seed, same first weeks however many there are."""
    random = np.random.default_rng(seed)
    numbers = random.standard_normal((400, 4))[:weeks]
    panel = pd.DataFrame({"week": pd.date_range(FIRST, periods=weeks, freq="7D").astype("datetime64[s]")})
    panel["geo"] = pd.Series("all", index=panel.index, dtype="str")
    panel["target"] = 1000.0
    panel["spend.tv"] = 150 * np.exp(0.3 * numbers[:, 0])
    panel["spend.search"] = 150 * np.exp(0.3 * numbers[:, 1])
    panel["control.price"] = 10 + numbers[:, 2]
    kept = make_draws()["posterior"].to_dataset().mean(("chain", "draw")).expand_dims("draw")
    mean = load_kind("regression").predict(kept, panel, COLUMNS, SPEC, BASIS).mean[0]
    return panel.assign(target=mean + 100 * SIGMA * numbers[:, 3])


def version_file(**changes: Any) -> dict[str, Any]:
    fitted = week_of(FITTED_WEEKS - 1)
    return {
        "id": f"brand/{fitted}/0123abcd",
        "model": "brand",
        "as_of": fitted,
        "fitted_through": fitted,
        "kind": "regression",
        "spec": SPEC,
        "basis": BASIS,
        "columns": COLUMNS,
        "recipe": 1,
        "sampler": make_params().sampler.model_dump(),
        "request": "0" * 16,
        "observed_hash": "0" * 64,
        "draws_hash": hash_draws(make_draws()["posterior"].to_dataset()),
        "noise_sd": 100 * SIGMA,
        "ess_bulk_min": 4000.0,
    } | changes


def write_champion(store: Store, **changes: Any) -> None:
    write_json(store.before / "champion.json", version_file(**changes))
    save_tree(make_draws(), store.before / "base.nc")
    write_bytes(store.before / "base_panel.parquet", panel_bytes(make_panel(FITTED_WEEKS)))


def write_week(store: Store, panel: pd.DataFrame, before: pd.DataFrame | None = None) -> None:
    """Write what open and validate leave for an accepted delivery."""
    as_of = panel["week"].max().strftime("%Y-%m-%d")
    write_json(store.week, {"model": store.model, "as_of": as_of, "reconstructed": False})
    write_json(store.orders, {"waivers": [], "frozen": None, "refit": None})
    write_report(store, as_of, "accepted")
    write_bytes(store.validated / "panel.parquet", panel_bytes(panel))
    write_json(store.validated / "diff.json", diff_panels(before, panel).model_dump())
    store.before.mkdir(parents=True, exist_ok=True)
    if before is not None:
        write_bytes(store.before / "panel.parquet", panel_bytes(before))


def write_report(store: Store, as_of: str, status: str) -> None:
    fault = {"rule": "gap", "where": "week", "what": "missing", "value": "", "expected": "", "action": ""}
    report = {
        "model": store.model,
        "as_of": as_of,
        "status": status,
        "faults": [fault, fault] if status == "quarantined" else [],
        "warnings": [],
        "weeks": 0,
        "first_week": None,
        "last_week": None,
        "held_back": [],
        "late_targets": [],
    }
    write_json(store.validated / "report.json", report)
    asked = ("completeness", "freshness_days", "label_delay_weeks", "restated_share")
    points = [quality_point(as_of, False, measure=measure) for measure in asked] if status == "accepted" else []
    write_text(store.validated / "quality.csv", to_text(points))


def write_quarantine(store: Store, as_of: str) -> None:
    write_json(store.week, {"model": store.model, "as_of": as_of, "reconstructed": False})
    write_json(store.orders, {"waivers": [], "frozen": None, "refit": None})
    write_report(store, as_of, "quarantined")
    write_json(store.validated / "diff.json", {"status": "quarantined: no panel to compare"})


def write_fit(store: Store, request: dict[str, Any]) -> None:
    """Write what the stage fit leaves, with draws around the truth."""
    store.fit.mkdir(parents=True, exist_ok=True)
    save_tree(make_draws(), store.fit / "posterior.nc")
    save_tree(make_draws(seed=4), store.fit / "holdout.nc")
    summary = {"rhat_max": 1.0, "ess_bulk_min": 900.0, "ess_tail_min": 800.0, "divergence_share": 0.0, "bfmi_min": 0.9}
    write_json(
        store.fit / "fit.json",
        {"status": "fitted", "request": request["id"], "basis": BASIS, "summary": summary, "noise_sd": 20.0},
    )
