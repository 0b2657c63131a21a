"""Forecasts of more than a week: what the posterior of 4 and 13 weeks ago says of the weeks whose target has come.

An origin is a posterior as it was when a week was closed.  It is frozen then, as the draws it is made of, and asked
when the target of a later week arrives, with the inputs that really happened; nothing of what came between enters it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.core.predictive import Predictive
from evermix.core.prequential import LONG_HORIZONS, TOTAL_GEO
from evermix.records import Origin, Score

# A target that is later than that is not scored at long horizons.
KEPT_WEEKS = 26

Mask = NDArray[np.bool_]


def due_rows(
    panel: pd.DataFrame, known: Mask, origins: Mapping[str, Origin], log: Sequence[Score]
) -> dict[tuple[int, str], Mask]:
    """Return, by horizon and the week of its origin, which panel rows are due to be scored.

    Parameters
    ----------
    known : ndarray of bool, shape (row,)
        Rows that have a target.
    origins : mapping
        Frozen posteriors by the week they were frozen in, ISO Monday.
    """
    scored = {(row.horizon, row.week, row.geo) for row in log}
    weeks, geos = panel["week"].dt.strftime("%Y-%m-%d").tolist(), panel["geo"].astype(str).tolist()
    out: dict[tuple[int, str], Mask] = {}
    for horizon in LONG_HORIZONS:
        starts = (panel["week"] - pd.Timedelta(weeks=horizon)).dt.strftime("%Y-%m-%d")
        for origin in sorted(set(starts[known]) & set(origins)):
            fresh = [(horizon, week, geo) not in scored for week, geo in zip(weeks, geos, strict=True)]
            rows = known & (starts == origin).to_numpy() & np.array(fresh, dtype=bool)
            if rows.any():
                out[horizon, origin] = rows
    return out


def weekly_total(predictive: Predictive, rows: pd.DataFrame, geos: int) -> tuple[Predictive, pd.DataFrame] | None:
    """Return what is said of the sum over geos of each week that all geos arrived in, and those sums; None without one.

    Draw by draw the mean is the sum of the geos' means and the noise scale the root of the sum of their squares: given
    a draw, geos are independent in every kind that is shipped.  Student-t noise keeps its degrees of freedom, which for
    a sum is a little heavy in the tails; weeks that shake all geos at once show as intervals that are too narrow.

    Parameters
    ----------
    predictive : Predictive
        Of exactly these rows.
    rows : DataFrame
        Panel rows with a target that arrived together.
    geos : int
        Geos that the panel has; with one there is no total.
    """
    counts = rows.groupby("week")["geo"].transform("size").to_numpy()
    whole = counts == geos
    if geos == 1 or not whole.any():
        return None
    kept = rows[whole]
    weeks, place = np.unique(kept["week"].to_numpy(), return_inverse=True)
    member = np.equal.outer(place, np.arange(len(weeks))).astype(np.float64)
    inside = predictive.rows(whole)
    total = Predictive(inside.mean @ member, np.sqrt(inside.sd**2 @ member), inside.nu, inside.log_weights)
    target = kept["target"].to_numpy(float) @ member
    return total, pd.DataFrame({"week": weeks, "geo": TOTAL_GEO, "target": target})


def expired(origin: str, as_of: str) -> bool:
    """Return whether an origin is too old for any week that may still come."""
    return pd.Timestamp(as_of) - pd.Timestamp(origin) > pd.Timedelta(weeks=KEPT_WEEKS)
