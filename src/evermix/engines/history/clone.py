"""The history of one model and its work clone.

A model's history is one branch, ``weeks/<model>``, in a bare repository or any git remote.  A work clone
is where its weeks are computed; all clones of one home share one DVC cache.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from evermix.config import Environment
from evermix.engines.history.commands import DVC, last_line, run, stage_error, stream
from evermix.engines.history.killed import clear_after_a_kill
from evermix.engines.history.outputs import configure_dvc, pull_outputs
from evermix.engines.history.refs import drop_stale_lock, is_remote, make_local_history
from evermix.errors import ServiceError, StoreError

LOCK_TIMEOUT_S = 3600.0
# Says that the branch moved and its outputs are still to be brought.
_BEHIND = Path(".git") / "evermix-behind"


class History:
    """One model's branch and the work clone in which its weeks are computed.

    Parameters
    ----------
    env : Environment
        Says where the history, the DVC remote and the clones are.
    model : str
        The model's name in params.
    say : callable or None
        Takes lines of progress.

    Attributes
    ----------
    lock_held : list of int
        The lock's file descriptor while it is held, for commands to inherit; else empty.
    """

    def __init__(self, env: Environment, model: str, say: Callable[[str], None] | None = None) -> None:
        self.env = env
        self.say = say
        self.model = model
        self.branch = f"weeks/{model}"
        self.root = env.home / "work" / model
        self.lock_held: list[int] = []

    def computed_commit(self, as_of: str) -> str | None:
        """Return the commit `computed` of a week that is not closed; orders of people may have come on top of it."""
        if self.tip() is None:
            return None
        for line in self.git("log", "-50", "--format=%H %s").splitlines():
            commit, subject = line.split(" ", 1)
            if subject == f"computed {self.model} {as_of}":
                return commit
            if subject.startswith(("computed ", "closed ")):
                return None
        return None

    @property
    def is_shared(self) -> bool:
        """Whether other machines work on this history too, so that an open week must be handed over."""
        return is_remote(self.env.history_url)

    @contextmanager
    def locked(self, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the model's lock: one process at a time works in its clone.

        The commands it starts hold the lock too, so that a killed process whose DVC lives on still owns the clone.
        """
        path = self.env.home / "work" / f"{self.model}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        self._acquire(lock, path, timeout_s)
        descriptor = lock._context.lock_file_fd
        self.lock_held = [] if descriptor is None else [descriptor]
        try:
            yield
        finally:
            self.lock_held = []
            lock.release()

    def _acquire(self, lock: FileLock, path: Path, timeout_s: float) -> None:
        try:
            lock.acquire(timeout=min(2.0, timeout_s))
            return
        except Timeout:
            if self.say is not None:
                self.say(f"waiting for another process that works on {self.model} ({path})")
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout:
            raise ServiceError(
                f"{path}: held by another process for more than {timeout_s:.0f} s. "
                "Wait for its week to end, then run again."
            ) from None

    def sync(self) -> None:
        """Make the clone stand at the tip of the branch; commits that were not pushed yet are pushed first.

        Files of a week that is open (written, not committed) are left alone unless the branch moved.

        Raises
        ------
        StoreError
            The branch no longer holds what this home pushed to it or took from it: somebody rewrote or cut it.
        """
        if not (self.root / ".git").is_dir():
            self._clone()
        clear_after_a_kill(self)
        if not self.ask("rev-parse", "--git-dir"):
            raise StoreError(
                f"{self.root}: is not a working git clone any more. Remove the folder: it is made again from "
                f"{self.env.history_url}, which has all closed weeks."
            )
        if not self._remote_has_branch():
            if self.tip() is not None:
                self.push()
            return
        # Without refmap, git would move the remembered tip before it could be compared.
        self.reach(["git", "fetch", "-q", "--refmap=", "origin", self.branch])
        theirs = self.git("rev-parse", "FETCH_HEAD")
        self._refuse_a_rewritten_branch(theirs)
        self.git("update-ref", self._remembered, theirs)
        ours = self.tip()
        if ours == theirs:
            self._bring_outputs()
            return
        if ours is not None and self._is_ancestor(theirs, ours):
            self.push()
            return
        (self.root / _BEHIND).touch()
        self.git("checkout", "-q", "-f", "-B", self.branch, theirs)
        self.git("clean", "-q", "-fd")
        self._bring_outputs()

    def tip(self) -> str | None:
        """Return the clone's commit id, or None before the first commit."""
        done = self._run(["git", "rev-parse", "-q", "--verify", "HEAD"])
        return done.stdout.decode().strip() or None if done.returncode == 0 else None

    def subject(self) -> str:
        """Return the first line of the last commit's message, or ''."""
        return "" if self.tip() is None else self.git("log", "-1", "--format=%s")

    def commit(self, message: str, paths: Sequence[str] = (".",)) -> str:
        """Commit the named paths and push; return the commit id.  Nothing changed: the tip."""
        self.git("add", "-A", "--", *paths)
        staged = self._run(["git", "diff", "--cached", "--quiet"]).returncode
        if staged or self.tip() is None:
            self.git("commit", "-q", "--no-verify", "-m", message, "--", *paths)
        self.push()
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Push the branch; a refused push means that another worker was faster."""
        drop_stale_lock(self.env.history_url, f"refs/heads/{self.branch}")
        done = self._run(["git", "push", "-q", "origin", f"HEAD:refs/heads/{self.branch}"])
        if done.returncode:
            raise ServiceError(
                f"{self.env.history_url}: push of {self.branch} was refused ({last_line(done.stderr)}). "
                "Another worker moved the branch or the remote is away: run the week again."
            )

    def file_at(self, commit: str, path: str) -> bytes | None:
        """Return a file's bytes at a commit, or None where the commit has no such file."""
        done = self._run(["git", "cat-file", "blob", f"{commit}:{path}"])
        return done.stdout if done.returncode == 0 else None

    def commits_touching(self, path: str) -> list[str]:
        """Return the commits that changed a path, newest first."""
        return self.git("log", "--format=%H", "--", path).split()

    def discard(self) -> None:
        """Throw away what is written and not committed."""
        if self.tip() is not None:
            self.git("reset", "-q", "--hard")
        self.git("clean", "-q", "-fd")

    def git(self, *args: str, index: Path | None = None) -> str:
        """Run git in the clone, on another index if one is named; return its output without the last line break."""
        extra = {} if index is None else {"GIT_INDEX_FILE": str(index)}
        done = run(self.env, self.root, ["git", *args], extra=extra, keep_open=self.lock_held)
        if done.returncode:
            raise StoreError(
                f"{self.root}: `git {' '.join(args[:2])}` exited {done.returncode}: {last_line(done.stderr)}. "
                "Look at `git status` there; a fresh clone is made when the folder is removed."
            )
        return done.stdout.decode().rstrip("\n")

    def ask(self, *args: str) -> bool:
        """Run git in the clone; return whether it said yes."""
        return self._run(["git", *args]).returncode == 0

    def reach(self, command: list[str]) -> str:
        """Run a command that talks to the history's server; a failure is worth a retry."""
        done = self._run(command)
        if done.returncode:
            raise ServiceError(f"{self.env.history_url}: cannot be reached ({last_line(done.stderr)}). Run again.")
        return done.stdout.decode()

    def repro(self, stage: str, say: Callable[[str], None] | None = None) -> None:
        """Run ``dvc repro`` up to and including a stage of this model; its lines go to ``say`` as they come."""
        command = [*DVC, "repro", f"{stage}@{self.model}"]
        code, lines = stream(self.env, self.root, command, say or (lambda _: None), self.lock_held)
        if code:
            raise stage_error(stage, lines, self.root)

    # -- parts ---------------------------------------------------------------

    @property
    def _remembered(self) -> str:
        return f"refs/remotes/origin/{self.branch}"

    def _clone(self) -> None:
        """Make the clone beside its place first: a kill leaves no half of one there."""
        if not self.is_shared:
            make_local_history(self.env)
        if self.root.exists():
            shutil.rmtree(self.root)
        self.root.parent.mkdir(parents=True, exist_ok=True)
        for left in self.root.parent.glob(f".{self.model}.*"):
            shutil.rmtree(left)
        draft = Path(tempfile.mkdtemp(dir=self.root.parent, prefix=f".{self.model}."))
        for command in (
            ["git", "init", "-q", "-b", self.branch],
            ["git", "remote", "add", "origin", self.env.history_url],
        ):
            done = run(self.env, draft, command)
            if done.returncode:
                raise StoreError(f"{draft}: {last_line(done.stderr)}. Check room and rights there.")
        draft.chmod(0o755)
        draft.rename(self.root)

    def _bring_outputs(self) -> None:
        """Bring what another worker computed: DVC would compute a fit again whose outputs are not here."""
        behind = self.root / _BEHIND
        if behind.is_file() and (self.root / "dvc.lock").is_file():
            configure_dvc(self)
            try:
                pull_outputs(self)
            except ServiceError as err:
                # Told, and no reason to stop: the same bits come out.
                if self.say:
                    self.say(f"what another worker computed cannot be brought and is computed again: {err}")
        behind.unlink(missing_ok=True)

    def _refuse_a_rewritten_branch(self, theirs: str) -> None:
        known = self._run(["git", "rev-parse", "-q", "--verify", self._remembered])
        remembered = known.stdout.decode().strip()
        if known.returncode or self._is_ancestor(remembered, theirs):
            return
        raise StoreError(
            f"{self.env.history_url}: {self.branch} was rewritten or cut: it stands at {theirs[:12]}, which does not "
            f"follow from {remembered[:12]} that this home saw there. Run `evermix verify --model {self.model}`; "
            f"restore it with `git push --force origin {remembered[:12]}:refs/heads/{self.branch}` from {self.root}."
        )

    def _remote_has_branch(self) -> bool:
        return bool(self.reach(["git", "ls-remote", "--heads", "origin", self.branch]).strip())

    def _is_ancestor(self, older: str, newer: str) -> bool:
        return self.ask("merge-base", "--is-ancestor", older, newer)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        return run(self.env, self.root, command, keep_open=self.lock_held)
