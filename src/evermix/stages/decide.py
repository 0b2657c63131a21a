"""Decide: one decision from the evidence, and what is to be fitted for it."""

from __future__ import annotations

from typing import Any

from evermix.config import ModelParams
from evermix.core.amend import in_words
from evermix.core.challengers import challenge, has_alarm, kept_amendments
from evermix.core.decide import build_request, decide_week, pending_question, refused_rules, request_id
from evermix.core.experiment import suspects_of
from evermix.core.prequential import one_step
from evermix.engines.sources import panel_bytes, read_panel
from evermix.engines.store import Store, copy_folder, fresh_folder, read_json, write_bytes, write_json
from evermix.errors import StoreError
from evermix.records import Decision, Score, ValidationReport, VersionFile


def run(store: Store, params: ModelParams) -> Decision:
    """Write ``decision.json`` and the folder ``request/``: a new request, or the last one byte for byte.

    ``fit`` depends on that folder alone, so an unchanged one is what makes a quiet week cheap.
    """
    as_of = read_json(store.week)["as_of"]
    evidence = read_json(store.monitored / "evidence.json")["values"]
    report = ValidationReport.model_validate(read_json(store.validated / "report.json"))
    champion = read_champion(store)
    last = _last_request(store)
    question = store.before / "challenger.json"
    asked = read_json(question) if question.is_file() else None
    orders = read_json(store.orders)
    pending = pending_question(asked, last, champion, params, as_of)
    refused = refused_rules(orders.get("refused"), last, champion, params, as_of)
    decision = decide_week(
        store.model, as_of, params, evidence, report.status == "quarantined", (pending, refused), orders
    )
    if decision.decision == "quarantine":
        decision = decision.model_copy(update={"reasons": [*decision.reasons, *_faults(report)]})
    adopted = store.before / "adopted.json"
    if decision.decision == "first_fit" and adopted.is_file():
        told = read_json(adopted)
        reasons = [f"adopted by {told['by']}: {told['reason']}", *decision.reasons]
        decision = decision.model_copy(update={"reasons": reasons})
    if decision.requested_now:
        carried = kept_amendments(champion, params.columns, as_of, orders)
        if carried:
            reasons = [*decision.reasons, f"carried on from the champion: {in_words(carried)}"]
            decision = decision.model_copy(update={"reasons": reasons})
        request = _write_request(store, decision, params, champion, carried)
        decision = decision.model_copy(update={"request": request})
    else:
        decision = decision.model_copy(update={"request": _keep_request(store)})
    write_json(store.decision, decision.model_dump())
    return decision


def read_champion(store: Store) -> VersionFile | None:
    """Return the version that is in use as the week opens, None before the first."""
    path = store.before / "champion.json"
    return VersionFile.model_validate(read_json(path)) if path.is_file() else None


def _alarm(store: Store) -> dict[str, Any]:
    path = store.monitored / "alarm.json"
    return dict(read_json(path)) if path.is_file() else {"suspects": []}


def _faults(report: ValidationReport) -> list[str]:
    """Return the first faults in words, and how many more there are; the report has them all."""
    shown = [f"{fault.rule}: {fault.where}: {fault.what}, got {fault.value}" for fault in report.faults[:3]]
    more = len(report.faults) - len(shown)
    return [*shown, f"and {more} more in the validation report"] if more else shown


def _last_request(store: Store) -> dict[str, Any]:
    path = store.before / "request" / "request.json"
    return dict(read_json(path)) if path.is_file() else {"id": None}


def _keep_request(store: Store) -> str | None:
    request = _last_request(store)
    copy_folder(store.before / "request", store.request)
    if request["id"] is None:
        write_json(store.request / "request.json", request | {"status": "nothing requested"})
        return None
    return str(request["id"])


def _write_request(
    store: Store, decision: Decision, params: ModelParams, champion: VersionFile | None, carried: dict[str, Any]
) -> str:
    panel = read_panel(store.validated / "panel.parquet")
    if panel is None:
        raise StoreError(f"{store.validated / 'panel.parquet'}: not there. Run validate again.")
    request, training = build_request(decision, params, panel, champion, carried)
    alarm = _alarm(store)
    request["suspects"] = suspects_of(decision.rules, alarm)
    if has_alarm(decision):
        request |= challenge(alarm, carried, request, training, _scores(store))
    files = {"panel.parquet": panel_bytes(training)}
    planned = read_panel(store.validated / "plan.parquet")
    if planned is not None:
        files["plan.parquet"] = panel_bytes(planned[list(training.columns)])
    if champion is not None:
        files["champion.json"] = (store.before / "champion.json").read_bytes()
        files["champion.nc"] = (store.before / "base.nc").read_bytes()
        for name, kept in (("champion_panel.parquet", "base_panel.parquet"), ("champion_weights.npy", "weights.npy")):
            if (store.before / kept).is_file():
                files[name] = (store.before / kept).read_bytes()
    elif (store.before / "adopted.nc").is_file():
        files["adopted.nc"] = (store.before / "adopted.nc").read_bytes()
        request["adopted"] = read_json(store.before / "adopted.json")
    request["id"] = request_id(request, files)
    with fresh_folder(store.request) as draft:
        for name, data in files.items():
            write_bytes(draft / name, data)
        write_json(draft / "request.json", request)
    return str(request["id"])


def _scores(store: Store) -> list[Score]:
    """Return the prequential log a week ahead, with this week's rows."""
    before = store.before / "prequential.json"
    rows = read_json(before)["rows"] if before.is_file() else []
    return one_step([Score.model_validate(row) for row in [*rows, *read_json(store.monitored / "scores.json")]])
