"""A model's history as the weekly loop leaves it, without the loop: a ledger, a pointer, deliveries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evermix.config import Environment
from evermix.core import ledger
from evermix.engines.history import History, write_ref
from evermix.records import QualityPoint

ROOT = Path(__file__).resolve().parents[2]


def make_env(folder: Path, alerts: str = "", **changes: Any) -> Environment:
    """Return a home and a project of its own, with the shipped params and an ``alerts.yaml``."""
    project, home = folder / "project", folder / "home"
    project.mkdir(parents=True)
    home.mkdir()
    (project / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (project / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (project / "alerts.yaml").write_text(alerts or (ROOT / "alerts.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    places = {"history_url": str(home / "history.git"), "dvc_remote_url": str(home / "dvc"), "tracking_uri": ""}
    return Environment(project=project, home=home, **(places | changes))


def keep_ledger(
    env: Environment, model: str, events: list[ledger.Event], champion: Any = None, quality: str = ""
) -> None:
    """Make a ledger, a champion's pointer and a record of quality the content of a model's branch."""
    history = History(env, model)
    with history.locked():
        history.sync()
        live = history.root / "live" / model
        live.mkdir(parents=True, exist_ok=True)
        (live / "ledger.jsonl").write_text(ledger.to_lines(events), encoding="utf-8")
        if champion is not None:
            (live / "champion.json").write_text(json.dumps(champion), encoding="utf-8")
        if quality:
            (live / "quality.csv").write_text(quality, encoding="utf-8")
        history.commit("a ledger")


def keep_delivery(env: Environment, model: str, *weeks: str) -> None:
    """Store a delivery for each week."""
    for as_of in weeks:
        write_ref(env, f"refs/snapshots/{model}/{as_of}", {"about.json": b"{}"}, as_of)


def quality_point(as_of: str, outside: bool, **changes: Any) -> QualityPoint:
    """Return the freshness of a delivery that took 9 days."""
    point = {
        "as_of": as_of,
        "delivery": 1,
        "accepted": True,
        "measure": "freshness_days",
        "column": "all",
        "value": 9.0,
        "low": None,
        "high": 1.0 if outside else 9.0,
        "weeks": 30,
        "limit": "worst",
        "outside": outside,
    }
    return QualityPoint(**(point | changes))
