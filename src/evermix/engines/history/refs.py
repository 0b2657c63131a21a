"""What all workers of a history share beside the branches: small trees of files under refs of their own.

``refs/snapshots/<model>/<as_of>`` holds what a source said for a week, ``refs/outbox/<model>`` which alerts were
delivered.  A change is a commit on the one before, put in place only if nobody was faster.
"""

from __future__ import annotations

import io
import shutil
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from evermix.config import Environment
from evermix.engines.history.commands import last_line, run
from evermix.errors import ServiceError, StoreError

# A ref is locked for milliseconds: a lock this old was left by a process that was killed.
_STALE_LOCK_S = 60.0


def is_remote(url: str) -> bool:
    """Return whether a history lies behind a server: a URL or ``host:path``, not a folder of this machine."""
    return "://" in url or not Path(url).is_absolute()


def make_local_history(env: Environment) -> None:
    """Make the bare repository of a local history if it is not there; in one piece, whoever else does the same."""
    url = Path(env.history_url)
    if is_remote(env.history_url) or (url / "HEAD").is_file():
        return
    url.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{url}.lock"):
        if not (url / "HEAD").is_file():
            _git_made(env, url)


def read_ref(env: Environment, ref: str) -> dict[str, bytes] | None:
    """Return the files of a ref by name, None where there is no such ref."""
    with objects_with(env, ref) as (folder, tip):
        return None if tip is None else _files_of(env, folder, tip)


def write_ref(env: Environment, ref: str, files: Mapping[str, bytes], message: str) -> str:
    """Make files the content of a ref, as a commit on what it held; return the commit.

    Raises
    ------
    ServiceError
        Another process changed the ref meanwhile, or the history cannot be reached: read again, then write again.
    """
    make_local_history(env)
    with objects_with(env, ref) as (folder, tip):
        commit = _commit(env, folder, files, message, tip)
        drop_stale_lock(env.history_url, ref)
        if is_remote(env.history_url):
            done = run(env, folder, ["git", "push", "-q", "origin", f"{commit}:{ref}"])
        else:
            done = run(env, folder, ["git", "update-ref", ref, commit, tip or "0" * 40])
        if done.returncode:
            raise ServiceError(
                f"{env.history_url}: {ref} was not written ({last_line(done.stderr)}). "
                "Another process was faster or the history is away: run again."
            )
        return commit


def list_refs(env: Environment, prefix: str) -> list[str]:
    """Return the refs below a prefix such as ``refs/snapshots/brand/``, sorted by name."""
    if is_remote(env.history_url):
        done = run(env, _mirror(env), ["git", "ls-remote", "-q", "origin", f"{prefix}*"])
        if done.returncode:
            raise _away(env, done.stderr)
        return sorted(line.split("\t")[1] for line in done.stdout.decode().splitlines())
    if not Path(env.history_url).is_dir():
        return []
    done = run(env, Path(env.history_url), ["git", "for-each-ref", "--format=%(refname)", prefix])
    return sorted(done.stdout.decode().split())


def read_branch_file(env: Environment, model: str, path: str) -> bytes | None:
    """Return a file at the tip of a model's branch without its lock or clone, None where it is not there."""
    with objects_with(env, f"refs/heads/weeks/{model}") as (folder, tip):
        if tip is None:
            return None
        done = run(env, folder, ["git", "cat-file", "blob", f"{tip}:{path}"])
        return done.stdout if done.returncode == 0 else None


@contextmanager
def objects_with(env: Environment, ref: str) -> Iterator[tuple[Path, str | None]]:
    """Yield a repository that has a ref's objects, and the commit that the ref names (None: no such ref)."""
    if not is_remote(env.history_url):
        folder = Path(env.history_url)
        if not folder.is_dir():
            yield folder, None
            return
        done = run(env, folder, ["git", "rev-parse", "-q", "--verify", f"{ref}^{{commit}}"])
        yield folder, done.stdout.decode().strip() or None
        return
    folder = _mirror(env)
    with FileLock(env.home / "mirror.lock"):
        asked = run(env, folder, ["git", "ls-remote", "-q", "origin", ref])
        if asked.returncode:
            raise _away(env, asked.stderr)
        tip = asked.stdout.decode().split("\t")[0].strip() or None
        if tip is not None and run(env, folder, ["git", "cat-file", "-e", f"{tip}^{{commit}}"]).returncode:
            fetched = run(env, folder, ["git", "fetch", "-q", "origin", f"+{ref}:{ref}"])
            if fetched.returncode:
                raise _away(env, fetched.stderr)
        yield folder, tip


def _mirror(env: Environment) -> Path:
    """Return the home's bare copy of a remote history; only what was asked for is in it."""
    folder = env.home / "mirror.git"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(env.home / "mirror.lock"):
        if not (folder / "HEAD").is_file():
            _git_made(env, folder)
        # Everybody writes in here under this lock, so a lock of git's own is what a killed process left.
        for left in folder.rglob("*.lock"):
            left.unlink(missing_ok=True)
        known = run(env, folder, ["git", "config", "remote.origin.url"]).stdout.decode().strip()
        if known != env.history_url:
            _must(env, folder, ["git", "config", "remote.origin.url", env.history_url])
    return folder


def _git_made(env: Environment, folder: Path) -> None:
    """Make a bare repository under another name first: a kill leaves no half of one in its place."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(left, ignore_errors=True)
    draft = folder.with_name(f".{folder.name}.{time.time_ns()}")
    draft.mkdir(parents=True)
    _must(env, draft, ["git", "init", "-q", "--bare", "-b", "main", "."])
    _must(env, draft, ["git", "config", "receive.autogc", "false"])
    draft.rename(folder)


def _files_of(env: Environment, folder: Path, commit: str) -> dict[str, bytes]:
    archive = _must(env, folder, ["git", "archive", "--format=tar", commit])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        return {name: file.read() for name, file in members if file is not None}


def _commit(env: Environment, folder: Path, files: Mapping[str, bytes], message: str, parent: str | None) -> str:
    entries = []
    for name, data in sorted(files.items()):
        blob = _must(env, folder, ["git", "hash-object", "-w", "--stdin"], data).decode().strip()
        entries.append(f"100644 blob {blob}\t{name}\n")
    tree = _must(env, folder, ["git", "mktree"], "".join(entries).encode()).decode().strip()
    after = ["-p", parent] if parent else []
    return _must(env, folder, ["git", "commit-tree", tree, *after, "-m", message]).decode().strip()


def _must(env: Environment, folder: Path, command: list[str], stdin: bytes | None = None) -> bytes:
    done = run(env, folder, command, stdin)
    if done.returncode:
        raise StoreError(
            f"{folder}: `{' '.join(command[:2])}` exited {done.returncode}: {last_line(done.stderr)}. "
            "Check room and rights there, and `git fsck`."
        )
    return done.stdout


def drop_stale_lock(url: str, ref: str) -> None:
    """Remove the lock of a ref that a killed process left in a history on this machine's disk, URL or folder."""
    lock = Path(url.removeprefix("file://")) / f"{ref}.lock"
    # Of either sign: a clock that jumped back must not keep a lock of the future for years.
    if lock.is_file() and abs(time.time() - lock.stat().st_mtime) > _STALE_LOCK_S:
        lock.unlink(missing_ok=True)


def _away(env: Environment, stderr: bytes) -> ServiceError:
    return ServiceError(f"{env.history_url}: cannot be reached ({last_line(stderr)}). Run again.")
