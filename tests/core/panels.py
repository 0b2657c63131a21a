"""A small panel of one geo as ``weekly_grid`` gives it, and what was accepted of it a week before."""

import numpy as np
import pandas as pd

WEEKS = 60


def grid(weeks=WEEKS, seed=1):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [pd.date_range("2024-01-01", periods=WEEKS, freq="7D"), ["all"]], names=["week", "geo"]
    )
    frame = pd.DataFrame(
        {
            "rows": 1,
            "target": rng.normal(1000, 50, WEEKS),
            "spend.tv": rng.uniform(100, 120, WEEKS),
            "spend.search": rng.uniform(50, 60, WEEKS),
            "control.price": rng.uniform(9, 10, WEEKS),
        },
        index=index,
    )
    return frame.head(weeks)


def accepted(weeks=WEEKS - 1):
    return grid(weeks).drop(columns="rows")
