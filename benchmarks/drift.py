"""How often do quiet inputs drift, and how soon is a channel seen that doubles?  Input drift against an oracle.

Run: ``python benchmarks/drift.py --replicates 100``; ``--only grid|feeds|brands`` for a part; brands are read from
the folder that EVERMIX_REFERENCE_DATA names.  Thresholds were chosen on other seeds than FIRST_SEED onwards.  The
oracle watches one series and knows its memory, spread, season, and size and sign of the shift, everything but when.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from evermix.core import drift_null, drift_scan, drift_series
from evermix.core.drift_series import Floats
from evermix.core.extrapolation import MONTH, measure_reach
from evermix.core.simulate import simulate
from evermix.core.simulate_scenarios import QUIET

FIRST_SEED = 50_000
REFERENCE, YEAR, POWER_WEEKS = 130, 52, 26
SIMULATIONS, RATE = 400, 0.05
MEMORIES, SPREADS, COLUMNS = (0.3, 0.7, 0.9), (0.15, 0.25, 0.40), 8


class Watch(NamedTuple):
    """A reference with its limits, ready to look at any weeks after it."""

    reference: int
    memory: drift_null.Memory
    null: drift_null.Null
    design: Floats

    def ratios(self, table: pd.DataFrame) -> Floats:
        """Return (look,): the largest statistic of each week after the reference as a multiple of its limit."""
        n = self.reference
        series = drift_series.list_series(table, n)
        found = drift_null.surprises(series, self.memory, self.design, slice(n, len(table)))
        scans = np.abs(drift_null.judge(found, series, self.memory, self.design, self.null.clip))
        limits = self.null.limits[..., None]
        parts = list(scans / limits[: len(series.names)])
        for place, on in enumerate(series.switched.values(), len(series.names)):
            parts.append(drift_scan.activity_scan(on[n:], on[:n]) / limits[place])
        largest = np.max(parts, axis=(0, 1))
        rows = [row for row, (_, aspect) in enumerate(series.names) if aspect == "level"]
        if len(rows) > 1 and largest.size >= drift_scan.CORRELATION_WINDOW:
            fisher = drift_scan.pair_correlations(found.surprise[rows])
            apart = np.abs(fisher - self.null.centre[:, None]) / self.null.spread[:, None] / self.null.limits[-1, -1]
            largest[-apart.shape[1] :] = np.maximum(largest[-apart.shape[1] :], apart.max(axis=0))
        return largest


def watch(table: pd.DataFrame, reference: int, seed: int) -> Watch:
    """Learn a reference and simulate its quiet years."""
    design = drift_series.season_design(pd.date_range(table.index[0], periods=len(table) + YEAR, freq="7D"))
    series = drift_series.list_series(table, reference)
    memory = drift_null.learn_memory(series, design)
    rng = np.random.default_rng(seed)
    null = drift_null.quiet_limits(series, memory, design[: reference + YEAR], SIMULATIONS, RATE, rng)
    return Watch(reference, memory, null, design)


def draw_table(
    rng: np.random.Generator, memory: float, spread: float, tails: float | None, common: float
) -> pd.DataFrame:
    """Return spends of one brand: a season, and an AR(1) about it of which ``common`` of the variance is shared."""
    weeks = REFERENCE + YEAR
    shape = (COLUMNS, weeks)
    shocks = rng.standard_normal(shape) if tails is None else rng.standard_t(tails, shape) * np.sqrt(1 - 2 / tails)
    shocks = np.sqrt(1 - common) * shocks + np.sqrt(common) * rng.standard_normal(weeks)
    level = np.empty(shape)
    level[:, 0] = shocks[:, 0]
    for t in range(1, weeks):
        level[:, t] = memory * level[:, t - 1] + np.sqrt(1 - memory**2) * shocks[:, t]
    phase = rng.uniform(0, 2 * np.pi, (COLUMNS, 2))
    year = 2 * np.pi * np.arange(weeks) / 52.18
    season = 0.4 * np.cos(year + phase[:, :1]) + 0.15 * np.cos(2 * year + phase[:, 1:])
    dates = pd.date_range("2020-01-06", periods=weeks, freq="7D")
    return pd.DataFrame(1000 * np.exp(spread * level + season).T, dates, [f"spend.c{c}" for c in range(COLUMNS)])


def oracle(memory: float, spread: float, replicates: int) -> tuple[float, float]:
    """Return power and median delay of the generalised likelihood ratio of a doubling, the week of it unknown."""
    rng = np.random.default_rng(FIRST_SEED)
    first = np.log(2) / spread / np.sqrt(1 - memory**2)

    def scores(shocks: Floats) -> Floats:
        best = np.full(shocks.shape, -np.inf)
        for start in range(shocks.shape[1]):
            mean = np.where(np.arange(shocks.shape[1]) > start, first * (1 - memory), 0.0)
            mean[start] = first
            ratio = np.cumsum(mean * shocks - mean**2 / 2, axis=1)
            best[:, start:] = np.maximum(best[:, start:], ratio[:, start:])
        return best

    limit = np.quantile(scores(rng.standard_normal((replicates, YEAR))).max(axis=1), 1 - RATE)
    moved = rng.standard_normal((replicates, POWER_WEEKS)) + first * (1 - memory)
    moved[:, 0] += first * memory
    hit = scores(moved) > limit
    return float(hit.any(axis=1).mean()), float(np.median(hit.argmax(axis=1)[hit.any(axis=1)] + 1))


def is_seen(watched: Watch, table: pd.DataFrame, column: str) -> int | None:
    """Return in which week (from 1) a column that doubles after the reference is called; None: not in half a year."""
    n = watched.reference
    moved = table.iloc[: n + POWER_WEEKS].copy()
    moved.loc[moved.index[n:], column] *= 2
    calls = np.flatnonzero(watched.ratios(moved) > 1)
    return int(calls[0]) + 1 if calls.size else None


def share(hits: int, of: int) -> str:
    """Return a share with its exact 95 % interval."""
    low, high = stats.binomtest(hits, of).proportion_ci()
    return f"{hits} of {of} [{100 * low:.1f}, {100 * high:.1f} %]"


def delay(weeks: list[int | None]) -> str:
    """Return power and the median delay of the series that were called."""
    seen = [w for w in weeks if w is not None]
    return f"{len(seen) / len(weeks):.2f} | {np.median(seen) if seen else float('nan'):.0f}"


def grid(replicates: int) -> Iterator[str]:
    """Yield rows of the table of memories and spreads."""
    yield "| memory | spread | more | quiet years with a call | power | delay | oracle | delay | fraction |"
    cases = [(m, s, None, 0.0) for m in MEMORIES for s in SPREADS] + [(0.7, 0.25, 5.0, 0.0), (0.7, 0.25, None, 0.5)]
    pooled = 0
    for memory, spread, tails, common in cases:
        quiet, seen = 0, []
        for replicate in range(replicates):
            rng = np.random.default_rng([FIRST_SEED + replicate, int(100 * memory), int(100 * spread)])
            table = draw_table(rng, memory, spread, tails, common)
            watched = watch(table, REFERENCE, replicate)
            quiet += bool((watched.ratios(table) > 1).any())
            seen.append(is_seen(watched, table, "spend.c0"))
        pooled += quiet
        more = "" if tails is None and not common else f"tails {tails}" if tails else f"common {common}"
        best, wait = oracle(memory, spread, 4000)
        fraction = sum(w is not None for w in seen) / len(seen) / best
        yield (
            f"| {memory} | {spread} | {more} | {share(quiet, replicates)} | {delay(seen)} "
            f"| {best:.2f} | {wait:.0f} | {fraction:.2f} |"
        )
    yield f"pooled: {share(pooled, replicates * len(cases))}"


def feeds(replicates: int) -> Iterator[str]:
    """Yield what the simulator's own quiet brand says: spend follows demand, three channels run in bursts."""
    quiet, reach = 0, []
    seen: dict[str, list[int | None]] = {}
    for replicate in range(replicates):
        feed = simulate(QUIET, FIRST_SEED + replicate, YEAR).feed
        columns = {f"spend.{c.name}": feed.columns[c.column].sum(axis=1) for c in QUIET.channels}
        columns["control.price"] = feed.columns["price"].mean(axis=1)
        table = pd.DataFrame(columns, pd.DatetimeIndex(feed.mondays))
        n = QUIET.history_weeks
        watched = watch(table, n, replicate)
        quiet += bool((watched.ratios(table) > 1).any())
        for column in columns:
            if column.startswith("spend."):
                seen.setdefault(column, []).append(is_seen(watched, table, column))
        reach.append(largest_reach(table, n))
    yield f"quiet brand: {share(quiet, replicates)} years with a call"
    for column, weeks in seen.items():
        yield f"{column} doubles: {delay(weeks)}"
    yield f"all channels: {delay([w for weeks in seen.values() for w in weeks])}"
    yield "largest extrapolation of a quiet year, quantiles 0.5, 0.95, 1: " + ", ".join(
        f"{np.quantile(reach, q):.2f}" for q in (0.5, 0.95, 1)
    )


def largest_reach(table: pd.DataFrame, reference: int) -> float:
    """Return the largest ``drift.extrapolation`` of the weeks after a reference."""
    panel = table.rename_axis("week").reset_index().assign(geo="all")
    fitted = table.index[reference - 1]
    looks = range(reference + MONTH, len(table) + 1)
    return max(measure_reach(panel.iloc[:week], fitted)[0].ratio for week in looks)


def brands(folder: Path) -> Iterator[str]:
    """Yield the calls of a year of each real brand that is long enough, under one fit and with refits on each call."""
    sources = {
        "conjura/home_appliances_gbp_weekly.csv": "week_start",
        "robyn/dt_simulated_weekly.csv": "DATE",
        "pymc_marketing/mmm_example.csv": "date_week",
    }
    for name, date in sources.items():
        frame = pd.read_csv(folder / name, parse_dates=[date])
        spends = [c for c in frame if c.endswith(("_spend", "_S")) or c in ("x1", "x2")]
        table = frame.set_index(date)[spends].rename(columns="spend.{}".format)
        first = max(104, len(table) - YEAR)
        calls = watch(table, first, 1).ratios(table) > 1
        refits, reference = 0, first
        while reference < len(table):
            later = np.flatnonzero(watch(table, reference, 1).ratios(table) > 1)
            refits += bool(later.size)
            reference += int(later[0]) + 1 if later.size else len(table)
        yield (
            f"{name}: {int(calls.sum())} of {calls.size} weeks with a call under one fit, {refits} refits if each call "
            f"refits; extrapolation up to {largest_reach(table, first):.2f}"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--only", choices=("grid", "feeds", "brands"))
    asked = parser.parse_args()
    if asked.only in (None, "grid"):
        for line in grid(asked.replicates):
            print(line, flush=True)
    if asked.only in (None, "feeds"):
        for line in feeds(asked.replicates):
            print(line, flush=True)
    data = os.environ.get("EVERMIX_REFERENCE_DATA")
    if asked.only in (None, "brands") and data:
        for line in brands(Path(data)):
            print(line, flush=True)


if __name__ == "__main__":
    main()
