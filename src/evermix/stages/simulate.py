"""Publish a simulated brand: its feed as a real source would show it, week after week, and the truth beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evermix.core.simulate import Simulation, simulate
from evermix.core.simulate_scenarios import find_scenario
from evermix.engines.store import write_bytes, write_json

_DELIVERY = re.compile(r"\d{4}-\d{2}-\d{2}(\.2)?\.csv")


def run(seed: int, out: Path, scenario: str, weeks: int | None = None) -> dict[str, Any]:
    """Write ``feed.csv`` (its last state), ``deliveries/<as_of>[.2].csv`` and ``truth.json`` into a folder.

    The delivery of the last week of history is written too, for the first fit.  Deliveries of a former run
    into the same folder are removed: they would be weeks of another brand.

    Returns
    -------
    dict
        ``scenario, model, seed, first_week, last_week, history_through`` and ``deliveries`` of the weeks to play:
        ``as_of, attempt, file`` (relative to ``out``), ``planted``.

    Raises
    ------
    ConfigError
        For an unknown scenario, a negative seed or number of weeks.
    """
    simulation = simulate(find_scenario(scenario), seed, weeks)
    out = Path(out)
    _remove_deliveries(out / "deliveries")
    feed, truth = simulation.feed, simulation.truth
    history = feed.deliver(truth["history_through"])
    write_bytes(out / "deliveries" / f"{history.as_of}.csv", history.content)
    played, last = [], history
    for last in feed.deliveries():
        file = f"deliveries/{last.as_of}{'' if last.attempt == 1 else f'.{last.attempt}'}.csv"
        write_bytes(out / file, last.content)
        played.append({"as_of": last.as_of, "attempt": last.attempt, "file": file, "planted": list(last.planted)})
    write_bytes(out / "feed.csv", last.content)
    write_json(out / "truth.json", truth)
    return {
        "scenario": scenario,
        "model": truth["model"],
        "seed": seed,
        "first_week": truth["weeks"][0],
        "last_week": truth["weeks"][-1],
        "history_through": truth["history_through"],
        "deliveries": played,
    }


def publish(simulation: Simulation, folder: Path, as_of: str, attempt: int = 1) -> Path:
    """Write ``feed.csv`` as it looked when week ``as_of`` was delivered, at once or not at all; return its path.

    Raises
    ------
    ConfigError
        If the week is not in the feed, or was not delivered so many times.
    """
    path = Path(folder) / "feed.csv"
    write_bytes(path, simulation.feed.deliver(as_of, attempt).content)
    return path


def _remove_deliveries(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        if _DELIVERY.fullmatch(path.name):
            path.unlink()
