"""What a kill or a bad disk leaves behind in a model's clone; its lock says that nobody works there any more."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from evermix.engines.store import DRAFT

if TYPE_CHECKING:
    from evermix.engines.history.clone import History


def clear_after_a_kill(history: History) -> None:
    """Remove locks and drafts of a process that was killed, and mend what it was writing in place."""
    locks = [*(history.root / ".git").rglob("*.lock"), history.root / ".dvc" / "tmp" / "rwlock"]
    if not history.is_shared:
        refs = Path(history.env.history_url) / "refs"
        locks += [refs / "heads" / f"{history.branch}.lock", *(refs / "snapshots" / history.model).glob("*.lock")]
    for lock in locks:
        lock.unlink(missing_ok=True)
    beside = [path for name in ("registry", "durations") for path in (history.env.home / name).glob(f"{DRAFT}*")]
    for draft in [*history.root.rglob(f"{DRAFT}*"), *(path for path in beside if f"{history.model}.json" in path.name)]:
        shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)
    _mend_index(history)
    _mend_dvc_lock(history)


def drop_damaged(history: History, said: str) -> bool:
    """Remove the object that DVC calls damaged, where its bytes are not those of its name; return whether one was.

    It is pushed again from the cache, or made again by the stage that made it.
    """
    found = re.search(r"([0-9a-f]{2})([0-9a-f]{30}(?:\.dir)?) is corrupted", said)
    if found is None:
        return False
    name = Path("files", "md5", found[1], found[2])
    places = [Path(root) / name for root in (history.env.dvc_remote_url, history.env.home / "dvc-cache")]
    damaged = [path for path in places if path.is_file() and _md5(path) != found[1] + found[2].removesuffix(".dir")]
    for path in damaged:
        path.unlink()
    return bool(damaged)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _mend_index(history: History) -> None:
    """Git cannot read an index that was torn; it is made again from the last commit, the files stay."""
    index = history.root / ".git" / "index"
    if not index.is_file() or history.ask("ls-files"):
        return
    index.unlink()
    if history.tip() is not None:
        history.ask("reset", "-q")


def _mend_dvc_lock(history: History) -> None:
    """DVC writes its lock file in place, so a kill or a full disk can tear it; the last commit's is whole."""
    path = history.root / "dvc.lock"
    if not path.is_file() or is_whole(path.read_bytes()):
        return
    path.unlink()
    if history.tip() is not None and history.file_at("HEAD", "dvc.lock") is not None:
        history.git("checkout", "-q", "HEAD", "--", "dvc.lock")


def is_whole(lock: bytes) -> bool:
    """Return whether DVC can read a ``dvc.lock``; one cut between two stages it can, and does the lost ones again."""
    try:
        stages = yaml.safe_load(lock)["stages"] if lock.endswith(b"\n") else None
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError):
        return False
    return isinstance(stages, dict) and all(map(_is_whole_stage, stages.values()))


def _is_whole_stage(stage: object) -> bool:
    if not isinstance(stage, dict) or "cmd" not in stage or None in stage.values():
        return False
    if None in stage.get("params", {}).values():
        return False
    files = [file for part in ("deps", "outs") for file in stage.get(part, [])]
    return all(isinstance(file, dict) and {"path", "md5"} <= file.keys() for file in files)
