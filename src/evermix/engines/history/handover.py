"""An open week, handed from worker to worker: workers that share a disk need none of this.

What a step computed lies in its worker's clone until the week is closed.  So that the next step may run anywhere, each
step leaves the clone's files as a commit under ``refs/open/<model>`` and its outputs in the DVC remote.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from evermix.engines.history.clone import History
from evermix.engines.history.outputs import configure_dvc, pull_outputs, push_outputs
from evermix.errors import ServiceError


def share_open(history: History, label: str) -> None:
    """Let other workers go on from here."""
    if not history.is_shared:
        return
    if (history.root / "dvc.lock").is_file():
        push_outputs(history)
    index = history.root / ".git" / "evermix-index"
    history.git("read-tree", "--empty", index=index)
    history.git("add", "-A", index=index)
    tree = history.git("write-tree", index=index)
    parent = ["-p", "HEAD"] if history.tip() else []
    commit = history.git("commit-tree", tree, *parent, "-m", label)
    history.reach(["git", "push", "-q", "--force", "origin", f"{commit}:{_ref(history)}"])
    _seen(history).write_text(commit)


def take_open(history: History) -> bool:
    """Take over the open week that another worker left, if it stands on this tip; return whether there was one."""
    if not history.is_shared:
        return False
    commit = history.reach(["git", "ls-remote", "-q", "origin", _ref(history)]).split("\t")[0].strip()
    if not commit or (_seen(history).is_file() and _seen(history).read_text() == commit):
        return False
    history.reach(["git", "fetch", "-q", "--refmap=", "origin", _ref(history)])
    parents = history.git("log", "-1", "--format=%P", commit)
    if parents != (history.tip() or ""):
        # The week was closed meanwhile.
        return False
    history.discard()
    history.git("checkout", "-q", commit, "--", ".")
    if history.tip() is None:
        history.git("rm", "-r", "-q", "--cached", ".")
    else:
        history.git("reset", "-q")
    # What the other worker wrote says nothing of this one's cache.
    configure_dvc(history)
    if (history.root / "dvc.lock").is_file():
        pull_outputs(history)
    _seen(history).write_text(commit)
    return True


def end_open(history: History) -> None:
    """Say that no week is open any more; one that is left over does no harm, since it stands on an older tip."""
    if history.is_shared and _seen(history).is_file():
        _seen(history).unlink()
        # The week is closed already: that a leftover could not be removed is no reason to fail it.
        with suppress(ServiceError):
            history.reach(["git", "push", "-q", "origin", f":{_ref(history)}"])


def _ref(history: History) -> str:
    return f"refs/open/{history.model}"


def _seen(history: History) -> Path:
    """The file that remembers which open week this clone holds."""
    return history.root / ".git" / "evermix-open"
