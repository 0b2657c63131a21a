"""What is true of a simulated brand, as records and as the JSON that is written beside its feed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from evermix.core.simulate_events import Channel, EffectChange, SpendShift, describe_event
from evermix.core.simulate_feed import Feed
from evermix.core.simulate_scenarios import Scenario
from evermix.core.simulate_series import L_MAX, Series, noise_scale


@dataclass(frozen=True)
class MediaTruth:
    """One channel in one geo.

    Attributes
    ----------
    spend : ndarray, shape (week,)
        Money, as published first.
    alpha, lam : float
        Adstock retention; saturation of ``adstock(spend / scale)``.
    beta : float
        Contribution at full saturation, in target units.
    scale : float
        Money at which the saturation's argument is 1.
    contribution : ndarray, shape (week,)
        In target units: ``beta * effect factor * saturation``.
    """

    channel: Channel
    spend: Series
    alpha: float
    lam: float
    beta: float
    scale: float
    contribution: Series


@dataclass(frozen=True)
class GeoTruth:
    """One geo: inputs, parameters and the mean, component by component; series have shape (week,).

    Attributes
    ----------
    growth : float
        Target units per year of 365.25 days.
    season : ndarray, shape (4,)
        Coefficients of sin 1, cos 1, sin 2, cos 2, in target units.
    effects : dict of str to float
        Target units per unit of each control.
    contributions : dict of str to ndarray
        Every component; they sum to the mean.
    """

    inputs: dict[str, Series]
    growth: float
    season: Series
    effects: dict[str, float]
    media: dict[str, MediaTruth]
    contributions: dict[str, Series]
    noise: Series
    noise_sd: float

    @property
    def mean(self) -> Series:
        """Return the sum of the contributions."""
        return _add_up(list(self.contributions.values()))

    @property
    def baseline(self) -> Series:
        """Return the mean without media."""
        parts = [part for name, part in self.contributions.items() if name not in self.media]
        return _add_up(parts)


def write_truth(scenario: Scenario, seed: int, feed: Feed, geos: dict[str, GeoTruth]) -> dict[str, Any]:
    """Return ``truth.json``: what was chosen, drawn and done.

    Returns
    -------
    dict
        ``scenario, model, seed, weeks`` (Mondays), ``history_through, events``, ``geos`` (parameters and
        series per geo) and ``roas`` (per channel, geos together, one entry per regime and one for all weeks).
    """
    history = min(scenario.history_weeks, len(feed.mondays))
    return {
        "scenario": scenario.name,
        "model": scenario.model,
        "seed": seed,
        "target": scenario.target,
        "weeks": [monday.isoformat() for monday in feed.mondays],
        "history_through": feed.name_week(history),
        "confounding": scenario.confounding,
        "events": [describe_event(event, feed.name_week) for event in scenario.events],
        "geos": {name: _describe_geo(scenario, geo) for name, geo in geos.items()},
        "roas": {
            name: _list_regimes(scenario, feed, name, [geo.media[name] for geo in geos.values()])
            for name in next(iter(geos.values())).media
        },
    }


def _describe_geo(scenario: Scenario, geo: GeoTruth) -> dict[str, Any]:
    centres = {c.name: c.centre for c in scenario.controls}
    return {
        "intercept": _number(geo.contributions["intercept"][0]),
        "growth_per_year": _number(geo.growth),
        "season": dict(zip(("sin_1", "cos_1", "sin_2", "cos_2"), map(_number, geo.season), strict=True)),
        "controls": {n: {"effect": _number(e), "centre": centres[n]} for n, e in geo.effects.items()},
        "noise_sd": _number(geo.noise_sd),
        "noise_scale": _number(noise_scale(geo.noise_sd, scenario.nu)),
        "nu": scenario.nu,
        "channels": {name: _describe_media(media) for name, media in geo.media.items()},
        "contributions": {name: _numbers(part) for name, part in geo.contributions.items()},
        "baseline": _numbers(geo.baseline),
        "mean": _numbers(geo.mean),
        "noise": _numbers(geo.noise),
    }


def _describe_media(media: MediaTruth) -> dict[str, Any]:
    return {
        "column": media.channel.column,
        "adstock_alpha": _number(media.alpha),
        "adstock_l_max": L_MAX,
        "saturation_lam": _number(media.lam),
        "saturation_beta": _number(media.beta),
        "spend_scale": _number(media.scale),
        "spend": _numbers(media.spend),
    }


def _list_regimes(scenario: Scenario, feed: Feed, name: str, media: list[MediaTruth]) -> list[dict[str, Any]]:
    """Return the ROAS of each stretch between changes of a channel's spend or effect, then that of all weeks."""
    n = len(feed.mondays)
    changes = {e.week - 1 for e in scenario.events if isinstance(e, EffectChange | SpendShift) and e.channel == name}
    cuts = sorted({0, n} | changes)
    spans = list(pairwise(cuts))
    spans += [(0, n)] if len(spans) > 1 else []
    spend = _add_up([m.spend for m in media])
    contribution = _add_up([m.contribution for m in media])
    return [
        {"first": feed.name_week(a + 1), "last": feed.name_week(b)} | measure_roas(contribution[a:b], spend[a:b])
        for a, b in spans
    ]


def measure_roas(contribution: Series, spend: Series) -> dict[str, float | None]:
    """Return total contribution, total spend and their ratio; the ratio is None where nothing was spent.

    Carry-over counts in the week in which it sells, so the first weeks of a regime still earn from the last spend
    of the regime before.
    """
    earned, paid = float(contribution.sum()), float(spend.sum())
    ratio = _number(earned / paid) if paid > 0 else None
    return {"contribution": _number(earned), "spend": _number(paid), "roas": ratio}


def _add_up(parts: list[Series]) -> Series:
    total: Series = np.stack(parts).sum(axis=0)
    return total


def _number(value: float) -> float:
    # Ten digits: all that is meant, and no last bits that differ between machines.
    return float(f"{float(value):.10g}")


def _numbers(values: Series) -> list[float]:
    return [_number(v) for v in values]
