"""Which version should a review propose after an alarm?  Coverage of present effects by each fit, on simulated brands.

Run: ``python benchmarks/challengers.py --replicates 200``.  A surrogate: the brand's own carry-over and saturation are
taken as known, so that the model is linear with Normal noise and each fit is exact; an effect's step is taken as Normal
on the effect itself.  The MMM knows less, and its intervals are wider.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.core.challengers import REFIT, list_challengers
from evermix.core.contest import propose
from evermix.core.simulate import simulate
from evermix.core.simulate_events import EffectChange, LevelShift
from evermix.core.simulate_scenarios import QUIET
from evermix.core.transforms import fourier_modes

Floats = NDArray[np.float64]

CHANGE = 160
HELD = 13
SCENARIOS = {
    "effect halves": EffectChange(CHANGE, "search", 0.5),
    "level falls": LevelShift(CHANGE, -1.5),
    "nothing": None,
}
# Other seeds than those that the rule was chosen on (5000 to 5099).
FIRST_SEED = 20_000
MIN_LEAD_SE = 3.0
# What one unit of a log step moves an effect by, on average over a step of 0.7 sd.
PER_STEP = 0.8
WIDE = 1e5


@dataclass(frozen=True)
class Brand:
    """A simulated brand as a linear model: what each channel would bring unchanged (week, channel), and the rest."""

    weeks: list[str]
    channels: list[str]
    target: Floats
    media: Floats
    base: Floats
    noise_sd: float
    present: Floats


def main() -> None:
    """Print one table per scenario and number of weeks since the change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--suspect", default="search", help="the channel that the alarm suspects first")
    args = parser.parse_args()
    for scenario in SCENARIOS:
        for since in (8, 13, 26):
            rows = [
                row
                for seed in range(FIRST_SEED, FIRST_SEED + args.replicates)
                for row in contest(make_brand(scenario, seed, since), seed, args.suspect)
            ]
            table = pd.DataFrame(rows).groupby("fit", sort=False).mean(numeric_only=True)
            print(f"\n{scenario}, {since} weeks ago, {args.replicates} brands; coverage of 90 % intervals")
            print(table.round(2).to_string())


def make_brand(scenario: str, seed: int, since: int) -> Brand:
    """Return a brand ``since`` weeks after its change."""
    event = SCENARIOS[scenario]
    played = QUIET.after(*([] if event is None else [event]), name="surrogate", weeks=CHANGE + since)
    sim = simulate(played, seed)
    last = sim.feed.name_week(CHANGE + since - 1)
    table = pd.read_csv(io.BytesIO(sim.feed.deliver(last, 1).content))
    truth, channels, weeks = sim.truth["geos"]["all"], [c.name for c in played.channels], len(table)
    media = np.array([truth["contributions"][name][:weeks] for name in channels]).T
    present = np.ones(len(channels))
    if isinstance(event, EffectChange):
        place = channels.index(event.channel)
        media[CHANGE - 1 :, place] /= event.factor
        present[place] = event.factor
    inputs = table[["price", "promo", "holiday"]].to_numpy(float)
    season = fourier_modes(pd.DatetimeIndex(table["week"]).dayofyear.to_numpy(), 2)
    base = np.column_stack([np.ones(weeks), np.arange(weeks) / weeks, inputs, season])
    return Brand(list(table["week"]), channels, table["sales"].to_numpy(float), media, base, truth["noise_sd"], present)


def contest(brand: Brand, seed: int, suspect: str) -> list[dict[str, Any]]:
    """Return per fit whether its intervals hold the present effects, how wide they are, and whether it is proposed."""
    # An alarm's estimate of the change point is a few weeks off.
    off = int(np.random.default_rng(seed).integers(-2, 4))
    alarm = {
        "change_point": {"week": brand.weeks[CHANGE - 1 + off]},
        "suspects": [
            {"name": suspect, "family": "channel", "probability": 0.5},
            {"name": "level", "family": "level", "probability": 0.4},
        ],
    }
    plans = {REFIT: {}} | {
        one["name"]: one["amendments"] for one in list_challengers(alarm, {}, brand.channels, brand.weeks)
    }
    fits = {name: fit(brand, amendments) for name, amendments in plans.items()}
    chosen = propose({name: scores for name, (scores, _, _) in fits.items()}, MIN_LEAD_SE)
    fits["the proposed one"] = fits[chosen]
    rows, searched = [], brand.channels.index("search")
    for name, (scores, mean, sd) in fits.items():
        held = np.abs(mean - brand.present) < 1.645 * sd
        others = np.delete(held, searched).mean()
        lead = float((scores - fits[REFIT][0]).sum())
        rows.append(
            {"fit": name, "search": held[searched], "others": others, "sd of search": sd[searched], "lead": lead}
            | {"proposed": name == chosen}
        )
    return rows


def fit(brand: Brand, amendments: Mapping[str, Any]) -> tuple[pd.Series, Floats, Floats]:
    """Return one-step scores of the held-out weeks, and mean and sd of the present effect of each channel."""
    columns, prior = [brand.media, brand.base], [np.ones(brand.media.shape[1]), np.full(brand.base.shape[1], WIDE)]
    effects = np.eye(brand.media.shape[1], brand.media.shape[1] + brand.base.shape[1])
    weeks = np.array(brand.weeks)
    for one in amendments.get("effect_breaks", []):
        place = brand.channels.index(one["channel"])
        columns.append((brand.media[:, place] * (weeks >= one["from"]))[:, None])
        prior.append(np.array([one["sd"] * PER_STEP]))
        effects = np.column_stack([effects, np.arange(len(brand.channels)) == place])
    for week in amendments.get("level_breaks", []):
        columns.append((weeks >= week).astype(float)[:, None])
        prior.append(np.array([WIDE]))
        effects = np.column_stack([effects, np.zeros(len(brand.channels))])
    design, sd = np.column_stack(columns), np.concatenate(prior)
    used = weeks >= amendments.get("first_week", "")
    early = used & (np.arange(len(weeks)) < len(weeks) - HELD)
    mean, covariance = posterior(design[early], brand.target[early], sd, brand.noise_sd)
    scores = []
    for x, y in zip(design[-HELD:], brand.target[-HELD:], strict=True):
        variance = x @ covariance @ x + brand.noise_sd**2
        scores.append(-0.5 * np.log(2 * np.pi * variance) - 0.5 * (y - x @ mean) ** 2 / variance)
        gain = covariance @ x / variance
        mean, covariance = mean + gain * (y - x @ mean), covariance - np.outer(gain, gain) * variance
    mean, covariance = posterior(design[used], brand.target[used], sd, brand.noise_sd)
    return pd.Series(scores), effects @ mean, np.sqrt(np.diag(effects @ covariance @ effects.T))


def posterior(design: Floats, target: Floats, prior_sd: Floats, noise_sd: float) -> tuple[Floats, Floats]:
    """Return mean and covariance of the coefficients."""
    covariance = np.linalg.inv(design.T @ design / noise_sd**2 + np.diag(prior_sd**-2.0))
    return covariance @ (design.T @ target) / noise_sd**2, covariance


if __name__ == "__main__":
    main()
