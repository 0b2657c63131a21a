"""A quiet week with evermix against what people do instead: fit the model again, every week.

Both on the same data in one run; prints two tables. `python benchmarks/quiet_week.py [--weeks 3] [--models 1000]`
The second one asks what is left of a week when the process is warm: the update and the scores alone, and `monitor` and
`decide` of many models, one after another in one process with one thread, all their files read and written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Read when NumPy is imported: one core is one thread.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

from evermix.config import load_params
from evermix.core.monitor import score_week
from evermix.engines.store import Store
from evermix.stages import decide, monitor
from evermix.stages.decide import read_champion
from evermix.stages.horizons import score_horizons
from evermix.stages.posterior import load_live
from evermix.stages.reweighing import observe_update

ROOT = Path(__file__).resolve().parents[1]
HISTORY_END = "2025-12-22"
# The shipped brand launches a channel in the fourth week, which this quiet feed does not have.
MONDAYS = ["2025-12-29", "2026-01-05", "2026-01-12"]


def timed(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """Return wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def per_call(call: Callable[[], object], times: int) -> float:
    """Return CPU seconds of a call in a warm process."""
    call()
    start = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - start) / times


def warm(clone: Path, scratch: Path, models: int) -> tuple[float, float]:
    """Return CPU seconds of update and scores of the week that lies in a clone, and of that week for many models."""
    params, store = load_params(clone / "params.yaml").model("brand"), Store(clone, "brand")
    champion = read_champion(store)
    assert champion is not None
    log, reset_after = monitor.read_log(store)
    facts = monitor.read_facts(store, champion, log, reset_after)
    live = load_live(store.before, champion)

    def update_and_scores() -> None:
        observe_update(live, facts, params)
        score_week(facts, params, monitor.predictor(live, params.monitor.draws), {})
        score_horizons(store.before, facts, params.monitor.seed)

    alone = per_call(update_and_scores, 20)
    for place in range(models):
        for part in ("in", "out"):
            shutil.copytree(clone / part, scratch / str(place) / part, copy_function=os.link)
    start = time.process_time()
    for place in range(models):
        one = Store(scratch / str(place), "brand")
        monitor.run(one, params)
        decide.run(one, params)
    return alone, time.process_time() - start


def main() -> None:
    """Play a simulated brand through quiet weeks; after each, refit the same week by force."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weeks", type=int, default=3, choices=range(1, len(MONDAYS) + 1))
    parser.add_argument("--models", type=int, default=1000, help="quiet weeks of so many models in one process")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        env = os.environ | {"EVERMIX_HOME": str(home), "EVERMIX_PROJECT": str(ROOT), "EVERMIX_PYTHON": sys.executable}
        evermix = [sys.executable, "-m", "evermix"]
        feeds, clone = home / "feeds" / "brand", home / "work" / "brand"
        subprocess.run(
            [*evermix, "simulate", "--seed", "4", "--scenario", "quiet", "--out", str(feeds)], env=env, check=True
        )
        print("week        evermix week [s]  monitor, decide [s]  refit [s]  refit / week", flush=True)
        for as_of in [HISTORY_END, *MONDAYS[: asked.weeks]]:
            shutil.copyfile(feeds / "deliveries" / f"{as_of}.csv", feeds / "feed.csv")
            week = timed([*evermix, "week", "--model", "brand", "--as-of", as_of], ROOT, env)
            if as_of == HISTORY_END:
                continue
            stages = sum(
                timed([sys.executable, "-m", "evermix.stages", stage, "brand"], clone, env)
                for stage in ("monitor", "decide")
            )
            refit = timed([sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "fit@brand"], clone, env)
            print(f"{as_of}  {week:16.1f}  {stages:19.1f}  {refit:9.1f}  {refit / week:12.1f}", flush=True)
            subprocess.run(["git", "checkout", "-q", "-f", "HEAD"], cwd=clone, check=True)
        alone, many = warm(clone, home / "many", asked.models)
    print(f"update and scores, warm: {alone:.3f} CPU s, the refit takes {refit / alone:.0f} times as long")
    print(f"monitor and decide of {asked.models} models, one process, one core: {many:.0f} CPU s")


if __name__ == "__main__":
    main()
