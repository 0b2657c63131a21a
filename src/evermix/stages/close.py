"""Close a week: commit what was computed, publish the version, then ledger, pointer and aliases.

The order makes a crash harmless: git's `closed` commit is the truth and comes in one piece; what precedes it
can be computed again byte for byte, and what follows it, the registry's aliases, is repaired from it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from evermix.config import Environment, ModelParams
from evermix.core import ledger
from evermix.core.close import Closing, WeekOutcome, close_week
from evermix.engines.history import History, end_open, pull_outputs, push_outputs
from evermix.engines.store import (
    VERSION_FILES,
    Store,
    copy_folder,
    fresh_folder,
    hash_bytes,
    read_json,
    write_bytes,
    write_json,
    write_text,
)
from evermix.records import Decision, Verdict, VersionFile
from evermix.stages.fits import proposed_fit
from evermix.stages.publish import publish_update, publish_version, tell_registry


def run(env: Environment, history: History, params: ModelParams, at: str) -> dict[str, Any]:
    """Close the week that is computed in the work clone; return what was recorded.

    Parameters
    ----------
    at : str
        The time to write beside each event, ISO in UTC.

    Raises
    ------
    ServiceError
        The registry or a remote is away; the week stays computed and the same call finishes it.
    """
    store = Store(history.root, history.model)
    as_of = read_json(store.week)["as_of"]
    restore_live(history)
    if history.computed_commit(as_of) is None:
        history.commit(f"computed {history.model} {as_of}")
    if not store.validated.is_dir():
        pull_outputs(history)
    push_outputs(history)
    computed = str(history.computed_commit(as_of))
    outcome, version = _outcome(store)
    before = read_live(store)
    if version is not None:
        publish = publish_version if outcome.update is None else publish_update
        number = publish(env, store, version, outcome, computed)
        outcome = WeekOutcome(
            **{**vars(outcome), "evidence_of_version": {**outcome.evidence_of_version, "registry_number": number}}
        )
    closing = close_week(
        before["events"], before["champion"], before["question"], outcome, params.gate.approval_expires_weeks, at
    )
    _write_live(store, closing, version, outcome.decision, params.monitor.draws)
    commit_closed(history, closing.events, f"closed {history.model} {as_of}", outcome.decision.decision)
    end_open(history)
    tell_registry(env, history, closing.events)
    return {
        "model": history.model,
        "as_of": as_of,
        "decision": outcome.decision.decision,
        "reasons": outcome.decision.reasons,
        "warnings": _warnings(store),
        "verdict": outcome.verdict.verdict if outcome.verdict else None,
        "version": closing.promoted or outcome.update or before["champion"],
        "approval": closing.question if closing.asked else None,
    }


def _warnings(store: Store) -> list[str]:
    """Return in words what the contract noticed in a delivery and let pass."""
    report = read_json(store.validated / "report.json")
    return [f"{w['where']}: {w['what']}: {w['value']}, expected {w['expected']}" for w in report["warnings"]]


def commit_closed(history: History, events: list[ledger.Event], subject: str, what: str) -> None:
    """Commit the ledger and the pointer; the message carries the ledger's head."""
    history.commit(f"{subject}\n\nOutcome: {what}\nLedger: {ledger.head(events)}", [f"live/{history.model}"])


def restore_live(history: History) -> None:
    """Put ``live/`` back as the last commit has it: a close that was cut off leaves half of one."""
    path = f"live/{history.model}"
    if history.tip() is not None and history.file_at("HEAD", f"{path}/ledger.jsonl") is not None:
        history.git("checkout", "-q", "HEAD", "--", path)
        history.git("clean", "-q", "-fd", "--", path)
    else:
        shutil.rmtree(history.root / path, ignore_errors=True)


def read_live(store: Store) -> dict[str, Any]:
    """Return ``events``, ``champion`` (id or None) and the pending ``question`` (or None) of a clone."""
    book = store.live / "ledger.jsonl"
    champion = store.live / "champion.json"
    question = store.live / "challenger" / "question.json"
    return {
        "events": ledger.from_lines(book.read_text(encoding="utf-8")) if book.is_file() else [],
        "champion": read_json(champion)["id"] if champion.is_file() else None,
        "question": read_json(question) if question.is_file() else None,
    }


def write_ledger(store: Store, events: list[ledger.Event]) -> None:
    """Write the whole ledger at once."""
    write_text(store.live / "ledger.jsonl", ledger.to_lines(events))


def _outcome(store: Store) -> tuple[WeekOutcome, VersionFile | None]:
    decision = Decision.model_validate(read_json(store.decision))
    about = read_json(store.snapshot / "about.json")
    version, evidence = None, dict[str, Any]()
    is_update = decision.decision == "update"
    if decision.requested_now:
        version = _version(store)
    elif is_update:
        version = _updated(store)
        made = read_json(store.monitored / "update.json")
        evidence = {key: made[key] for key in ("parent", "weights_hash", "khat", "ess")}
    if version is not None:
        evidence |= {
            "request": version.request,
            "draws_hash": version.draws_hash,
            "observed_hash": version.observed_hash,
            "basis_hash": hash_bytes(json.dumps(version.basis, sort_keys=True).encode()),
        }
    outcome = WeekOutcome(
        decision=decision,
        verdict=Verdict.model_validate(read_json(store.verdict)) if decision.requested_now else None,
        challenger=version.id if version is not None and not is_update else None,
        snapshot=about["sha256"],
        reconstructed=read_json(store.week)["reconstructed"],
        code=read_json(store.inputs / "code.json"),
        evidence_of_version=evidence,
        evaluation=read_json(store.evaluated / "evaluation.json") if decision.requested_now else {},
        update=version.id if version is not None and is_update else None,
    )
    return outcome, version


def _updated(store: Store) -> VersionFile:
    """Return the champion as this week's weights make it: the same fit, by another id."""
    champion = VersionFile.model_validate(read_json(store.live / "champion.json"))
    made = read_json(store.monitored / "update.json")
    as_of = read_json(store.week)["as_of"]
    digest = hash_bytes(f"{champion.base}{made['weights_hash']}".encode())[:8]
    changed = {key: made[key] for key in ("parent", "weights_hash", "updated_through")}
    return champion.model_copy(
        update={
            **changed,
            "id": f"{store.model}/{as_of}/{digest}",
            "as_of": as_of,
            "panel_hash": hash_bytes(_base_panel(store)),
        }
    )


def _base_panel(store: Store) -> bytes:
    """Return the panel of the champion's fit; a history from before updates has it in its request alone."""
    kept = store.live / "base_panel.parquet"
    return (kept if kept.is_file() else store.request / "panel.parquet").read_bytes()


def _version(store: Store) -> VersionFile:
    request = read_json(store.request / "request.json")
    chosen = proposed_fit(store)
    fit = chosen.record
    digest = hash_bytes(f"{request['id']}{fit['draws_hash']}".encode())[:8]
    return VersionFile(
        id=f"{store.model}/{request['as_of']}/{digest}",
        model=store.model,
        as_of=request["as_of"],
        fitted_through=fit["fitted_through"],
        kind=request["kind"],
        spec=chosen.spec,
        basis=fit["basis"],
        columns=request["columns"],
        recipe=request["recipe"],
        sampler=request["sampler"],
        request=request["id"],
        observed_hash=fit["observed_hash"],
        draws_hash=fit["draws_hash"],
        noise_sd=fit["noise_sd"],
        masked_weeks=request["masked_weeks"],
        panel_hash=hash_bytes((store.request / "panel.parquet").read_bytes()),
        ess_bulk_min=fit["summary"]["ess_bulk_min"],
    )


def _write_live(store: Store, closing: Closing, version: VersionFile | None, decision: Decision, draws: int) -> None:
    # Steps, orders and answers import this module too, and have no use for tables and draws.
    from evermix.stages.horizons import freeze_origin

    write_ledger(store, closing.events)
    _append_quality(store)
    if decision.decision != "quarantine":
        shutil.copyfile(store.validated / "panel.parquet", store.live / "panel.parquet")
        _append_scores(store)
        copy_folder(store.request, store.live / "request")
    if version is not None and closing.promoted == version.id:
        set_champion(store, version, _files_of_fit(store))
    elif version is not None and decision.decision == "update":
        weights = (store.monitored / "weights.npy").read_bytes()
        base = {"base.nc": (store.live / "base.nc").read_bytes(), "base_panel.parquet": _base_panel(store)}
        set_champion(store, version, {**base, "weights.npy": weights})
    freeze_origin(store, decision.as_of, draws)
    challenger = store.live / "challenger"
    if closing.question is None:
        shutil.rmtree(challenger, ignore_errors=True)
    elif closing.asked and version is not None:
        with fresh_folder(challenger) as draft:
            write_json(draft / "question.json", closing.question)
            write_json(draft / "champion.json", version.model_dump())
            for name, data in _files_of_fit(store).items():
                write_bytes(draft / name, data)


def _files_of_fit(store: Store) -> dict[str, bytes]:
    return {
        "base.nc": (proposed_fit(store).folder / "posterior.nc").read_bytes(),
        "base_panel.parquet": (store.request / "panel.parquet").read_bytes(),
    }


def set_champion(store: Store, version: VersionFile, files: Mapping[str, bytes]) -> None:
    """Make a version the champion of the clone: its pointer, and those of ``VERSION_FILES`` that it has."""
    from evermix.stages.horizons import keep_draws

    keep_draws(store, version)
    write_json(store.live / "champion.json", version.model_dump())
    for name in VERSION_FILES[1:]:
        if name in files:
            write_bytes(store.live / name, files[name])
        else:
            (store.live / name).unlink(missing_ok=True)


def _append_quality(store: Store) -> None:
    """Add the week's points to the record, also of a refused delivery: it is part of how good a source is."""
    from evermix.core.quality_record import append_points

    path = store.live / "quality.csv"
    past = path.read_text(encoding="utf-8") if path.is_file() else ""
    week = (store.validated / "quality.csv").read_text(encoding="utf-8")
    write_text(path, append_points(past, week))


def _append_scores(store: Store) -> None:
    path = store.live / "prequential.json"
    log = read_json(path) if path.is_file() else {"rows": [], "reset_after": None}
    scores = read_json(store.monitored / "scores.json")
    write_json(path, {**log, "rows": [*log["rows"], *scores]})


def reset_alarm(store: Store) -> None:
    """Start the sequential alarms anew after the last scored week: a review was closed or the model re-based."""
    path = store.live / "prequential.json"
    if path.is_file():
        log = read_json(path)
        last = max((row["week"] for row in log["rows"]), default=None)
        write_json(path, {**log, "reset_after": last})
