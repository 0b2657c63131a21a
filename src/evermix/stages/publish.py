"""Bring versions and aliases into the registry: a projection of the history, repeated until it holds."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.config import Environment
from evermix.core import ledger
from evermix.core.amend import in_words
from evermix.core.close import WeekOutcome
from evermix.core.verify import MADE, VERDICT_TAGS, missing_versions
from evermix.engines.history import History, read_branch_file
from evermix.engines.registry import Registry
from evermix.engines.store import Store, hash_bytes, read_json, write_bytes, write_json
from evermix.errors import ServiceError
from evermix.records import VersionFile
from evermix.stages.fits import proposed_fit
from evermix.stages.versions import find_version

if TYPE_CHECKING:
    from evermix.stages.week import Loop

_MOVES = (*ledger.MOVES, "approval")


def registry_of(env: Environment) -> Registry:
    """Return the registry that the environment names, or the home's own SQLite file."""
    uri = env.tracking_uri or f"sqlite:///{env.home / 'mlflow.db'}"
    if not uri.startswith("sqlite:///"):
        return Registry(uri)
    # Beside the database: MLflow's own choice would be the folder that a command happens to run in.
    return Registry(uri, Path(uri.removeprefix("sqlite:///")).parent / "mlartifacts")


def publish_version(env: Environment, store: Store, version: VersionFile, outcome: WeekOutcome, commit: str) -> int:
    """Publish the version that a week's fit made, with its diagnostics, plots and tags; return its number.

    Parameters
    ----------
    commit : str
        The ``computed`` commit, from which the version can be reproduced.
    """
    from evermix.engines.reports import decision_plots

    evaluation = read_json(store.out / "evaluation.json")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "champion.json", version.model_dump())
        files = {
            "champion.json": folder / "champion.json",
            "base.nc": proposed_fit(store).folder / "posterior.nc",
            "panel.parquet": store.request / "panel.parquet",
            "reports/decision.json": store.decision,
            "reports/verdict.json": store.verdict,
            "reports/evaluation.json": store.evaluated / "evaluation.json",
            "reports/validate.html": store.validated / "report.html",
        }
        for plot in decision_plots(store.evaluated, folder / "plots"):
            files[f"plots/{plot.name}"] = plot
        metrics = {key: float(value) for key, value in evaluation.items() if isinstance(value, int | float)}
        return registry_of(env).publish(
            version, files, metrics, _params(version), _tags(store, version, outcome, commit)
        )


def publish_update(env: Environment, store: Store, version: VersionFile, outcome: WeekOutcome, commit: str) -> int:
    """Publish the version that a week's weights made of the champion's fit; return its number."""
    made, totals = (read_json(store.monitored / name) for name in ("update.json", "posterior.json"))
    with tempfile.TemporaryDirectory() as name:
        write_json(Path(name) / "champion.json", version.model_dump())
        files = {
            "champion.json": Path(name) / "champion.json",
            "base.nc": store.live / "base.nc",
            "weights.npy": store.monitored / "weights.npy",
            "panel.parquet": store.validated / "panel.parquet",
            "reports/decision.json": store.decision,
            "reports/evidence.json": store.monitored / "evidence.json",
            "reports/posterior.json": store.monitored / "posterior.json",
        }
        metrics = {key: float(made[key]) for key in ("khat", "ess")}
        metrics |= {f"roas_{row['channel']}": float(row["mean"]) for row in totals.get("roas", [])}
        return registry_of(env).publish(
            version, files, metrics, _params(version), _tags(store, version, outcome, commit)
        )


def _params(version: VersionFile) -> dict[str, Any]:
    flat = {"kind": version.kind, "recipe": version.recipe, "spec": json.dumps(version.spec, sort_keys=True)}
    return flat | {f"sampler.{key}": value for key, value in version.sampler.items()}


def _tags(store: Store, version: VersionFile, outcome: WeekOutcome, commit: str) -> dict[str, str]:
    request = read_json(store.request / "request.json")
    return {
        "as_of": version.as_of,
        "kind": "update" if version.parent else "adopted" if "adopted" in request else "refit",
        "decision": outcome.decision.decision,
        "verdict": (outcome.verdict.verdict if outcome.verdict else None) or "none",
        "parent": version.parent or request["champion"] or "none",
        "fitted_through": version.fitted_through,
        "git_commit": commit,
        "git_branch": f"weeks/{version.model}",
        "dvc_lock": hash_bytes((store.root / "dvc.lock").read_bytes()),
        "snapshot": outcome.snapshot,
        "request": version.request,
        "observed_hash": version.observed_hash,
        "draws_hash": version.draws_hash,
        "weights_hash": version.weights_hash or "none",
        "basis_hash": str(outcome.evidence_of_version["basis_hash"]),
        "amendments": in_words(version.amendments),
        "seed": str(version.sampler["seed"]),
        "code_commit": str(outcome.code.get("commit")),
        "code_dirty": str(outcome.code.get("dirty")),
        "package_lock": str(outcome.code.get("lock")),
    }


def tell_registry(env: Environment, history: History, events: list[ledger.Event], overrule: bool = False) -> None:
    """Make aliases and version tags say what the ledger says, and leave the ledger's head there as a witness.

    The witness lets `evermix verify` see a branch that was cut or rewritten where no clone remembers it; one that knows
    an event which the ledger lacks stays as it is, so that the next week does not wipe it out.  A home that told of
    this head already asks nothing.

    Parameters
    ----------
    overrule : bool
        A person says that the ledger is right: the witness is told anew whatever it knows.

    Raises
    ------
    ServiceError
        The registry is away and does not know the last move yet.  The history is right already; the next call repairs
        the registry.  Where only the witness is missing, that is said and the next week brings it.
    """
    model, head = history.model, ledger.head(events)
    marker = env.home / "registry" / f"{model}.json"
    told = read_json(marker) if marker.is_file() else {}
    if not events or told.get("ledger_head") == head:
        return
    registry = registry_of(env)
    moves = [event["hash"] for event in events if event["event"] in _MOVES]
    move = moves[-1] if moves else None
    if move != told.get("move"):
        registry.reconcile(model, truth_of(events))
        known = {version["id"] for version in registry.state(model)["versions"]}
        for version, tags in tags_after(events).items():
            if version in known:
                registry.tag(model, version, tags)
        told = {**told, "move": move}
        write_json(marker, told)
    witness = {"ledger_head": head, "git_commit": str(history.tip()), "as_of": events[-1]["as_of"]}
    try:
        knows = [told.get("ledger_head"), (registry.witness(model) or {}).get("ledger_head")]
        if not overrule and not {one for one in knows if one is not None} <= {event["hash"] for event in events}:
            _say(history, "MLflow or this home knows an event that the ledger lacks. See `evermix verify`.")
            return
        registry.set_witness(model, witness)
    except ServiceError as err:
        _say(history, f"MLflow was not told of the ledger's new head, the next week tells it: {err}")
        return
    write_json(marker, {"move": move, **witness})


def _say(history: History, line: str) -> None:
    if history.say is not None:
        history.say(line)


def truth_of(events: list[ledger.Event]) -> dict[str, str | None]:
    """Return the champion and the challenger that the ledger names."""
    challenger = None
    for event in events:
        if event["event"] == "approval":
            challenger = event["version"] if event["state"] == "pending" else None
    return {"champion": ledger.champion_of(events), "challenger": challenger}


def tags_after(events: list[ledger.Event]) -> dict[str, dict[str, str]]:
    """Return the tags that the ledger gives to each version that a move touched."""
    out: dict[str, dict[str, str]] = {}
    for event in events:
        if event["event"] == "verdict":
            out[event["version"]] = {"verdict": str(event["verdict"])}
        elif event["event"] in _MOVES and (event["version"] in out or event["event"] == "update"):
            out.setdefault(event["version"], {})["ledger_head"] = event["hash"]
            if event["event"] == "approval":
                out[event["version"]] |= {"approval": event["state"], "approved_by": event["by"]}
    return out


def registry_disagreements(env: Environment, model: str) -> list[str]:
    """Return in words where the registry and the history differ."""
    return registry_of(env).disagreements(model, truth_of(branch_events(env, model)))


def branch_events(env: Environment, model: str) -> list[ledger.Event]:
    """Return the ledger at the tip of a model's branch, without its lock."""
    text = read_branch_file(env, model, f"live/{model}/ledger.jsonl")
    return ledger.from_lines(text.decode()) if text else []


def reconcile(loop: Loop) -> dict[str, Any]:
    """Make the registry say what the history says: missing versions published again, aliases repaired."""
    with loop.history.locked():
        loop.history.sync()
        events = loop.events()
        truth = truth_of(events)
        registry = registry_of(loop.env)
        known = {version["id"] for version in registry.state(loop.model)["versions"]}
        used, _ = missing_versions(events, known)
        republished = [gone for gone in used if _republish(loop.env, loop.history, registry, events, gone)]
        repairs = [f"{version} published again" for version in republished]
        repairs += registry.reconcile(loop.model, truth)
        (loop.env.home / "registry" / f"{loop.model}.json").unlink(missing_ok=True)
        tell_registry(loop.env, loop.history, events, overrule=True)
        return {"model": loop.model, "repairs": repairs, "left": registry.disagreements(loop.model, truth)}


def _republish(
    env: Environment, history: History, registry: Registry, events: list[ledger.Event], version_id: str
) -> bool:
    """Publish a version from what the history keeps of it; False for one that it does not keep."""
    kept = find_version(history, version_id)
    if kept is None:
        return False
    with tempfile.TemporaryDirectory() as name:
        for part, data in kept.files.items():
            write_bytes(Path(name) / part, data)
        version = kept.version
        tags = {"as_of": version.as_of, "git_commit": kept.commit, "republished": "true"}
        verdict = next(e for e in reversed(events) if e["event"] in MADE and e["version"] == version_id)
        tags |= {name: str(verdict[name]) for name in VERDICT_TAGS if verdict.get(name) is not None}
        tags |= tags_after(events).get(version_id, {})
        files = {part: Path(name) / part for part in kept.files if part != "base_panel.parquet"}
        registry.publish(version, files, {}, _params(version), tags)
    return True
