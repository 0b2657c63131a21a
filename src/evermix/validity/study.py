"""Runs the study: rows by scenario and seed, resumable, in shards that may run side by side."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
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
from evermix.engines.models import load_kind
from evermix.engines.models.fit import fit_model
from evermix.errors import ConfigError
from evermix.validity import chains
from evermix.validity.policy import Watch, fired_rules, oracle_record
from evermix.validity.posterior import Brand, follow, make_brand
from evermix.validity.replicate import EFFECT_CHANNEL, HISTORY, WEEKS, Replicate, play
from evermix.validity.updated import Loop

Floats = NDArray[np.float64]
Row = dict[str, Any]

MCMC_SCENARIOS = ("nothing", "spend_shift", "large_spend_shift", "effect_halves", "small_effect_halves")
SHIPPED_FITS = 6
"""Seeds 1 to this one are fitted by the shipped code too; each takes a minute."""
LOOKS = (13, 26, 39, 52)
"""Weeks after the first base at which the updated posterior is held against a full refit."""
COMPARED = 25
"""Seeds 1 to this one are compared."""
WEEKLY_REFITS = {"nothing": 4, "effect_halves": 3}
"""Seeds 1 to this one are refitted every week too, for the one-step log score."""
DRIFT_SEEDS = {"nothing": 173, "spend_shift": 91, "large_spend_shift": 50}
"""Seeds 1 to this one have their inputs tested for drift every week; it depends on inputs alone."""
_REFIT_DRAWS, _WEEKLY_DRAWS = 750, 500
_PACKAGES = ("numpy", "scipy", "numba", "pandas", "arviz-stats")
# What a rule says, and to whom, is not what it measures.
_WORDS = {"why", "severity", "tell"}


@dataclass(frozen=True)
class Job:
    """One scenario by one posterior, over a range of seeds, of which a shard does every ``shards``-th."""

    posterior: str
    scenario: str
    seeds: range
    shard: int = 0
    shards: int = 1


def measured(posterior: str, params: ModelParams) -> str:
    """Return the hash of the params that the rows of a posterior depend on, 16 hex digits.

    Evidence depends on spec and monitor settings, and where there are refits, on the rules that ask for them.  The
    rules that raise alarms are asked of the evidence when the page is written.
    """
    parts: dict[str, Any] = {"spec": params.spec, "monitor": params.monitor.model_dump()}
    if posterior == "mcmc":
        asking = [rule.model_dump() for rule in refit_rules(params)]
        parts["rules"] = [{k: v for k, v in rule.items() if k not in _WORDS} for rule in asking]
    if posterior == "shipped":
        parts = {"spec": params.spec, "sampler": params.sampler.model_dump()}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def refit_rules(params: ModelParams) -> list[Rule]:
    """Return the rules that ask for refits on evidence that the study has: of the update, and of the calendar."""
    return [r for r in params.rules if r.decision == "refit" and r.evidence.startswith(("update.", "calendar."))]


def run_job(folder: Path, job: Job, params: ModelParams, tell: Callable[[str], None]) -> None:
    """Append the rows that are not there yet to the shard's file, one by one, so that a kill loses one at most.

    Raises
    ------
    ConfigError
        If the rows that are there were measured with other params.
    """
    head = header(job, params)
    path = folder / f"{job.posterior}-{job.scenario}.{job.shard}-of-{job.shards}.jsonl"
    _mend(path)
    done = {row["seed"] for row in read_rows(folder, job.posterior, job.scenario, head["params"])}
    due = [seed for seed in job.seeds[job.shard :: job.shards] if seed not in done]
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for count, seed in enumerate(due, 1):
        row = ROWS[job.posterior](job.scenario, seed, params)
        lines = [] if path.is_file() and path.stat().st_size else [head]
        with path.open("a", encoding="utf-8") as out:
            out.write("".join(_line(item) for item in [*lines, row]))
        if count % 25 == 0 or count == len(due):
            each = (time.monotonic() - started) / count
            tell(f"{job.posterior} {job.scenario}: {count} of {len(due)}, {each:.2f} s each")


def header(job: Job, params: ModelParams) -> Row:
    """Return the first line of a result file: what was run, with what."""
    return {
        "posterior": job.posterior,
        "scenario": job.scenario,
        "command": "make validity",
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "params": measured(job.posterior, params),
    }


def read_rows(folder: Path, posterior: str, scenario: str, expected: str | None) -> list[Row]:
    """Return all rows of a scenario in the order of seeds, whichever shard computed them.

    Raises
    ------
    ConfigError
        If a file was measured with params other than ``expected``.
    """
    rows: dict[int, Row] = {}
    for path in sorted(folder.glob(f"{posterior}-{scenario}.*jsonl*")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        # The last line of a run that goes on, or was killed, may be torn.
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        if not lines:
            continue
        head, *found = map(json.loads, lines)
        if expected is not None and head.get("params") != expected:
            raise ConfigError(
                f"{path}: measured with params {head.get('params')}, params.yaml has {expected}. "
                "Remove the file to measure anew, or take the change back."
            )
        rows |= {row["seed"]: row for row in found}
    return [rows[seed] for seed in sorted(rows)]


def merge_shards(folder: Path, job: Job, params: ModelParams) -> None:
    """Put the rows of all shards into one packed file in the order of seeds."""
    rows = read_rows(folder, job.posterior, job.scenario, measured(job.posterior, params))
    if not rows:
        return
    whole = folder / f"{job.posterior}-{job.scenario}.jsonl.gz"
    draft = whole.with_suffix(".draft")
    # No clock inside: the same rows are the same bytes.
    draft.write_bytes(gzip.compress("".join(_line(item) for item in [header(job, params), *rows]).encode(), mtime=0))
    draft.replace(whole)
    for path in folder.glob(f"{job.posterior}-{job.scenario}.*.jsonl"):
        path.unlink()


def surrogate_row(scenario: str, seed: int, params: ModelParams) -> Row:
    """Return what the rules did in one simulated year by the surrogate."""
    brand = make_brand(play(scenario, seed), params)
    watch = Watch(params, list(params.columns.channels))
    path = []
    inputs = drifts(brand) if seed <= DRIFT_SEEDS.get(scenario, 0) else itertools.repeat({}, WEEKS)
    for seen, more, drift in zip(follow(brand), restatements(brand), inputs, strict=True):
        watch.see(seen, {**more, **drift})
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


def drifts(brand: Brand) -> Iterator[Evidence]:
    """Yield the ``drift.*`` evidence of each week, against the first base's training data."""
    panel = brand.replicate.panel(brand.params, WEEKS)
    through = pd.Timestamp(panel["week"].iloc[HISTORY - 1])
    learnt: list[Null] = []

    def once(*args: Any) -> Null:
        if not learnt:
            learnt.append(quiet_limits(*args))
        return learnt[0]

    for week in range(WEEKS):
        known = brand.replicate.panel(brand.params, week + 1)
        report = measure_drift(known, through, brand.params.monitor, once)
        yield {"drift.calls": float(report.calls), "drift.max_ratio": report.max_ratio}


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


def _mend(path: Path) -> None:
    """Cut off the torn last line of a killed run, so that its replicate is computed again."""
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")


def _line(item: Row) -> str:
    return json.dumps(item, separators=(",", ":")) + "\n"


ROWS: dict[str, Callable[[str, int, ModelParams], Row]] = {
    "surrogate": surrogate_row,
    "mcmc": mcmc_row,
    "shipped": shipped_row,
}
