"""Verify, third part: MLflow against ledger and branch.  What it knows and the ledger does not, somebody took away."""

from __future__ import annotations

import hashlib
import json

from evermix.config import Environment
from evermix.core import verify as compare
from evermix.core.ledger import Event
from evermix.core.verify import Checklist, Commit
from evermix.engines.history.reading import Reading
from evermix.engines.registry import Registry
from evermix.stages.publish import registry_of, tags_after, truth_of

_RECONCILE = "`evermix promote --reconcile` publishes and points again what the history says."
_SERVED = "Somebody changed MLflow's store. Restore the file from the history, live/<model> at the version's commit."


def check_registry(
    done: Checklist, env: Environment, model: str, reading: Reading, commits: list[Commit], events: list[Event]
) -> None:
    """Check versions, their tags, the aliases, and the files of the versions that are in use."""
    registry = registry_of(env)
    versions = registry.state(model)["versions"]
    done.count("MLflow versions", len(versions))
    tip = commits[-1] if commits else None
    known = {commit.id for commit in commits}
    done.extend(
        compare.check_registry(events, versions, tags_after(events), known, compare.half_closed_commits(commits))
    )
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
    if tip is not None:
        places = {"champion": "", "challenger": "challenger/"}
        for alias, version in truth.items():
            if version is not None and version not in gone:
                _check_served(done, registry, version, reading, f"{tip.id}:live/{model}/{places[alias]}")


def _check_served(done: Checklist, registry: Registry, version: str, reading: Reading, folder: str) -> None:
    """Compare the draws and the pointer that MLflow serves with those of the history."""
    model = version.split("/", 1)[0]
    for name in ("base.nc", "champion.json"):
        kept = reading.blob(f"{folder}{name}")
        served = registry.read_file(model, version, name)
        done.count("files that MLflow serves")
        if kept is None or (served is not None and _meaning(name, served) == _meaning(name, kept)):
            continue
        value = "no such file" if served is None else f"sha256 {hashlib.sha256(served).hexdigest()}"
        expected = f"sha256 {hashlib.sha256(kept).hexdigest()}"
        done.add(f"MLflow, {name} of {version}", "is not the file of the history", value, expected, _SERVED)


def _meaning(name: str, data: bytes) -> object:
    """A pointer may be written with other spaces; draws are compared byte by byte."""
    try:
        return json.loads(data) if name.endswith(".json") else data
    except ValueError:
        return data
