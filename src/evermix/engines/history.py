"""git and DVC: the history of one model and its work clone.  The only home of both commands.

A model's history is one branch, ``weeks/<model>``, in a bare repository or any git remote.  A work clone
is where its weeks are computed; all clones of one home share one DVC cache.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from evermix.config import Environment
from evermix.errors import ConfigError, DataError, FitError, ServiceError, StoreError

LOCK_TIMEOUT_S = 3600.0
_IDENTITY = {
    "GIT_AUTHOR_NAME": "evermix",
    "GIT_AUTHOR_EMAIL": "evermix@localhost",
    "GIT_COMMITTER_NAME": "evermix",
    "GIT_COMMITTER_EMAIL": "evermix@localhost",
    # A machine's own git configuration (signing, hooks, templates) has no say in the history.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


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
    """

    def __init__(self, env: Environment, model: str, say: Callable[[str], None] | None = None) -> None:
        self.env = env
        self.say = say
        self.model = model
        self.branch = f"weeks/{model}"
        self.root = env.home / "work" / model

    @contextmanager
    def locked(self, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Hold the model's lock: one process at a time works in its clone."""
        path = self.env.home / "work" / f"{self.model}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            try:
                lock.acquire(timeout=min(2.0, timeout_s))
            except Timeout:
                if self.say is not None:
                    self.say(f"waiting for another process that works on {self.model} ({path})")
                lock.acquire(timeout=timeout_s)
            try:
                yield
            finally:
                lock.release()
        except Timeout:
            raise ServiceError(
                f"{path}: held by another process for more than {timeout_s:.0f} s. "
                "Wait for its week to end, then run again."
            ) from None

    def sync(self) -> None:
        """Make the clone stand at the tip of the branch; commits that were not pushed yet are pushed first.

        Files of a week that is open (written, not committed) are left alone unless the branch moved.
        """
        if not (self.root / ".git").is_dir():
            self._clone()
        elif self._run(["git", "rev-parse", "--git-dir"], check=False).returncode:
            raise StoreError(
                f"{self.root}: is not a working git clone any more. Remove the folder: it is made again from "
                f"{self.env.history_url}, which has all closed weeks."
            )
        if not self._remote_has_branch():
            if self.tip() is not None:
                self.push()
            return
        self.git("fetch", "-q", "origin", self.branch)
        theirs = self.git("rev-parse", "FETCH_HEAD")
        ours = self.tip()
        if ours == theirs:
            return
        if ours is not None and self._is_ancestor(theirs, ours):
            self.push()
            return
        self.git("checkout", "-q", "-f", "-B", self.branch, theirs)
        self.git("clean", "-q", "-fd")

    def tip(self) -> str | None:
        """Return the clone's commit id, or None before the first commit."""
        done = self._run(["git", "rev-parse", "-q", "--verify", "HEAD"], check=False)
        return done.stdout.strip() or None if done.returncode == 0 else None

    def subject(self) -> str:
        """Return the first line of the last commit's message, or ''."""
        return "" if self.tip() is None else self.git("log", "-1", "--format=%s")

    def commit(self, message: str, paths: Sequence[str] = (".",)) -> str:
        """Commit the named paths and push; return the commit id.  Nothing changed: the tip."""
        self.git("add", "-A", "--", *paths)
        staged = self._run(["git", "diff", "--cached", "--quiet"], check=False).returncode
        if staged or self.tip() is None:
            self.git("commit", "-q", "--no-verify", "-m", message, "--", *paths)
        self.push()
        return self.git("rev-parse", "HEAD")

    def push(self) -> None:
        """Push the branch; a refused push means that another worker was faster."""
        done = self._run(["git", "push", "-q", "origin", f"HEAD:refs/heads/{self.branch}"], check=False)
        if done.returncode:
            raise ServiceError(
                f"{self.env.history_url}: push of {self.branch} was refused ({_last_line(done.stderr)}). "
                "Another worker moved the branch or the remote is away: run the week again."
            )

    def file_at(self, commit: str, path: str) -> bytes | None:
        """Return a file's bytes at a commit, or None where the commit has no such file."""
        done = subprocess.run(
            ["git", "show", f"{commit}:{path}"], cwd=self.root, env=self._env(), capture_output=True, check=False
        )
        return done.stdout if done.returncode == 0 else None

    def commits_touching(self, path: str) -> list[str]:
        """Return the commits that changed a path, newest first."""
        return self.git("log", "--format=%H", "--", path).split()

    def discard(self) -> None:
        """Throw away what is written and not committed."""
        if self.tip() is not None:
            self.git("reset", "-q", "--hard")
        self.git("clean", "-q", "-fd")

    def git(self, *args: str) -> str:
        """Run git in the clone and return its output without the last line break."""
        return self._run(["git", *args]).stdout.rstrip("\n")

    def configure_dvc(self) -> None:
        """Write the clone's DVC configuration: the remote for all clones, the shared cache for this one."""
        folder = self.root / ".dvc"
        folder.mkdir(exist_ok=True)
        (folder / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
        (folder / "config").write_text(
            "[core]\n    remote = history\n    analytics = false\n    check_update = false\n"
            f"['remote \"history\"']\n    url = {self.env.dvc_remote_url}\n"
        )
        (folder / "config.local").write_text(f"[cache]\n    dir = {self.env.home / 'dvc-cache'}\n")

    def repro(self, stage: str, say: Callable[[str], None] | None = None) -> None:
        """Run ``dvc repro`` up to and including a stage of this model; its lines go to ``say`` as they come."""
        command = [*_dvc(), "repro", f"{stage}@{self.model}"]
        lines: list[str] = []
        with subprocess.Popen(
            command, cwd=self.root, env=self._env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                if say is not None:
                    say(line.rstrip())
        if process.returncode:
            raise _repro_error(stage, lines, self.root)

    def dvc_push(self) -> None:
        """Push what the last commit's ``dvc.lock`` names to the remote."""
        done = self._run([*_dvc(), "push", "-q"], check=False)
        if done.returncode:
            raise ServiceError(f"{self.env.dvc_remote_url}: dvc push failed ({_last_line(done.stderr)}). Run again.")

    def dvc_checkout(self) -> None:
        """Bring the outputs that the commit's ``dvc.lock`` names into the clone, from cache or remote."""
        done = self._run([*_dvc(), "pull", "-q", "--allow-missing"], check=False)
        if done.returncode:
            raise ServiceError(f"{self.env.dvc_remote_url}: dvc pull failed ({_last_line(done.stderr)}). Run again.")

    def _clone(self) -> None:
        self._make_bare_history()
        if self.root.exists():
            shutil.rmtree(self.root)
        self.root.mkdir(parents=True)
        self.git("init", "-q", "-b", self.branch)
        self.git("remote", "add", "origin", self.env.history_url)

    def _make_bare_history(self) -> None:
        url = self.env.history_url
        if "://" in url or not Path(url).is_absolute() or Path(url).exists():
            return
        Path(url).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "init", "-q", "--bare", "-b", self.branch, url], env=self._env(), check=True, capture_output=True
        )

    def _remote_has_branch(self) -> bool:
        done = self._run(["git", "ls-remote", "--heads", "origin", self.branch], check=False)
        if done.returncode:
            raise ServiceError(f"{self.env.history_url}: cannot be reached ({_last_line(done.stderr)}). Run again.")
        return bool(done.stdout.strip())

    def _is_ancestor(self, older: str, newer: str) -> bool:
        return self._run(["git", "merge-base", "--is-ancestor", older, newer], check=False).returncode == 0

    def _run(self, command: list[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.root, env=self._env(), capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise StoreError(
                f"{self.root}: `{' '.join(command[:3])}` exited {done.returncode}: {_last_line(done.stderr)}. "
                "Look at `git status` there; a fresh clone is made when the folder is removed."
            )
        return done

    def _env(self) -> dict[str, str]:
        keep = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        return {**keep, **_IDENTITY, "DVC_NO_ANALYTICS": "1", "EVERMIX_PYTHON": sys.executable}


def _dvc() -> list[str]:
    return [sys.executable, "-m", "dvc"]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _repro_error(stage: str, lines: list[str], root: Path) -> Exception:
    text = "\n".join(lines[-15:])
    # DVC exits 255 whatever happened: only its words tell a busy workspace from a stage that failed.
    if "Unable to acquire lock" in text or "is busy, it is being blocked" in text:
        return ServiceError(f"{root}: DVC's lock is held by another process. Run again.")
    if re.search(r"exited with -\d+", text):
        return ServiceError(f"{root}: stage {stage} was killed from outside. Run again; what was done is kept.")
    for kind in (ServiceError, FitError, StoreError, DataError, ConfigError):
        name = kind.__name__
        if f"{name}: " in text:
            return kind(text[text.rindex(f"{name}: ") + len(name) + 2 :].split("\nERROR: failed to reproduce")[0])
    return StoreError(f"{root}: dvc repro {stage} failed:\n{text}")


def read_branch_file(env: Environment, model: str, path: str) -> bytes | None:
    """Return a file at the tip of a model's branch without a lock or a clone, None where it is not there.

    Reads the local history itself; of a remote history it reads this home's clone as it last stood.
    """
    bare, clone = Path(env.history_url), env.home / "work" / model
    is_local = "://" not in env.history_url and bare.is_dir()
    where, ref = (bare, f"refs/heads/weeks/{model}") if is_local else (clone, "HEAD")
    if not where.is_dir():
        return None
    done = subprocess.run(
        ["git", "show", f"{ref}:{path}"], cwd=where, env={**os.environ, **_IDENTITY}, capture_output=True, check=False
    )
    return done.stdout if done.returncode == 0 else None
