"""One replicate: a simulated brand that lives through 156 weeks of history and 52 weeks in one scenario."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import ModelParams
from evermix.core.panel import ALL_GEOS, value_columns
from evermix.core.simulate import Simulation, simulate
from evermix.core.simulate_events import EffectChange, Event, LevelShift, Outlier, Restatement, SpendShift
from evermix.core.simulate_scenarios import QUIET, Channel, Scenario

Floats = NDArray[np.float64]

HISTORY, WEEKS = 156, 52
HORIZON = 32
"""Weeks within which a change should be found; the change comes early enough for all of them to be played."""
EFFECT_CHANNEL = "search"
"""Always on, so that an effect that halves is a step in the target's mean and not a series of pulses."""
_PASSES = 4


@dataclass(frozen=True)
class Replicate:
    """What was played, and what was true.

    Attributes
    ----------
    change : int or None
        Number of weeks after the base before anything happens, 0 to 19; None where nothing does.
    shape : ndarray, shape (52,)
        What the event adds to the target's mean in each week after the base, in noise sd.
    noise_sd : float
        True noise standard deviation, target units.
    """

    scenario: str
    seed: int
    simulation: Simulation
    change: int | None
    shape: Floats
    noise_sd: float

    def panel(self, params: ModelParams, weeks: int) -> pd.DataFrame:
        """Return the canonical panel as it was known ``weeks`` weeks after the base (0: the base's training data)."""
        return self.whole_panel(params, weeks).head(HISTORY + weeks)

    def whole_panel(self, params: ModelParams, weeks: int) -> pd.DataFrame:
        """Return the panel of all weeks, those to come included, in the restatement that holds in a week."""
        feed = self.simulation.feed
        restated, last = self.is_restated(weeks), len(feed.mondays)
        values = {
            name: (feed.known_values(source, last) if restated else feed.columns[source])[:, 0]
            for name, (source, _) in value_columns(params.columns).items()
        }
        monday = np.array(feed.mondays, dtype="datetime64[s]")
        return pd.DataFrame({"week": monday, "geo": ALL_GEOS} | values).astype({"geo": "str"})

    def is_restated(self, weeks: int) -> bool:
        """Return whether the past has been restated by the delivery of so many weeks after the base."""
        return any(isinstance(e, Restatement) and e.week <= HISTORY + weeks for e in self.simulation.scenario.events)


def play(scenario: str, seed: int) -> Replicate:
    """Return a replicate; everything is drawn from the seed.

    The week of the change is one of the first 20 after the base, each as likely as the next, so that 32 weeks
    are left to see it in.  An effect that halves is scaled for the very series: the channel's share of the target is
    chosen such that the mean over these 32 weeks moves by the size stated.
    """
    make = SCENARIOS[scenario]
    random = np.random.default_rng([seed, 4])
    change = int(random.integers(0, WEEKS - HORIZON))
    brand, events = make(seed, change, random)
    whole = dataclasses.replace(brand, weeks=WEEKS, history_weeks=HISTORY)
    after = simulate(dataclasses.replace(whole, events=events), seed)
    before = simulate(whole, seed) if events else after
    truth, quiet = (s.truth["geos"][ALL_GEOS] for s in (after, before))
    # A spend shift moves the mean through the same curve: the model knows of it, so it is no shape to look for.
    moved = np.zeros(WEEKS)
    if any(isinstance(e, EffectChange | LevelShift | Outlier) for e in events):
        moved = (np.array(truth["mean"]) - np.array(quiet["mean"]))[HISTORY:] / truth["noise_sd"]
    return Replicate(scenario, seed, after, change if events else None, moved, truth["noise_sd"])


def study_params(params: ModelParams) -> ModelParams:
    """Return the shipped brand without channels that the study's brand never has."""
    names = {c.name for c in QUIET.channels}
    kept = {name: channel for name, channel in params.columns.channels.items() if name in names}
    return params.model_copy(update={"columns": params.columns.model_copy(update={"channels": kept})})


Recipe = Callable[[int, int, np.random.Generator], tuple[Scenario, tuple[Event, ...]]]


def _number(change: int) -> int:
    return HISTORY + 1 + change


def _nothing(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
    return QUIET, ()


def _spend(factor: float) -> Recipe:
    def make(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
        channel = QUIET.channels[seed % len(QUIET.channels)].name
        return QUIET, (SpendShift(_number(change), channel, factor),)

    return make


def _halved(size: float) -> Recipe:
    def make(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
        brand = _worth(2.0 * size, seed, change)
        return brand, (EffectChange(_number(change), EFFECT_CHANNEL, 0.5),)

    return make


def _worth(worth: float, seed: int, change: int) -> Scenario:
    """Return the brand whose channel contributes ``worth`` noise sd on average over the weeks after the change."""
    window = slice(HISTORY + change, HISTORY + change + HORIZON)
    share = 0.1
    # Spend follows demand, and demand the share of media: the map from share to worth is a little off a line.
    for _ in range(_PASSES):
        brand = _with_share(share)
        truth = simulate(dataclasses.replace(brand, weeks=WEEKS), seed).truth["geos"][ALL_GEOS]
        contribution = np.array(truth["contributions"][EFFECT_CHANNEL])[window].mean()
        share *= worth * truth["noise_sd"] / contribution
    return _with_share(share)


def _with_share(share: float) -> Scenario:
    def fix(channel: Channel) -> Channel:
        return dataclasses.replace(channel, share=(share, share)) if channel.name == EFFECT_CHANNEL else channel

    return dataclasses.replace(QUIET, channels=tuple(fix(c) for c in QUIET.channels))


def _level(size: float) -> Recipe:
    def make(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
        return QUIET, (LevelShift(_number(change), size * random.choice([-1.0, 1.0])),)

    return make


def _outlier(size: float) -> Recipe:
    def make(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
        return QUIET, (Outlier(_number(change), size * random.choice([-1.0, 1.0])),)

    return make


def _restated(factor: float, weeks: int) -> Recipe:
    def make(seed: int, change: int, random: np.random.Generator) -> tuple[Scenario, tuple[Event, ...]]:
        column = QUIET.channels[seed % len(QUIET.channels)].column
        number = _number(change)
        return QUIET, (Restatement(number, column, factor, first=number - weeks, last=number - 1),)

    return make


SCENARIOS: dict[str, Recipe] = {
    "nothing": _nothing,
    "spend_shift": _spend(2.0),
    "large_spend_shift": _spend(4.0),
    "effect_halves": _halved(1.0),
    "small_effect_halves": _halved(0.26),
    "level_shift": _level(1.0),
    "large_level_shift": _level(2.0),
    "outlier": _outlier(5.0),
    "restated": _restated(1.1, 26),
}
