"""Verify: is everything still what was recorded?  Reads history, clone, registry and caches; writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from evermix.config import Environment
from evermix.core import verify as compare
from evermix.core.ledger import Event
from evermix.core.ledger_diff import differences, parse_ledger
from evermix.core.verify import Checklist, Commit
from evermix.engines.history.reading import LoggedCommit, Reading, open_history
from evermix.errors import StoreError
from evermix.stages.verify_files import check_files, check_objects, check_snapshot_refs
from evermix.stages.verify_registry import check_registry

_CHECKOUT = "Find out who did it. `git checkout HEAD -- live` in the clone brings the recorded file back."
_CLONE_ANEW = "Bring the repository back from another clone or a backup: it is the only place of what is lost."

# How a file says that it is not what it should be: no JSON, no YAML, other keys, other types.
_GARBAGE = (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


def run(env: Environment, models: list[str], ask_registry: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Return ``{clean, models: [{model, clean, checked, findings, notes}]}``.

    Parameters
    ----------
    ask_registry : bool
        Compare with MLflow too.
    say : callable
        Takes lines of progress.
    """
    found = [_verify(env, model, ask_registry, say) for model in models]
    return {"clean": all(one["clean"] for one in found), "models": found}


def _verify(env: Environment, model: str, ask_registry: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Verify one model; a week closed meanwhile looks like a registry ahead of its ledger, so then once more."""
    for _ in range(3):
        done = Checklist()
        with open_history(env, model) as reading:
            tip = reading.tip
            _check_model(done, env, model, reading, ask_registry, say)
        with open_history(env, model) as reading:
            if not done.findings or reading.tip == tip:
                break
    return {
        "model": model,
        "clean": not done.findings,
        "checked": dict(done.checked),
        "findings": [finding.model_dump() for finding in done.findings],
        "notes": done.notes,
    }


def _check_model(
    done: Checklist, env: Environment, model: str, reading: Reading, ask_registry: bool, say: Callable[[str], None]
) -> None:
    say(f"{model}: the branch, its ledger, and what this home remembers of them")
    for line in reading.damage():
        done.add(f"repository {reading.folder}", f"git fsck: {line}", "damaged", "whole objects", _CLONE_ANEW)
    log: list[LoggedCommit] = []
    commits: list[Commit] = []
    events: list[Event] = []
    named: dict[str, set[str]] = {}
    with _told(done, f"branch {reading.branch}"):
        tip = _standing(done, reading)
        log = reading.log(tip) if tip is not None else []
        commits = _with_ledgers(reading, model, log)
        events = (commits[-1].events or []) if commits else []
        _check_branch(done, reading, commits, events)
    with _told(done, f"work clone {reading.clone}"):
        _check_clone(done, model, reading)
    with _told(done, f"branch {reading.branch} as this home, {env.home}, remembers it"):
        _check_witness(done, env, model, reading, commits)
    say(f"{model}: draws and snapshots in {len(log)} commits")
    with _told(done, f"a commit of {reading.branch}"):
        named = check_files(done, model, reading, log, commits)
    with _told(done, f"refs/snapshots/{model}"):
        check_snapshot_refs(done, env, model, events)
    say(f"{model}: what DVC keeps of {len(named)} outputs")
    with _told(done, f"DVC cache of {env.home} or remote {env.dvc_remote_url}"):
        check_objects(done, env, named, compare.half_closed_commits(commits))
    if ask_registry:
        say(f"{model}: versions, tags and aliases in MLflow")
        with _told(done, f"ledger of {reading.branch} or MLflow's tags"):
            check_registry(done, env, model, reading, log, commits)


@contextmanager
def _told(done: Checklist, where: str) -> Iterator[None]:
    """Let what cannot be read be one more finding, and the checks after it go on."""
    try:
        yield
    except StoreError as err:
        done.add(where, "cannot be read to its end", str(err), "a readable one", _CLONE_ANEW)
    except _GARBAGE as err:
        # What somebody wrote there has another form than anything evermix writes.
        what = "holds something that evermix did not write, so that it cannot be checked to its end"
        done.add(where, what, repr(err)[:200], "as written", _CLONE_ANEW)


def _standing(done: Checklist, reading: Reading) -> str | None:
    """Return the commit to check: the branch's tip, or the work clone's if it is ahead and was never pushed."""
    head = reading.clone_head()
    if head is None or head == reading.tip or head in reading.remembered():
        return reading.tip
    if reading.tip is None or reading.contains(head, reading.tip):
        done.notes.append(f"the work clone is ahead of the branch: {head[:12]} was not pushed yet")
        return head
    done.notes.append(f"the work clone stands at {head[:12]}, which the branch does not have; the next week drops it")
    return reading.tip


def _with_ledgers(reading: Reading, model: str, log: list[LoggedCommit]) -> list[Commit]:
    """Return the log with the ledger of each commit, each blob read once."""
    path = f"live/{model}/ledger.jsonl"
    out: list[Commit] = []
    events: list[Event] | None = None
    unreadable: list[str] = []
    for one in log:
        if path in one.blobs:
            blob = one.blobs[path]
            data = reading.blob(blob) if blob is not None else None
            events, unreadable = (None, []) if data is None else parse_ledger(data)
        touches = any(name.startswith(f"live/{model}/") for name in one.blobs)
        out.append(Commit(one.id, one.subject, one.head, events, unreadable, touches, one.parents))
    return out


def _check_branch(done: Checklist, reading: Reading, commits: list[Commit], events: list[Event]) -> None:
    done.count("commits", len(commits))
    done.count("ledger events", len(events))
    done.count("ledger heads in commit messages", sum(commit.head is not None for commit in commits))
    if commits:
        done.extend(compare.check_ledger(f"ledger of {reading.branch}", events, commits[-1].unreadable))
        done.extend(compare.check_commits(commits))
    elif not reading.remembered():
        done.notes.append("no week was closed yet: there is nothing to verify")


def _check_clone(done: Checklist, model: str, reading: Reading) -> None:
    """Find changes below ``live/`` in the work clone that nobody committed."""
    head = reading.clone_head()
    if reading.clone is None or head is None:
        done.notes.append("no work clone in this home: nothing here remembers where the branch stood before")
        return
    path = f"live/{model}/ledger.jsonl"
    file, committed = reading.clone / path, reading.blob(f"{head}:{path}")
    older, _ = parse_ledger(committed or b"")
    mine, unreadable = parse_ledger(file.read_bytes()) if file.is_file() else ([], [])
    where = f"work clone, {file}"
    done.count("ledger in the work clone")
    found = compare.check_ledger(where, mine, unreadable)
    for text in differences(older, mine):
        done.add(where, f"ledger: {text}", "changed and not committed", f"as in commit {head[:12]}", _CHECKOUT)
    done.extend(found)
    if compare.half_closed_commits(_with_ledgers(reading, model, reading.log(head))):
        # A close that was cut off leaves half of live/ behind; the next one starts it anew.
        return
    for name in reading.clone_changes(f"live/{model}"):
        if name != path or not (found or differences(older, mine)):
            where = f"work clone, {reading.clone / name}"
            done.add(where, "was changed", "changed and not committed", f"as in commit {head[:12]}", _CHECKOUT)


def _check_witness(done: Checklist, env: Environment, model: str, reading: Reading, commits: list[Commit]) -> None:
    """Compare the branch with every place where this home saw it, and with the last head it told MLflow of."""
    remembered = reading.remembered()
    done.count("places of the branch that this home remembers", len(remembered))
    on_branch = {commit.id for commit in commits}
    events = (commits[-1].events or []) if commits else []
    lost = []
    for commit in remembered:
        if commit not in on_branch:
            data = reading.blob(f"{commit}:live/{model}/ledger.jsonl")
            lost.append((commit, parse_ledger(data or b"")[0]))
    done.extend(compare.check_witness(reading.branch, reading.tip, events, lost))
    marker = env.home / "registry" / f"{model}.json"
    if marker.is_file():
        done.count("ledger heads that this home remembers")
        told = json.loads(marker.read_text(encoding="utf-8"))
        done.extend(compare.check_told(str(marker), told, events, on_branch))
