"""What each channel brings as its spend grows or shrinks, draw by draw, asked of any kind of model.

A kind only has to tell the parts of its mean (``contributions``): the plan's weeks are asked again with all media
multiplied by a factor.  A channel's part is taken to depend on its own spend alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Contribute = Callable[[pd.DataFrame], xr.DataArray]

# Carry-over from weeks further back is taken to be nothing.
LOOKBACK_WEEKS = 52
# Curves are drawn at least so far beyond the present spend.
_DRAWN_BEYOND = 0.5


@dataclass(frozen=True)
class Responses:
    """Response curves of a plan's channels.

    Attributes
    ----------
    channels : tuple of str
    spend : ndarray, shape (channel,)
        Money per week under the plan, all geos together.
    factors : ndarray, shape (level,)
        What all spend of a channel is multiplied by, ascending, from 0; 1 is the plan.
    value : ndarray, shape (draw, channel, level)
        What the channel adds to the target per week, mean over the plan's weeks, all geos together, target units.
    """

    channels: tuple[str, ...]
    spend: Floats
    factors: Floats
    value: Floats

    @property
    def kept(self) -> Floats:
        """Value of each channel under the plan itself, shape (draw, channel), target units per week."""
        return np.asarray(self.value[:, :, int(np.flatnonzero(self.factors == 1.0)[0])])

    @property
    def mean(self) -> Floats:
        """Posterior mean of each curve, shape (channel, level)."""
        return np.asarray(self.value.mean(axis=0))

    def draws(self, part: slice) -> Responses:
        """Return the same of some draws."""
        return Responses(self.channels, self.spend, self.factors, self.value[part])


def repeat_weeks(panel: pd.DataFrame, weeks: int) -> pd.DataFrame:
    """Return the weeks to come, if they were like the last ones of a panel; their target is not known."""
    last = last_weeks(panel, weeks)
    return last.assign(week=last["week"] + pd.Timedelta(weeks=last["week"].nunique()), target=np.nan)


def response_curves(
    contribute: Contribute, panel: pd.DataFrame, plan: pd.DataFrame, channels: Sequence[str], max_change: float
) -> Responses:
    """Return how the plan's weeks come out with less or more spend.

    The plan keeps its rhythm: a channel that comes in bursts still does, each burst smaller or larger.  The weeks
    before the plan are scaled too, as if it had always been so.

    Parameters
    ----------
    contribute : callable
        Panel to contributions, dims (draw, week, geo, component), target units.
    panel : DataFrame
        Canonical panel of the weeks so far.
    plan : DataFrame
        Canonical panel of the plan's weeks, which follow.
    channels : sequence of str
        Components whose spend may move.
    max_change : float
        Curves reach at least up to ``1 + max_change``.
    """
    whole = pd.concat([last_weeks(panel, LOOKBACK_WEEKS), plan[list(panel.columns)]], ignore_index=True)
    media = [c for c in media_columns(channels) if c in whole]
    beyond = np.linspace(1.0, 1.0 + max(max_change, _DRAWN_BEYOND), 6)[1:]
    factors = np.concatenate([np.linspace(0.0, 1.0, 11), beyond])
    weeks = plan["week"].nunique()

    def per_week(factor: float) -> Floats:
        parts = contribute(whole.assign(**{c: whole[c] * factor for c in media})).sel(component=list(channels))
        told = parts.isel(week=slice(-weeks, None)).sum("geo").mean("week")
        return np.asarray(told.transpose("draw", "component").to_numpy())

    value = np.stack([per_week(factor) for factor in factors], axis=-1)
    spend = [float(plan[f"spend.{name}"].sum()) / weeks for name in channels]
    return Responses(tuple(channels), np.array(spend, dtype=np.float64), factors, value)


def curve_table(responses: Responses) -> pd.DataFrame:
    """Return channel, factor, weekly spend, and mean and 90 % interval of what it brings, to be plotted."""
    channels, levels = len(responses.channels), len(responses.factors)
    low, high = np.quantile(responses.value, [0.05, 0.95], axis=0)
    return pd.DataFrame(
        {
            "channel": np.repeat(responses.channels, levels),
            "factor": np.tile(responses.factors, channels),
            "spend": np.outer(responses.spend, responses.factors).ravel(),
            "mean": responses.mean.ravel(),
            "low_90": low.ravel(),
            "high_90": high.ravel(),
        }
    )


def last_weeks(panel: pd.DataFrame, weeks: int) -> pd.DataFrame:
    """Return the rows of the last weeks of a panel."""
    return panel[panel["week"].isin(panel["week"].drop_duplicates().sort_values().iloc[-weeks:])]


def media_columns(channels: Sequence[str]) -> list[str]:
    """Return the columns that hold a channel's spend and exposure; a panel may lack the second."""
    return [f"{role}.{name}" for name in channels for role in ("spend", "exposure")]
