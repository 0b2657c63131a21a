"""Versions that the history keeps: each one that was champion, or was put before a person."""

from __future__ import annotations

import json
from dataclasses import dataclass

from evermix.engines.history import History
from evermix.errors import StoreError
from evermix.records import VersionFile


@dataclass(frozen=True)
class KeptVersion:
    """A version as a commit of the history has it.

    Attributes
    ----------
    files : dict of bytes
        ``champion.json``, ``base.nc`` and ``panel.parquet`` by name; ``weights.npy`` of an update, and
        ``base_panel.parquet`` unless the history is older than updates.
    """

    version: VersionFile
    commit: str
    files: dict[str, bytes]


def find_version(history: History, version_id: str) -> KeptVersion | None:
    """Return a version from the last commit that moved it, None if it never was champion or question.

    Raises
    ------
    StoreError
        The commit names the version and lacks one of its files.
    """
    for place in ("", "challenger/"):
        folder = f"live/{history.model}"
        pointer = f"{folder}/{place}champion.json"
        for commit in history.commits_touching(pointer):
            text = history.file_at(commit, pointer)
            if text is None or json.loads(text)["id"] != version_id:
                continue
            files = {
                "champion.json": text,
                "base.nc": _need(history, commit, f"{folder}/{place}base.nc"),
                "panel.parquet": _need(history, commit, f"{folder}/panel.parquet"),
            }
            version = VersionFile.model_validate_json(text)
            if version.weights_hash is not None:
                files["weights.npy"] = _need(history, commit, f"{folder}/{place}weights.npy")
            base = history.file_at(commit, f"{folder}/{place}base_panel.parquet")
            return KeptVersion(version, commit, files if base is None else {**files, "base_panel.parquet": base})
    return None


def _need(history: History, commit: str, path: str) -> bytes:
    data = history.file_at(commit, path)
    if data is None:
        raise StoreError(f"{history.branch}: commit {commit} lacks {path}. Run `git fsck` on the history.")
    return data
