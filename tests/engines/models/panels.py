"""A small panel and its columns, for one geo or two."""

from typing import Any

import numpy as np
import pandas as pd


def make_columns(*, geo: bool) -> dict[str, Any]:
    return {
        "date": "day",
        "geo": "region" if geo else None,
        "target": {"column": "sales", "aggregate": "sum"},
        "channels": {
            "tv": {"spend": "tv", "exposure": None, "launched": None},
            "search": {"spend": "search", "exposure": "clicks", "launched": None},
        },
        "controls": {"price": {"column": "price", "aggregate": "mean"}},
        "events": {"promo": {"column": "promo", "aggregate": "max"}},
    }


def make_panel(*, geo: bool, weeks: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(11)
    geos = ["north", "south"] if geo else ["all"]
    rows = weeks * len(geos)
    week = np.repeat(
        pd.date_range("2021-01-04", periods=weeks, freq="7D").to_numpy().astype("datetime64[s]"), len(geos)
    )
    panel = pd.DataFrame({"week": week, "geo": geos * weeks})
    spend, clicks = random.gamma(2.0, 50.0, rows), random.gamma(2.0, 900.0, rows)
    promo = (random.random(rows) < 0.1) * 1.0
    price = random.normal(9.0, 0.5, rows)
    target = 1000.0 + 2.0 * spend + 0.1 * clicks + 300.0 * promo - 80.0 * (price - 9.0) + random.normal(0.0, 40.0, rows)
    return panel.assign(
        target=target,
        **{"spend.tv": spend, "spend.search": clicks / 10, "exposure.search": clicks},
        **{"control.price": price, "event.promo": promo},
    )


def make_spec(**changes: Any) -> dict[str, Any]:
    return {
        "adstock": {"class": "GeometricAdstock", "kwargs": {"l_max": 4}},
        "saturation": {"class": "LogisticSaturation", "kwargs": {}},
        "yearly_seasonality": 2,
        "trend": True,
        "model_config": {},
    } | changes


REGRESSION_SPEC = {
    "yearly_seasonality": 1,
    "trend": True,
    "media": "log1p",
    "likelihood": "Normal",
    "priors": {"intercept_sd": 1.0, "coefficient_sd": 1.0, "noise_sd": 1.0},
}

AMENDMENTS = {
    "effect_breaks": [
        {"channel": "tv", "from": "2021-08-02", "sd": 0.3},
        {"channel": "search", "from": "2021-10-04", "sd": 0.7},
        {"channel": "search", "from": "2022-01-03", "sd": 0.7},
    ],
    "level_breaks": ["2021-10-04"],
    "first_week": "2021-03-01",
}
