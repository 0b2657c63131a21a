"""The whole history of one model, read and never written: for those who check it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from evermix.config import Environment
from evermix.engines.history.commands import environment, last_line, run
from evermix.engines.history.refs import objects_with
from evermix.errors import StoreError

_HEAD = re.compile(r"^Ledger: ([0-9a-f]{64})$", re.M)
_NO_BLOB = "0" * 40


@dataclass(frozen=True)
class LoggedCommit:
    """A commit as the log tells of it.

    Attributes
    ----------
    head : str or None
        What follows ``Ledger:`` in its message.
    blobs : dict
        Blob id by path of every file that it adds or changes, None of one that it deletes.
    """

    id: str
    parents: int
    subject: str
    head: str | None
    blobs: dict[str, str | None]


class Reading:
    """A model's branch and, if this home has one, its work clone; open it with `open_history`."""

    def __init__(self, env: Environment, model: str, folder: Path, tip: str | None, blobs: subprocess.Popen[bytes]):
        self.env = env
        self.folder = folder
        self.branch = f"weeks/{model}"
        self.tip = tip
        self.clone = clone_of(env, model)
        self._blobs = blobs

    def log(self, tip: str) -> list[LoggedCommit]:
        """Return all commits up to one, oldest first."""
        form = "--format=%x01%H%x00%P%x00%B%x02"
        text = self._git("log", "--reverse", "--topo-order", "--raw", "-z", "--no-abbrev", "--no-renames", form, tip)
        return [_logged(part) for part in text.decode(errors="replace").split("\x01") if part]

    def blob(self, name: str) -> bytes | None:
        """Return a file's bytes by blob id or ``commit:path``, None where there is none."""
        header: list[bytes] = []
        if self._blobs.stdin is not None and self._blobs.stdout is not None:
            # On a damaged object git gives up, and with it the pipe.
            with suppress(BrokenPipeError):
                self._blobs.stdin.write(f"{name}\n".encode())
                self._blobs.stdin.flush()
            header = self._blobs.stdout.readline().split()
        if not header or self._blobs.stdout is None:
            raise StoreError(f"{self.folder}: git cannot read object {name}. Run `git fsck` there.")
        if header[-1] == b"missing":
            return None
        data = self._blobs.stdout.read(int(header[2]))
        self._blobs.stdout.read(1)
        return data

    def contains(self, tip: str, commit: str) -> bool:
        """Return whether a commit is among those that led to another; one that is not to be found is not."""
        command = ["git", "merge-base", "--is-ancestor", commit, tip]
        return run(self.env, self.folder, command, extra=_borrowed(self.clone)).returncode == 0

    def remembered(self) -> list[str]:
        """Return where this home saw the branch, by push or fetch, oldest first; empty without a clone."""
        if self.clone is None:
            return []
        ref = f"refs/remotes/origin/{self.branch}"
        now = run(self.env, self.clone, ["git", "rev-parse", "-q", "--verify", ref]).stdout.decode().split()
        told = run(self.env, self.clone, ["git", "reflog", "show", "--format=%H", ref]).stdout.decode().split()
        return list(dict.fromkeys([*reversed(told), *now]))

    def clone_head(self) -> str | None:
        """Return the commit that the work clone stands at."""
        if self.clone is None:
            return None
        done = run(self.env, self.clone, ["git", "rev-parse", "-q", "--verify", "HEAD"])
        return done.stdout.decode().strip() or None

    def clone_changes(self, path: str) -> list[str]:
        """Return which files below a path differ in the work clone from the commit it stands at."""
        if self.clone is None:
            return []
        quiet = {"GIT_OPTIONAL_LOCKS": "0"}
        command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", path]
        done = run(self.env, self.clone, command, extra=quiet)
        return [entry[3:] for entry in done.stdout.decode().split("\0") if entry]

    def damage(self) -> list[str]:
        """Return what ``git fsck`` says of the repository: objects that are missing or not what their name says."""
        if self.tip is None:
            return []
        done = run(self.env, self.folder, ["git", "fsck", "--full", "--no-dangling", "--no-progress", "--no-reflogs"])
        lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
        bad = [line for line in lines if line.startswith(("error", "fatal", "missing", "broken", "corrupt"))]
        return bad or ([last_line(done.stderr)] if done.returncode else [])

    def _git(self, *args: str) -> bytes:
        done = run(self.env, self.folder, ["git", *args], extra=_borrowed(self.clone))
        if done.returncode:
            raise StoreError(
                f"{self.folder}: `git {args[0]}` failed ({last_line(done.stderr)}). Run `git fsck` there; a clone "
                "elsewhere has the whole history."
            )
        return done.stdout


@contextmanager
def open_history(env: Environment, model: str) -> Iterator[Reading]:
    """Open a model's history for reading; of a remote one the branch is fetched into the home's mirror."""
    with objects_with(env, f"refs/heads/weeks/{model}") as (folder, tip):
        pass
    clone = clone_of(env, model)
    if not folder.is_dir():
        # No history at all: what the clone remembers can still be told.
        folder = clone or env.project
    with subprocess.Popen(
        ["git", "cat-file", "--batch"],
        cwd=folder,
        env={**environment(env), **_borrowed(clone)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as blobs:
        try:
            yield Reading(env, model, folder, tip, blobs)
        finally:
            with suppress(BrokenPipeError):
                if blobs.stdin is not None:
                    blobs.stdin.close()


def clone_of(env: Environment, model: str) -> Path | None:
    """Return the work clone of a model in this home, None where there is none."""
    root = env.home / "work" / model
    return root if (root / ".git").is_dir() else None


def _borrowed(clone: Path | None) -> dict[str, str]:
    """What the branch lost may still lie in the work clone."""
    return {} if clone is None else {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(clone / ".git" / "objects")}


def _logged(part: str) -> LoggedCommit:
    message, _, rest = part.partition("\x02")
    commit, parents, body = message.split("\0", 2)
    found = _HEAD.findall(body)
    fields = [field for field in rest.split("\0") if field.strip()]
    blobs = {}
    for told, path in zip(fields[::2], fields[1::2], strict=True):
        new = told.split()[3]
        blobs[path] = None if new == _NO_BLOB else new
    return LoggedCommit(
        id=commit,
        parents=len(parents.split()),
        subject=body.split("\n", 1)[0],
        head=found[-1] if found else None,
        blobs=blobs,
    )
