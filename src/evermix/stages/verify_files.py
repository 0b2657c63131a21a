"""Verify, second part: draws, snapshots and DVC's objects against the hashes that were recorded of them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any

from evermix.config import Environment
from evermix.core import ledger
from evermix.core import verify as compare
from evermix.core.draws import hash_draws, hash_weights
from evermix.core.ledger import Event
from evermix.core.verify import Checklist, Commit
from evermix.engines.history import list_refs, read_ref
from evermix.engines.history.objects import check_objects as objects_of
from evermix.engines.history.objects import folder_md5, locked_files
from evermix.engines.history.reading import LoggedCommit, Reading
from evermix.engines.models.drawsfile import load_posterior_bytes, load_weights
from evermix.engines.store import VERSION_FILES
from evermix.errors import StoreError

Tree = dict[str, str]

_PULL = "Delete it and run `dvc pull` in a clone of the branch."
_PUSH = "Run `dvc push --all-commits` in the work clone, which has it in its cache."
_FROM_COMMIT = "The week's `computed` commit holds the same bytes in in/<model>/snapshot."
_REPEAT = "Check out the week's commit in a clone and run `dvc repro`, which computes it again, then `dvc push`."


def check_files(
    done: Checklist, model: str, reading: Reading, log: list[LoggedCommit], commits: list[Commit]
) -> dict[str, set[str]]:
    """Check draws, snapshots and lock files of every commit; return the outputs that DVC keeps, by MD5."""
    tree: Tree = {}
    named: dict[str, set[str]] = {}
    before: list[Event] = []
    for logged, commit in zip(log, commits, strict=True):
        tree |= {path: blob for path, blob in logged.blobs.items() if blob is not None}
        for path in (path for path, blob in logged.blobs.items() if blob is None):
            tree.pop(path, None)
        for place in ("", "challenger/"):
            folder = f"live/{model}/{place}"
            if {f"{folder}{name}" for name in VERSION_FILES} & set(logged.blobs):
                _check_version(done, reading, commit, tree, folder)
        known = {event.get("hash") for event in before}
        fresh = [event for event in commit.events or [] if event.get("hash") not in known]
        _check_snapshot(done, reading, model, commit, tree, fresh)
        if "dvc.lock" in tree and any(path.startswith(("dvc.lock", "in/", "out/")) for path in logged.blobs):
            _check_inputs(done, model, commit, tree)
            for path, md5 in _check_lock(done, reading, commit, tree).items():
                named.setdefault(md5, set()).add(path)
        before = commit.events or []
    return named


def check_snapshot_refs(done: Checklist, env: Environment, model: str, events: list[Event]) -> None:
    """Check the snapshots that all workers share against the decisions made on them."""
    refs = {ref.rsplit("/", 1)[1]: ref for ref in list_refs(env, f"refs/snapshots/{model}/")}
    decided = sorted({event["as_of"] for event in events if event.get("event") == "decision"})
    for as_of, ref in refs.items():
        files = read_ref(env, ref) or {}
        decision = ledger.decision_of(events, as_of)
        # A quarantined week may have got a new delivery that is not decided yet.
        is_final = decision is not None and decision["decision"] != "quarantine"
        recorded = decision.get("snapshot") if decision is not None and is_final else None
        about = json.loads(files.get("about.json", b"{}"))
        data = next((files[name] for name in sorted(files) if name.startswith("data.")), None)
        done.count("snapshots in refs")
        done.extend(compare.check_snapshot(ref, data, about, recorded))
    for as_of in (week for week in decided if week not in refs):
        ref = f"refs/snapshots/{model}/{as_of}"
        done.add(ref, "the snapshot of a decided week is gone", "no such ref", "its snapshot", _FROM_COMMIT)
    later = [as_of for as_of in refs if as_of > max(decided, default="9")]
    if later:
        done.notes.append(f"weeks {', '.join(later)} have a snapshot and no decision: open, or cut from the ledger")


def check_objects(done: Checklist, env: Environment, named: dict[str, set[str]], half_closed: set[str]) -> None:
    """Read every object that the lock files name, in the cache and in a remote that is a folder.

    Every close pushes its outputs, so that the remote has them all, unless the last close was cut off.
    """
    for found in objects_of(env, named):
        done.count("DVC objects", found.cache == "whole")
        done.count("DVC objects in the remote", found.remote in ("whole", "there"))
        outputs = ", ".join(found.outputs[:3]) + (" and others" if len(found.outputs) > 3 else "")
        if found.cache == found.remote == "missing":
            what = "is neither in the cache nor in the remote"
            done.add(f"DVC object {found.md5} ({outputs})", what, "missing", "its bytes", _REPEAT)
        elif found.remote == "missing" and not half_closed:
            where = f"DVC remote, object {found.md5} ({outputs})"
            done.add(where, "is gone, only this home's cache has it", "missing", "its bytes", _PUSH)
        for place, state in (("cache", found.cache), ("remote", found.remote)):
            if state not in ("whole", "there", "missing"):
                where = f"DVC {place}, object {found.md5} ({outputs})"
                done.add(where, "does not hash to its name", f"md5 {state}", f"md5 {found.md5}", _mend(place, found))


def _mend(place: str, found: Any) -> str:
    other = found.remote if place == "cache" else found.cache
    if other not in ("whole", "there"):
        return _REPEAT
    return _PULL if place == "cache" else f"Delete it. {_PUSH}"


def _check_version(done: Checklist, reading: Reading, commit: Commit, tree: Tree, folder: str) -> None:
    pointer, base = tree.get(f"{folder}champion.json"), tree.get(f"{folder}base.nc")
    if pointer is None and base is None:
        return
    where = f"{folder}base.nc in {commit.place}"
    if pointer is None or base is None:
        lacks = "champion.json" if pointer is None else "base.nc"
        done.add(where, "draws and pointer belong together", f"no {lacks}", "both files", compare.RESTORE)
        return
    done.count("draws")
    try:
        found: str | None = hash_draws(load_posterior_bytes(reading.blob(base) or b""))
    except StoreError:
        found = None
    version = json.loads(reading.blob(pointer) or b"{}")
    done.extend(compare.check_draws(where, version, found, commit.events or []))
    for name, key, read in (
        ("weights.npy", "weights_hash", lambda data: hash_weights(load_weights(io.BytesIO(data)))),
        ("base_panel.parquet", "panel_hash", lambda data: hashlib.sha256(data).hexdigest()),
    ):
        blob = tree.get(f"{folder}{name}")
        done.count(name.split(".")[0].replace("_", " ") + " files", blob is not None)
        place = f"{folder}{name} in {commit.place}"
        hashed = None if blob is None else _hashed(read, reading.blob(blob) or b"")
        done.extend(compare.check_beside_draws(place, version, key, hashed, commit.events or []))


def _hashed(read: Callable[[bytes], str], data: bytes) -> str:
    try:
        return read(data)
    except StoreError:
        return "unreadable"


def _check_snapshot(
    done: Checklist, reading: Reading, model: str, commit: Commit, tree: Tree, fresh: list[Event]
) -> None:
    """Check the snapshot that a commit's new decision was made on."""
    inputs = f"in/{model}"
    week = json.loads(_text(reading, tree, f"{inputs}/week.json"))
    for event in fresh:
        if event.get("event") != "decision" or event.get("as_of") != week.get("as_of"):
            continue
        about = json.loads(_text(reading, tree, f"{inputs}/snapshot/about.json"))
        names = sorted(path for path in tree if path.startswith(f"{inputs}/snapshot/data."))
        data = reading.blob(tree[names[0]]) if names else None
        done.count("snapshots")
        where = f"{inputs}/snapshot of {event['as_of']} in {commit.place}"
        done.extend(compare.check_snapshot(where, data, about, event.get("snapshot")))


def _check_inputs(done: Checklist, model: str, commit: Commit, tree: Tree) -> None:
    """A week starts from the champion that the week before left."""
    for name in VERSION_FILES:
        given, left = tree.get(f"in/{model}/live/{name}"), tree.get(f"live/{model}/{name}")
        if given != left:
            where = f"in/{model}/live/{name} in {commit.place}"
            done.add(where, "is not the file of live/ before it", str(given), str(left), compare.RESTORE)


def _check_lock(done: Checklist, reading: Reading, commit: Commit, tree: Tree) -> dict[str, str]:
    """Check what git keeps of a lock file's inputs and outputs; return the rest, which DVC keeps."""
    lock = reading.blob(tree["dvc.lock"]) or b""
    outs = locked_files(lock, "outs")
    in_git = {path: md5 for path, md5 in outs.items() if path in tree}
    in_git |= {path: md5 for path, md5 in locked_files(lock, "deps").items() if path.startswith("in/")}
    for path, md5 in in_git.items():
        done.count("files that dvc.lock names and git keeps")
        if path in tree:
            found = hashlib.md5(reading.blob(tree[path]) or b"").hexdigest()
        else:
            inside = {name.removeprefix(f"{path}/"): blob for name, blob in tree.items() if name.startswith(f"{path}/")}
            found = folder_md5({name: reading.blob(blob) or b"" for name, blob in inside.items()})
        if found != md5:
            what = "is not the file that dvc.lock was written for"
            done.add(f"{path} in {commit.place}", what, f"md5 {found}", f"md5 {md5}", compare.RESTORE)
    return {path: md5 for path, md5 in outs.items() if path not in tree}


def _text(reading: Reading, tree: Tree, path: str) -> bytes:
    return (reading.blob(tree[path]) if path in tree else None) or b"{}"
