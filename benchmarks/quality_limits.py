"""How often quiet quality series leave their limits, and which planted breaks they notice.

`python benchmarks/quality_limits.py [--replicates 40]`; with EVERMIX_REFERENCE_DATA also on the weekly and daily brands
of Anderson (2024), each week as if it were the newest.  Prints Markdown tables; seeds are fixed.
"""

from __future__ import annotations

import argparse
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from evermix.config import ModelParams, parse_params
from evermix.core.panel import type_rows, weekly_grid
from evermix.core.quality_limits import judge_week
from evermix.core.quality_series import Delivered, told_series

ROOT = Path(__file__).resolve().parents[1]
ENTRY = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]["brand"]
BUDGET = ENTRY["validation"]["quality_false_calls_per_year"]
FLOOR = ENTRY["validation"]["quality_min_weeks"]
BRANDS = {
    "home, weekly": ("home_appliances_gbp_weekly.csv", "net_revenue", "week_start"),
    "home, daily, with clicks": ("home_appliances_gbp_daily.csv", "ALL_PURCHASES_ORIGINAL_PRICE", "DATE_DAY"),
    "multi UK": ("multi_uk_gbp_weekly.csv", "net_revenue", "week_start"),
    "multi US": ("multi_us_usd_weekly.csv", "net_revenue", "week_start"),
}
NOTHING = pd.DataFrame()
# A break is noticed when a call comes in its first weeks: later its level is the new normal.
WITHIN_WEEKS = 4


def calls_of(told: pd.DataFrame, first: int, last: int) -> list[tuple[int, str, str]]:
    """Return place, measure and column of every call, each week judged as the newest one."""
    out = []
    for place in range(first, last):
        day: date = told.index[place].date()
        seen = Delivered(day, 1, NOTHING, NOTHING, NOTHING, None, None, True, None)
        points = judge_week(told.iloc[: place + 1], {}, NOTHING, seen, BUDGET, FLOOR)
        out += [(place, point.measure, point.column) for point in points if point.outside]
    return out


def simulated(seed: int, series: int, weeks: int, autocorrelation: float, spread: float) -> np.ndarray:
    """Return relations (weeks by series) with innovations of Student's t(5) and stationary sd ``spread``."""
    rng = np.random.default_rng((20260105, seed))
    noise = rng.standard_t(5, (weeks + 50, series)) * np.sqrt(3 / 5) * np.sqrt(1 - autocorrelation**2)
    path = np.zeros_like(noise)
    for t in range(1, len(noise)):
        path[t] = autocorrelation * path[t - 1] + noise[t]
    return np.asarray(np.exp(spread * path[50:]))


def table_of(values: np.ndarray) -> pd.DataFrame:
    """Return relations as `told_series` would."""
    weeks = pd.date_range("2020-01-06", periods=len(values), freq="7D", unit="s")
    names = pd.MultiIndex.from_tuples([("tracking", f"{i:02d}") for i in range(values.shape[1])])
    return pd.DataFrame(values, index=weeks, columns=names)


def heading(*cells: str) -> None:
    """Print the first two lines of a table."""
    print(f"\n| {' | '.join(cells)} |\n{'| --- ' * len(cells)}|", flush=True)


def quiet_years(replicates: int) -> None:
    """Print how many calls a quiet year of six relations has."""
    heading("autocorrelation", "weeks of history", "calls a year (stated: 1.0)", "years with a call")
    for autocorrelation in (0.0, 0.5, 0.8):
        for history in (35, 112):
            counts = []
            for seed in range(replicates):
                told = table_of(simulated(seed, 6, history + 52, autocorrelation, 0.2))
                counts.append(len(calls_of(told, history, history + 52)))
            had = sum(count > 0 for count in counts)
            print(f"| {autocorrelation} | {history} | {np.mean(counts):.2f} | {had} of {replicates} |")


def planted(replicates: int) -> None:
    """Print how often one relation of six that changes for good is noticed."""
    heading("autocorrelation", "spread (sd of the log)", "halves", "falls by a quarter", "to a tenth")
    for autocorrelation in (0.5, 0.8):
        for spread in (0.05, 0.1, 0.2, 0.4):
            shares = []
            for factor in (0.5, 0.75, 0.1):
                hits = 0
                for seed in range(replicates):
                    values = simulated(1000 + seed, 6, 112 + WITHIN_WEEKS, autocorrelation, spread)
                    values[112:, 0] *= factor
                    called = calls_of(table_of(values), 112, 112 + WITHIN_WEEKS)
                    hits += any(column == "00" for _, _, column in called)
                shares.append(f"{hits / replicates:.2f}")
            print(f"| {autocorrelation} | {spread} | {' | '.join(shares)} |")


def brand_of(folder: Path, file: str, target: str, day: str) -> tuple[ModelParams, Delivered]:
    """Return a brand with every channel's impressions as exposure, and clicks watched where it has them."""
    frame = pd.read_csv(folder / "conjura" / file, dtype=str, keep_default_na=False)
    upper = target.isupper()
    channels, tracked = {}, {}
    for column in (c for c in frame if c.lower().endswith("_spend")):
        stem = column[:-6]
        names = {kind: f"{stem}_{kind.upper() if upper else kind}" for kind in ("impressions", "clicks")}
        exposure = names["impressions"] if names["impressions"] in frame else None
        channels[stem.lower()] = {"spend": column, "exposure": exposure, "launched": None}
        tracked |= {stem.lower(): [names["clicks"]]} if names["clicks"] in frame else {}
    entry: dict[str, Any] = ENTRY | {
        "source": {"path": file, "format": "csv", "frequency": "daily" if upper else "weekly", "label": "start"}
        | {"week_start": "MON"},
        "columns": {"date": day, "geo": None, "target": {"column": target, "aggregate": "sum"}, "channels": channels}
        | {"controls": {}, "events": {}},
        "validation": ENTRY["validation"] | {"tracked": tracked},
    }
    params = parse_params({"models": {"m": entry}}, file).model("m")
    days = pd.to_datetime(frame[day])
    last = (
        days.max() - pd.Timedelta(days=days.max().weekday() + (7 if upper and days.max().weekday() < 6 else 0))
    ).date()
    rows = type_rows(frame, params.columns, params.source)
    grid = weekly_grid(rows, params.columns, params.source, last)
    return params, Delivered(last, 1, frame, rows, grid, None, None, True, None)


def real_brands(folder: Path) -> None:
    """Print calls on true weeks, and the share of planted breaks that is noticed, brand by brand."""
    calls = "calls, episodes a year"
    heading("brand", "weeks", f"tracking: relations, {calls}", f"outlier: columns, {calls}", "completeness calls",
            "a count halves", "falls to a tenth", "stops")  # fmt: skip
    for name, (file, target, day) in BRANDS.items():
        params, seen = brand_of(folder, file, target, day)
        told = told_series(seen, params)
        first, n = 35, len(told)
        calls = calls_of(told, first, n)
        cells = [name, str(n - first)]
        for measure in ("tracking", "outlier"):
            found = sorted((column, place) for place, kind, column in calls if kind == measure)
            # Calls of one series within a month are one episode.
            episodes = sum(i == 0 or found[i - 1][0] != c or p - found[i - 1][1] > 4 for i, (c, p) in enumerate(found))
            judged = [key for key in told if key[0] == measure and told[key].notna().sum() > FLOOR + 8]
            cells.append(f"{len(judged)}, {len(found)}, {52 * episodes / (n - first):.1f}")
        cells.append(str(sum(kind == "completeness" for _, kind, _ in calls)))
        cells += [noticed(told, first, factor) for factor in (0.5, 0.1, 0.01)]
        print(f"| {' | '.join(cells)} |")


def noticed(told: pd.DataFrame, first: int, factor: float) -> str:
    """Return how many breaks are noticed, planted one at a time in every relation from every thirteenth week on.

    A break that the brand's own weeks would have called there is left out.
    """
    caught = tried = 0
    for key in (key for key in told if key[0] == "tracking"):
        series = told[[key]]
        for start in range(first, len(told) - WITHIN_WEEKS, 13):
            window = series.iloc[: start + WITHIN_WEEKS]
            if (
                series[key].iloc[:start].notna().sum() <= FLOOR + 8
                or series[key].iloc[start : start + 4].notna().sum() < 2
            ):
                continue
            if calls_alone(window, start, len(told.columns)):
                continue
            broken = window.copy()
            broken.iloc[start:] = broken.iloc[start:] * factor
            tried += 1
            caught += calls_alone(broken, start, len(told.columns))
    return f"{caught} of {tried}" if tried else "none to try"


def calls_alone(told: pd.DataFrame, start: int, series: int) -> bool:
    """Return whether one series is called, at the width that it has among all series of its brand."""
    for place in range(start, len(told)):
        seen = Delivered(told.index[place].date(), 1, NOTHING, NOTHING, NOTHING, None, None, True, None)
        points = judge_week(told.iloc[: place + 1], {}, NOTHING, seen, BUDGET / series, FLOOR)
        if any(point.outside for point in points):
            return True
    return False


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=40)
    replicates = parser.parse_args().replicates
    quiet_years(replicates)
    planted(replicates)
    if folder := os.environ.get("EVERMIX_REFERENCE_DATA"):
        real_brands(Path(folder))


if __name__ == "__main__":
    main()
