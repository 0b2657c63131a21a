"""A quiet week with evermix against what people do instead: fit the model again, every week.

Both on the same data in one run; prints one table. `python benchmarks/quiet_week.py [--weeks 3]`
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HISTORY_END = "2025-12-22"
# The shipped brand launches a channel in the fourth week, which this quiet feed does not have.
MONDAYS = ["2025-12-29", "2026-01-05", "2026-01-12"]


def timed(command: list[str], folder: Path, env: dict[str, str]) -> float:
    """Return wall seconds of a command that must succeed."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Play a simulated brand through quiet weeks; after each, refit the same week by force."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=3, choices=range(1, len(MONDAYS) + 1))
    weeks = MONDAYS[: parser.parse_args().weeks]
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        env = os.environ | {"EVERMIX_HOME": str(home), "EVERMIX_PROJECT": str(ROOT), "EVERMIX_PYTHON": sys.executable}
        evermix = [sys.executable, "-m", "evermix"]
        feeds = home / "feeds" / "brand"
        subprocess.run(
            [*evermix, "simulate", "--seed", "4", "--scenario", "quiet", "--out", str(feeds)], env=env, check=True
        )
        rows = []
        for as_of in [HISTORY_END, *weeks]:
            shutil.copyfile(feeds / "deliveries" / f"{as_of}.csv", feeds / "feed.csv")
            week = timed([*evermix, "week", "--model", "brand", "--as-of", as_of], ROOT, env)
            if as_of == HISTORY_END:
                continue
            clone = home / "work" / "brand"
            refit = timed([sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "fit@brand"], clone, env)
            rows.append((as_of, week, refit))
            subprocess.run(["git", "checkout", "-q", "-f", "HEAD"], cwd=clone, check=True)
    print("week        evermix week [s]  refit [s]  refit / week")
    for as_of, week, refit in rows:
        print(f"{as_of}  {week:16.1f}  {refit:9.1f}  {refit / week:12.1f}")


if __name__ == "__main__":
    main()
