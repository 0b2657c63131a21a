"""Verify, third part: MLflow against ledger and branch.  What it knows and the ledger does not, somebody took away."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Collection

from evermix.config import Environment
from evermix.core import verify as compare
from evermix.core.draws import hash_draws, hash_weights
from evermix.core.ledger import Event
from evermix.core.verify import Checklist, Commit
from evermix.engines.history.objects import blob_id
from evermix.engines.history.reading import LoggedCommit, Reading
from evermix.engines.models.drawsfile import load_posterior_bytes, load_weights
from evermix.engines.registry import MODEL_FILES, WEIGHTS, Registry
from evermix.errors import StoreError
from evermix.stages.publish import registry_of, tags_after, truth_of

_RECONCILE = "`evermix promote --reconcile` publishes and points again what the history says."
_SERVED = "Somebody changed MLflow's store. Restore the file from the history, live/<model> at the version's commit."


def check_registry(
    done: Checklist,
    env: Environment,
    model: str,
    reading: Reading,
    log: list[LoggedCommit],
    commits: list[Commit],
) -> None:
    """Check versions, their tags and files, the aliases, and what MLflow was told of the ledger."""
    registry = registry_of(env)
    events = (commits[-1].events or []) if commits else []
    half_closed = compare.half_closed_commits(commits)
    known = {commit.id for commit in commits}
    versions = registry.state(model)["versions"]
    done.count("MLflow versions", len(versions))
    done.extend(compare.check_registry(events, versions, tags_after(events), known, half_closed))
    _check_told(done, registry, model, events, known, half_closed)
    truth = truth_of(events)
    done.count("MLflow aliases", len(truth))
    for text in registry.disagreements(model, truth):
        done.add("MLflow", text, "differs", "what the ledger says", _RECONCILE)
    gone, only_judged = compare.missing_versions(events, {version["id"] for version in versions})
    for version in gone:
        if version not in truth.values():
            done.add("MLflow", f"lacks version {version}", "no such version", "as in the ledger", _RECONCILE)
    if only_judged:
        done.notes.append(f"MLflow lacks versions that were judged and never used: {', '.join(only_judged)}")
    registered = {version["id"] for version in versions}
    panels = {blob for one in log for path, blob in one.blobs.items() if path.endswith("panel.parquet")}
    for verdict in (event for event in events if event.get("event") in compare.MADE):
        if verdict["version"] in registered:
            _check_served(done, registry, verdict, panels)
    places = {"champion": "", "challenger": "challenger/"}
    for alias, version in truth.items():
        if version in registered and commits:
            _check_in_use(done, registry, version, reading, f"{commits[-1].id}:live/{model}/{places[alias]}")


def _check_told(
    done: Checklist,
    registry: Registry,
    model: str,
    events: list[Event],
    commits: Collection[str],
    half_closed: Collection[str],
) -> None:
    """Check the branch against the ledger's head that MLflow was told of when a week closed."""
    told = registry.witness(model)
    if told is None:
        return
    done.count("ledger heads that MLflow was told of", "ledger_head" in told)
    if "ledger_head" not in told and not half_closed:
        done.add("MLflow", f"{model} has no tag ledger_head", "no tag", "where the ledger stood", _RECONCILE)
    done.extend(compare.check_told(f"MLflow, tags of {model}", told, events, commits))


def _check_served(done: Checklist, registry: Registry, verdict: Event, panels: Collection[str | None]) -> None:
    """Compare the files that MLflow serves of any version with what its verdict and the branch recorded of them."""
    model, version = verdict["version"].split("/", 1)[0], verdict["version"]
    names = (*MODEL_FILES, *([WEIGHTS] if verdict["event"] == "update" else []))
    files = {name: registry.read_file(model, version, name) for name in names}
    done.count("files that MLflow serves", len(files))
    for name in (name for name, data in files.items() if data is None):
        done.add(f"MLflow, {name} of {version}", "is gone", "no such file", "the version's file", _SERVED)
    draws, panel, weights = files["base.nc"], files["panel.parquet"], files.get(WEIGHTS)
    if weights is not None and _weights_hash(weights) != verdict.get("weights_hash"):
        where, expected = f"MLflow, {WEIGHTS} of {version}", f"weights {verdict.get('weights_hash')}"
        done.add(where, "is not the weights that the ledger recorded", _weights_hash(weights), expected, _SERVED)
    if draws is not None:
        try:
            found = hash_draws(load_posterior_bytes(draws))
        except StoreError:
            found = "unreadable"
        if found != verdict.get("draws_hash"):
            where, expected = f"MLflow, base.nc of {version}", f"draws {verdict.get('draws_hash')}"
            done.add(where, "is not the draws that the verdict recorded", f"draws {found}", expected, _SERVED)
    if panel is not None and blob_id(panel) not in panels:
        value = f"sha256 {hashlib.sha256(panel).hexdigest()}"
        done.add(f"MLflow, panel.parquet of {version}", "is no panel of the history", value, "one of live/", _SERVED)
    pointer = _meaning("champion.json", files["champion.json"] or b"{}")
    for key in ("request", "draws_hash", "observed_hash"):
        value = pointer.get(key) if isinstance(pointer, dict) else "unreadable"
        if files["champion.json"] is not None and value != verdict.get(key):
            where = f"MLflow, champion.json of {version}"
            done.add(where, f"{key} is not what the verdict recorded", str(value), str(verdict.get(key)), _SERVED)


def _check_in_use(done: Checklist, registry: Registry, version: str, reading: Reading, folder: str) -> None:
    """Compare draws and pointer of a version in use with the files of the history."""
    model = version.split("/", 1)[0]
    for name in ("base.nc", "champion.json", WEIGHTS):
        kept = reading.blob(f"{folder}{name}")
        served = None if kept is None else registry.read_file(model, version, name)
        if kept is None or served is None or _meaning(name, served) == _meaning(name, kept):
            continue
        value = f"sha256 {hashlib.sha256(served).hexdigest()}"
        expected = f"sha256 {hashlib.sha256(kept).hexdigest()}"
        done.add(f"MLflow, {name} of {version}", "is not the file of the history", value, expected, _SERVED)


def _weights_hash(data: bytes) -> str:
    try:
        return hash_weights(load_weights(io.BytesIO(data)))
    except StoreError:
        return "unreadable"


def _meaning(name: str, data: bytes) -> object:
    """A pointer may be written with other spaces; draws are compared byte by byte."""
    try:
        return json.loads(data) if name.endswith(".json") else data
    except ValueError:
        return data
