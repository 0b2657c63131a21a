"""Outputs of stages between a clone, the home's DVC cache and the DVC remote."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import yaml

from evermix.engines.history.commands import DVC, last_line, run
from evermix.engines.history.killed import drop_damaged
from evermix.errors import ServiceError

if TYPE_CHECKING:
    from evermix.engines.history.clone import History


def configure_dvc(history: History) -> None:
    """Write the clone's DVC configuration: the remote for all clones, the shared cache for this one."""
    env = history.env
    folder = history.root / ".dvc"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / "config").write_text(
        "[core]\n    remote = history\n    analytics = false\n    check_update = false\n"
        f"['remote \"history\"']\n    url = {env.dvc_remote_url}\n"
        # Else DVC takes from the remote whatever bytes lie there.
        "    verify = true\n"
    )
    # Where one machine reaches the store is its own business, as where it keeps its cache is.
    endpoint = env.s3_endpoint_url
    reached = f"['remote \"history\"']\n    endpointurl = {endpoint}\n" if endpoint else ""
    (folder / "config.local").write_text(f"[cache]\n    dir = {env.home / 'dvc-cache'}\n{reached}")


def push_outputs(history: History) -> None:
    """Push what the clone's ``dvc.lock`` names to the remote.

    Raises
    ------
    ServiceError
        The remote is away, or an object is damaged in the cache and cannot be had from anywhere.
    """
    done = _dvc(history, "push")
    # Only a push can put a good object in the place of a damaged one.
    while done.returncode and drop_damaged(history, done.stderr.decode(errors="replace")):
        done = _dvc(history, "push")
    _require(history, "push", done)


def pull_outputs(history: History) -> None:
    """Bring the outputs that ``dvc.lock`` names into the clone, from cache or remote.

    Raises
    ------
    ServiceError
        The remote is away, lacks an object or holds a damaged one.
    """
    lock = yaml.safe_load((history.root / "dvc.lock").read_text(encoding="utf-8")) or {}
    # By name: of a week in the middle, DVC would miss the outputs of stages that have not run.
    if stages := list(lock.get("stages", {})):
        _require(history, "pull", _dvc(history, "pull", "--force", *stages))


def _dvc(history: History, *words: str) -> subprocess.CompletedProcess[bytes]:
    # Without -q: then DVC does not say what is wrong.
    return run(history.env, history.root, [*DVC, *words], keep_open=history.lock_held)


def _require(history: History, verb: str, done: subprocess.CompletedProcess[bytes]) -> None:
    if done.returncode:
        raise ServiceError(f"{history.env.dvc_remote_url}: dvc {verb} failed ({last_line(done.stderr)}). Run again.")
