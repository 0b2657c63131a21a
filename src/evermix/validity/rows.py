"""One row of the study: a simulated year, and what the rules, the updates and the refits did in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evermix.config import ModelParams, Rule
from evermix.core import changes
from evermix.core.decide import Evidence
from evermix.core.diagnostics import WINDOW_WEEKS
from evermix.core.diff import diff_panels
from evermix.core.draws import stack_draws
from evermix.core.drift import measure_drift
from evermix.core.drift_null import Null, quiet_limits
from evermix.core.extrapolation import measure_reach
from evermix.engines.models import load_kind
from evermix.engines.models.fit import fit_model
from evermix.validity import chains
from evermix.validity.policy import Watch, fired_rules, oracle_record
from evermix.validity.posterior import Brand, follow, make_brand
from evermix.validity.replicate import EFFECT_CHANNEL, HISTORY, WEEKS, Replicate, play
from evermix.validity.updated import Loop

Floats = NDArray[np.float64]
Row = dict[str, Any]

LOOKS = (13, 26, 39, 52)
"""Weeks after the first base at which the updated posterior is held against a full refit."""
COMPARED = 25
"""Seeds 1 to this one are compared."""
WEEKLY_REFITS = {"nothing": 4, "effect_halves": 3}
"""Seeds 1 to this one are refitted every week too, for the one-step log score."""
DRIFT_SEEDS = {"nothing": 400, "spend_shift": 200, "large_spend_shift": 100}
"""Seeds 1 to this one have their inputs tested for drift every week, which is slow; it depends on inputs alone."""
_REFIT_DRAWS, _WEEKLY_DRAWS = 750, 500


def refit_rules(params: ModelParams) -> list[Rule]:
    """Return the rules that ask for refits on evidence that the study has: of the update, and of the calendar."""
    return [r for r in params.rules if r.decision == "refit" and r.evidence.startswith(("update.", "calendar."))]


def surrogate_row(scenario: str, seed: int, params: ModelParams) -> Row:
    """Return what the rules did in one simulated year by the surrogate."""
    brand = make_brand(play(scenario, seed), params)
    watch = Watch(params, list(params.columns.channels))
    path = []
    drift = drifts(brand) if seed <= DRIFT_SEEDS.get(scenario, 0) else itertools.repeat({}, WEEKS)
    for seen, restated, reach, drifted in zip(follow(brand), restatements(brand), reaches(brand), drift, strict=True):
        watch.see(seen, {**restated, **reach, **drifted})
        path.append(seen)
    row = _summary(brand.replicate, watch)
    oracle = {name: oracle_record(path, shape) for name, shape in oracle_shapes(brand).items()}
    if scenario == "nothing":
        # Whatever its threshold, an oracle errs in a quiet year if it passes it once.
        return row | {
            "oracle": {name: max((value for _, value in found), default=0.0) for name, found in oracle.items()}
        }
    return row | {"oracle": oracle[scenario]} if oracle else row


def oracle_shapes(brand: Brand) -> dict[str, Floats]:
    """Return what an oracle knows: of a change its true shape, sign and size; where nothing happens, each of them."""
    replicate = brand.replicate
    if replicate.change is not None and replicate.scenario not in ("outlier",) and np.any(replicate.shape):
        return {replicate.scenario: _from_the_start(replicate)}
    if replicate.scenario != "nothing":
        return {}
    search = np.array(replicate.simulation.truth["geos"]["all"]["contributions"][EFFECT_CHANNEL])[HISTORY:]
    sizes = {"level_shift": 1.0, "large_level_shift": 2.0}
    steps = {name: np.full(WEEKS, size) for name, size in sizes.items()}
    halves = {"effect_halves": 1.0, "small_effect_halves": 0.26}
    return steps | {name: -size * search / search.mean() for name, size in halves.items()}


def _from_the_start(replicate: Replicate) -> Floats:
    """Return the shape as it would be had the change begun with the first week."""
    truth = replicate.simulation.truth["geos"]["all"]
    if replicate.scenario.endswith("level_shift"):
        return np.full(WEEKS, replicate.shape[-1])
    after = replicate.change or 0
    effect = np.array(truth["contributions"][EFFECT_CHANNEL])[HISTORY:] / replicate.noise_sd
    # Halved: what is missing equals what is left.
    return -np.concatenate([effect[:after] / 2.0, effect[after:]])


def restatements(brand: Brand) -> Iterator[Evidence]:
    """Yield the ``restatement.*`` evidence of each week."""
    quiet: dict[str, float | bool | None] = dict.fromkeys(
        ("restatement.target_sd", "restatement.spend_share", "restatement.cells"), 0.0
    )
    replicate, params = brand.replicate, brand.params
    for week in range(WEEKS):
        if not replicate.is_restated(week + 1) or replicate.is_restated(week):
            yield quiet
            continue
        before, now = replicate.panel(params, week), replicate.panel(params, week + 1)
        through = before["week"].iloc[HISTORY - 1].strftime("%Y-%m-%d")
        yield {**changes.restatement(diff_panels(before, now), before, through, replicate.noise_sd)}


def reaches(brand: Brand) -> Iterator[Evidence]:
    """Yield how far each week's spend lies beyond the first base's training data."""
    for known, through in _weeks_known(brand):
        yield {"drift.extrapolation": max((reach.ratio for reach in measure_reach(known, through)), default=0.0)}


def drifts(brand: Brand) -> Iterator[Evidence]:
    """Yield the ``drift.*`` evidence of each week, against the first base's training data."""
    learnt: list[Null] = []

    def once(*args: Any) -> Null:
        if not learnt:
            learnt.append(quiet_limits(*args))
        return learnt[0]

    for known, through in _weeks_known(brand):
        report = measure_drift(known, through, brand.params.monitor, once)
        yield {"drift.calls": float(report.calls), "drift.max_ratio": report.max_ratio}


def _weeks_known(brand: Brand) -> Iterator[tuple[pd.DataFrame, pd.Timestamp]]:
    """Yield the panel after each week, and the last week of the first base's training data."""
    for week in range(WEEKS):
        known = brand.replicate.panel(brand.params, week + 1)
        yield known, pd.Timestamp(known["week"].iloc[HISTORY - 1])


def mcmc_row(scenario: str, seed: int, params: ModelParams) -> Row:
    """Return the same by MCMC, with updates, refits when the rules ask, and what both cost in accuracy."""
    brand = make_brand(play(scenario, seed), params)
    watch, stand_in = (Watch(params, list(params.columns.channels)) for _ in range(2))
    loop = Loop(brand, seed)
    kept = loop.copy()
    asking = refit_rules(params)
    refits, looks, score, base_week = [], [], 0.0, 0
    khat, ess = [], []
    for seen_by_surrogate, more in zip(follow(brand), restatements(brand), strict=True):
        week = seen_by_surrogate.week
        stand_in.see(seen_by_surrogate, more)
        seen, one = loop.see(week)
        kept.see(week)
        score += one
        evidence = {
            **more,
            "update.khat": loop.live.khat,
            "update.ess": loop.live.ess,
            "calendar.weeks_since_fit": float(week + 1 - base_week),
        }
        fired = fired_rules(asking, watch.see(seen, evidence))
        khat.append(round(loop.live.khat, 2))
        ess.append(round(loop.live.ess))
        if week + 1 in LOOKS and seed <= COMPARED:
            looks += _look(loop, kept, week + 1, refused=bool(fired))
        if fired:
            refits.append([week, fired])
            loop.refit(week + 1)
            base_week = week + 1
    row = _summary(brand.replicate, watch) | {
        "z": [round(z, 3) for z in watch.z],
        "surrogate_z": [round(z, 3) for z in stand_in.z],
        "surrogate": stand_in.records,
        "khat": khat,
        "ess": ess,
        "refits": refits,
        "looks": looks,
        "score": round(score, 4),
    }
    if seed <= WEEKLY_REFITS.get(scenario, 0):
        row["weekly_refits_score"] = round(_weekly_refits(brand, seed), 4)
    return row


def shipped_row(scenario: str, seed: int, params: ModelParams) -> Row:
    """Return the shipped fit of a base next to the study's own draws: how they agree, and what each is worth.

    ``roas_gap`` is the worst distance of a ROAS mean in posterior sd, ``width_ratio`` the posterior sd of each
    channel's ROAS by the shipped fit over that by the study's.
    """
    replicate = play(scenario, seed)
    brand = make_brand(replicate, params)
    columns = params.columns.model_dump()
    panel = replicate.panel(params, 0)
    fitted = fit_model(
        load_kind("mmm"), panel, columns, params.spec, brand.basis, params.sampler.model_dump(), seed, None, None
    )
    mine = Loop(brand, seed)
    mean, sd = mine.roas(mine.live.base, mine.live.weights, 0)
    draws = stack_draws(fitted.tree, params.sampler.chains * params.sampler.draws)
    parts = load_kind("mmm").contributions(draws, panel, columns, params.spec, brand.basis)
    recent = parts.isel(week=slice(-WINDOW_WEEKS, None), geo=0).mean("week").sel(component=list(columns["channels"]))
    theirs = recent.transpose("draw", "component").to_numpy() / brand.scale
    return {
        "seed": seed,
        "roas_gap": round(float(np.max(np.abs(theirs.mean(axis=0) - mean) / sd)), 4),
        "width_ratio": [round(float(x), 3) for x in theirs.std(axis=0) / sd],
        "rhat": round(fitted.summary["rhat_max"], 4),
        "fallback": fitted.summary["fallback"],
        "ess": round(fitted.summary["ess_bulk_min"]),
        "ess_roas": round(chains.least_ess(theirs.reshape(params.sampler.chains, params.sampler.draws, -1))),
        "ess_own": round(mine.live.base.ess),
    }


def _look(loop: Loop, kept: Loop, weeks: int, *, refused: bool) -> list[Row]:
    """Return how far updated posteriors are from a full refit: by the rules, and of the first base kept all year."""
    refit = loop.full_refit(weeks, _REFIT_DRAWS)
    even = np.full(len(refit.theta), 1.0 / len(refit.theta))
    truth, sd = loop.roas(refit, even, weeks)
    out = []
    for path, one in (("rules", loop), ("kept", kept)):
        live = one.live
        worst = float(np.max(np.abs(one.roas(live.base, live.weights, weeks)[0] - truth) / sd))
        out.append(
            {
                "week": weeks,
                "path": path,
                "khat": round(live.khat, 3),
                "ess": round(live.ess),
                "age": weeks - live.base.weeks,
                "worst": round(worst, 4),
                "published": path == "rules" and not refused,
            }
        )
    return out


def _weekly_refits(brand: Brand, seed: int) -> float:
    """Return the sum of one-step log scores of a posterior that is fitted anew each week."""
    loop = Loop(brand, seed + 500, _WEEKLY_DRAWS)
    total = 0.0
    for week in range(WEEKS):
        total += loop.see(week)[1]
        loop.refit(week + 1)
    return total


def _summary(replicate: Replicate, watch: Watch) -> Row:
    return {"seed": replicate.seed, "change": replicate.change, "records": watch.records}


ROWS: dict[str, Callable[[str, int, ModelParams], Row]] = {
    "surrogate": surrogate_row,
    "mcmc": mcmc_row,
    "shipped": shipped_row,
}
