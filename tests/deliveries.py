"""A clean delivery, its params, and the ways to look at what the contract says of a broken one."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from evermix.config import ModelParams, parse_params

PROJECT = Path(__file__).parents[1]
FIRST = date(2024, 1, 1)
WEEKS = 60
AS_OF = date(2025, 2, 17)  # the sixtieth Monday
OPTIONAL = ("personal_data_allowed", "max_rewritten_share", "tracked")
CHANNELS = {
    "tv": {"spend": "tv_spend", "exposure": None, "launched": None},
    "search": {"spend": "search_spend", "exposure": "search_clicks", "launched": None},
}


def model_params(**changes: Any) -> ModelParams:
    """Return the shipped brand's params with columns of `weekly_text`; ``changes`` replace keys of its blocks."""
    brand = yaml.safe_load((PROJECT / "params.yaml").read_text())["models"]["brand"]
    source = {"path": "feed.csv", "format": "csv", "frequency": "weekly", "label": "start", "week_start": "MON"}
    columns = {
        "date": "week",
        "geo": None,
        "target": {"column": "sales", "aggregate": "sum"},
        "channels": CHANNELS,
        "controls": {"price": {"column": "price", "aggregate": "mean"}},
        "events": {"promo": {"column": "promo", "aggregate": "max"}},
    }
    for block in (source, columns, brand["validation"]):
        block |= {
            key: value for key, value in changes.items() if key in block or (key in OPTIONAL and "min_weeks" in block)
        }
    entry = brand | {"source": source, "columns": columns} | {k: v for k, v in changes.items() if k in brand}
    return parse_params({"models": {"m": entry}}, "test").model("m")


def weekly_text(weeks: int = WEEKS, geos: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return the first weeks of a clean table of text, one row per week (and geo), labelled as a spreadsheet does."""
    rng = np.random.default_rng(1)
    rows = [(day, geo) for day in pd.date_range(FIRST, periods=WEEKS, freq="7D") for geo in geos or ("",)]
    n = len(rows)
    frame = pd.DataFrame(
        {
            "week": [day.date().isoformat() for day, _ in rows],
            "geo": [geo for _, geo in rows],
            "sales": [f"{v:.2f}" for v in 1000 + 50 * rng.standard_normal(n)],
            "tv_spend": [f"{v:.2f}" for v in 100 + 20 * rng.random(n)],
            "search_spend": [f"{v:.2f}" for v in 50 + 5 * rng.random(n)],
            "search_clicks": [str(v) for v in rng.integers(100, 200, n)],
            "price": [f"{v:.2f}" for v in 9 + rng.random(n)],
            "promo": [str(v) for v in rng.integers(0, 2, n)],
        },
        dtype="str",
    )
    frame.index = pd.RangeIndex(2, 2 + n)
    shorter = frame.head(weeks * len(geos or ("",)))
    return shorter if geos else shorter.drop(columns="geo")


def daily_text(first: date, days: int) -> pd.DataFrame:
    """Return a clean table of daily text: target 1 a day, tv 2, search 3, clicks 4, price the day of the month."""
    dates = [day.date() for day in pd.date_range(first, periods=days, freq="1D")]
    cells = {
        "week": [day.isoformat() for day in dates],
        "sales": ["1"] * days,
        "tv_spend": ["2"] * days,
        "search_spend": ["3"] * days,
        "search_clicks": ["4"] * days,
        "price": [str(day.day) for day in dates],
        "promo": ["0"] * days,
    }
    return pd.DataFrame(cells, index=pd.RangeIndex(2, 2 + days), dtype="str")


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a text table as the CSV file that holds it."""
    return frame.to_csv(index=False, lineterminator="\n").encode()
