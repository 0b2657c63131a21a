"""Monitor: what the champion says of the new weeks and what they make of it, what was restated, changed or drifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evermix.config import ModelParams
from evermix.core import prequential as pq
from evermix.core.monitor import Predict, WeekFacts, add_evidence, flat_metrics, not_run, observe_week
from evermix.core.quality_record import quality_evidence, read_points
from evermix.engines.models.forecast import predict_rows
from evermix.engines.sources import read_panel
from evermix.engines.store import Store, fresh_folder, read_json, write_json, write_text
from evermix.errors import StoreError
from evermix.records import Score, SnapshotDiff, ValidationReport, VersionFile
from evermix.stages.decide import read_champion
from evermix.stages.horizons import score_horizons
from evermix.stages.posterior import Posterior, load_live
from evermix.stages.reweighing import observe_update, write_update
from evermix.stages.watching import observe_alarms


def run(store: Store, params: ModelParams) -> dict[str, Any]:
    """Write ``evidence.json``, ``scores.json`` (new rows), ``drift.json``, ``prequential.csv`` and flat metrics.

    Of an accepted week also ``alarm.json``, what points to a change and since when, and ``posterior.json``, what the
    posterior of today says of the last year; where it is an update of the champion's fit, ``update.json`` and
    ``weights.npy``, from which closing may make a version.
    The prequential log is read from before the week (``{"rows", "reset_after"}``); only closing writes it.
    """
    report = ValidationReport.model_validate(read_json(store.validated / "report.json"))
    champion = read_champion(store)
    log, reset_after = read_log(store)
    with fresh_folder(store.monitored) as draft:
        if report.status == "quarantined" or champion is None:
            seen = not_run(report)
        else:
            facts = read_facts(store, champion, log, reset_after)
            live = load_live(store.before, champion)
            update = observe_update(live, facts, params)
            seen = observe_week(facts, params, predictor(live, params.monitor.draws))
            add_evidence(seen.evidence, update.values, update.notes)
            alarms = observe_alarms(live, facts, update, seen.scores, params)
            add_evidence(seen.evidence, alarms.values, alarms.notes)
            write_json(draft / "alarm.json", alarms.report)
            long, notes = score_horizons(store.before, facts, params.monitor.seed)
            add_evidence(seen.evidence, {}, notes)
            seen = replace(seen, scores=[*seen.scores, *long])
            write_update(draft, live, facts, update, params.monitor.draws)
        points = read_points((store.validated / "quality.csv").read_text(encoding="utf-8"))
        add_evidence(seen.evidence, *quality_evidence(points))
        write_json(draft / "evidence.json", seen.evidence)
        write_json(draft / "scores.json", [row.model_dump() for row in seen.scores])
        write_json(draft / "drift.json", seen.drift)
        table = pq.log_table([*log, *seen.scores], params.monitor.cusum_slack, reset_after)
        write_text(draft / "prequential.csv", table.to_csv(index=False, lineterminator="\n"))
    write_json(store.out / "monitor.json", flat_metrics(seen.evidence, [*log, *seen.scores]))
    return seen.evidence


def read_facts(store: Store, champion: VersionFile, log: list[Score], reset_after: str | None) -> WeekFacts:
    """Return what is known of an accepted week: its panel, the one before it, and the log as `read_log` gives it."""
    panel = read_panel(store.validated / "panel.parquet")
    if panel is None:
        raise StoreError(f"{store.validated / 'panel.parquet'}: not there. Run validate again.")
    return WeekFacts(
        as_of=read_json(store.week)["as_of"],
        champion=champion,
        panel=panel,
        before=read_panel(store.before / "panel.parquet"),
        diff=SnapshotDiff.model_validate(read_json(store.validated / "diff.json")),
        log=log,
        reset_after=reset_after,
    )


def read_log(store: Store) -> tuple[list[Score], str | None]:
    """Return the prequential log from before the week, and the week that alarms were last reset after."""
    path = store.before / "prequential.json"
    if not path.is_file():
        return [], None
    data = read_json(path)
    return [Score.model_validate(row) for row in data["rows"]], data["reset_after"]


def predictor(live: Posterior, draws: int) -> Predict:
    """Return what a posterior says of rows of a panel, by so many of its draws."""
    return lambda panel, rows: predict_rows(live.version, live.kept(draws), panel, rows)
