"""The page of one week, written from the files that the week left in its commit."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.config import ModelParams
from evermix.core import ledger
from evermix.core.drift import tested_paths
from evermix.core.prequential import one_step
from evermix.engines.history import History, pull_outputs
from evermix.engines.reports import WEEKS_SHOWN, WeekFiles, evidently_report, week_report
from evermix.engines.store import Store, read_json, write_text
from evermix.errors import ConfigError, StoreError
from evermix.records import Score
from evermix.stages.budget import review_live
from evermix.stages.quality import points_to_draw
from evermix.stages.week import Loop


def write(loop: Loop, as_of: str | None, evidently: bool | None) -> dict[str, Any]:
    """Write the page of a closed week (None: the last one) and return where it is.

    ``evidently`` None writes Evidently's tables beside it for the weeks in which somebody will look: refit and review.
    """
    with loop.history.locked():
        loop.history.sync()
        events = loop.events()
        as_of = as_of or ledger.last_decided(events)
        decided = ledger.decision_of(events, as_of) if as_of is not None else None
        if as_of is None or decided is None:
            raise ConfigError(
                f"{loop.model}: week {as_of} is not closed. Run `evermix week --model {loop.model} --as-of WEEK`."
            )
        if evidently is None:
            evidently = decided["decision"] in ("refit", "review")
        with _week_as_closed(loop, as_of) as store:
            return run(store, loop.params, loop.env.home / "reports" / loop.model, evidently)


def run(store: Store, params: ModelParams, out_folder: Path, evidently: bool) -> dict[str, Any]:
    """Write ``<week>.html``, and Evidently's tables beside it when asked for; return their paths."""
    week = _read(store, params)
    beside = _evidently(store, params, week, out_folder) if evidently else None
    page = out_folder / f"{week.as_of}.html"
    write_text(page, week_report(week, beside.name if beside else None))
    return {"model": store.model, "as_of": week.as_of, "path": str(page), "evidently": str(beside) if beside else None}


def _read(store: Store, params: ModelParams) -> WeekFiles:
    about = read_json(store.week)
    log = _json(store.live / "prequential.json") or {"rows": [], "reset_after": None}
    book = store.live / "ledger.jsonl"
    budget, curves = _budget(store, params)
    return WeekFiles(
        model=store.model,
        as_of=about["as_of"],
        reconstructed=about["reconstructed"],
        decision=_json(store.decision),
        verdict=_json(store.verdict),
        validation=_json(store.validated / "report.json"),
        diff=_diff(store),
        evidence=_json(store.monitored / "evidence.json"),
        drift=_json(store.monitored / "drift.json"),
        posterior=_json(store.monitored / "posterior.json"),
        champion=_json(store.live / "champion.json"),
        evaluation=_json(store.evaluated / "evaluation.json"),
        scores=[row.model_dump() for row in one_step([Score.model_validate(row) for row in log["rows"]])],
        reset_after=log["reset_after"],
        events=ledger.from_lines(book.read_text(encoding="utf-8")) if book.is_file() else [],
        evaluated=store.evaluated,
        budget=budget,
        curves=curves,
        slack=params.monitor.cusum_slack,
        quality=points_to_draw(store, params, WEEKS_SHOWN),
        drift_paths=_drift_paths(store),
    )


def _budget(store: Store, params: ModelParams) -> tuple[dict[str, Any] | None, pd.DataFrame | None]:
    """Return the budget and its curves: by this week's fit where there is one, else by the champion."""
    decision, curves = _json(store.decision), store.evaluated / "curves.csv"
    if decision and decision["requested_now"] and curves.is_file():
        return read_json(store.evaluated / "evaluation.json")["budget"], pd.read_csv(curves)
    if not (store.live / "champion.json").is_file():
        return None, None
    review = review_live(store, params)
    return review.record, review.curves


def _drift_paths(store: Store) -> pd.DataFrame | None:
    drift = _json(store.monitored / "drift.json")
    if not drift or not drift.get("columns"):
        return None
    return tested_paths(pd.read_parquet(store.validated / "panel.parquet"), drift["reference_weeks"])


def _evidently(store: Store, params: ModelParams, week: WeekFiles, folder: Path) -> Path | None:
    path = store.validated / "panel.parquet"
    if not path.is_file():
        return None
    panel = pd.read_parquet(path)
    start = panel["week"].max() - pd.Timedelta(weeks=params.monitor.drift_window_weeks - 1)
    target = folder / f"{week.as_of}.evidently.html"
    evidently_report(panel[panel["week"] < start], panel[panel["week"] >= start], target)
    return target


def _diff(store: Store) -> Any:
    """Return the snapshot's diff; a quarantined week has none, only a status that says so."""
    diff = _json(store.validated / "diff.json")
    return diff if diff and "new_weeks" in diff else None


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


@contextmanager
def _week_as_closed(loop: Loop, as_of: str) -> Iterator[Store]:
    """Yield the files of a week as it was closed: a checkout of its commit that leaves the work clone alone."""
    subject = f"closed {loop.model} {as_of}"
    lines = loop.history.git("log", "--format=%H %s").splitlines()
    commits = [line.split()[0] for line in lines if line.endswith(f" {subject}")]
    if not commits:
        raise StoreError(
            f"{loop.history.root}: no commit {subject!r} on {loop.history.branch}. Fetch the whole history."
        )
    with tempfile.TemporaryDirectory() as name:
        past = History(loop.env, loop.model)
        past.root = Path(name) / "week"
        loop.history.git("clone", "-q", "--shared", "--no-checkout", str(loop.history.root), str(past.root))
        past.git("checkout", "-q", commits[0])
        shutil.copyfile(loop.history.root / ".dvc" / "config.local", past.root / ".dvc" / "config.local")
        pull_outputs(past)
        yield Store(past.root, loop.model)
