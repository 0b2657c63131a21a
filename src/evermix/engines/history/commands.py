"""How git and DVC are called: one environment for both, and their failures in the words of evermix."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from evermix.config import Environment
from evermix.errors import ConfigError, DataError, FitError, ServiceError, StoreError

_SETTINGS = {
    # A collection that runs on in the background would keep the model's lock.
    "gc.autoDetach": "false",
    "gc.auto": "0",
    "advice.detachedHead": "false",
}
_IDENTITY = {
    "GIT_AUTHOR_NAME": "evermix",
    "GIT_AUTHOR_EMAIL": "evermix@localhost",
    "GIT_COMMITTER_NAME": "evermix",
    "GIT_COMMITTER_EMAIL": "evermix@localhost",
    # A machine's own git configuration (signing, hooks, templates) has no say in the history.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
    **{f"GIT_CONFIG_KEY_{place}": key for place, key in enumerate(_SETTINGS)},
    **{f"GIT_CONFIG_VALUE_{place}": value for place, value in enumerate(_SETTINGS.values())},
}
# What stays wrong until a person acts, in the words of git and DVC, and what to do.
_ROOM = "Make room or mend the rights there, then run again: nothing is lost."
_NOTES = "Remove the folder dvc-site of EVERMIX_HOME, where DVC keeps notes that it makes again; then run again."
_STANDING = {
    "No space left on device": _ROOM,
    # Git's own, when it cannot write an index.
    "Out of diskspace": _ROOM,
    "Disk quota exceeded": _ROOM,
    "Read-only file system": _ROOM,
    # SQLite's words for the same, from DVC's notes.
    "database or disk is full": _ROOM,
    "attempt to write a readonly database": _ROOM,
    "file is not a database": _NOTES,
    "database disk image is malformed": _NOTES,
}
DVC = [sys.executable, "-m", "dvc"]


def environment(env: Environment) -> dict[str, str]:
    """Return the variables that git, DVC and the stages run with."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    places = {"DVC_SITE_CACHE_DIR": str(env.home / "dvc-site"), "EVERMIX_PYTHON": sys.executable}
    return {**keep, **_IDENTITY, **places, "DVC_NO_ANALYTICS": "1"}


def run(
    env: Environment,
    folder: Path,
    command: Sequence[str],
    stdin: bytes | None = None,
    extra: dict[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """Run one command to its end; its exit code is the caller's to judge.

    Parameters
    ----------
    keep_open : sequence of int
        File descriptors that the child holds too: a lock's, so that it lasts as long as the child.
    """
    done = subprocess.run(
        list(command),
        cwd=folder,
        env={**environment(env), **(extra or {})},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        check=False,
        pass_fds=tuple(keep_open),
    )
    if done.returncode:
        _refuse_what_stays(folder, done.stderr.decode(errors="replace"))
    return done


def _refuse_what_stays(folder: Path, said: str) -> None:
    """Git and DVC tell a full disk like any other failure, and a push that it stopped looks like a lost race."""
    for sign, what_to_do in _STANDING.items():
        if sign in said:
            raise StoreError(f"{folder}: {sign}. {what_to_do}")


def stream(
    env: Environment, folder: Path, command: Sequence[str], say: Callable[[str], None], keep_open: Sequence[int] = ()
) -> tuple[int, list[str]]:
    """Run one command and hand over its lines as they come; return its exit code and all lines."""
    lines: list[str] = []
    with subprocess.Popen(
        list(command),
        cwd=folder,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=tuple(keep_open),
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            say(lines[-1])
    return process.returncode, lines


def last_line(output: bytes | str) -> str:
    """Return the last line that says anything."""
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    lines = [line.strip() for line in text.splitlines() if line.strip() and "dvc.org/support" not in line]
    return lines[-1] if lines else "no message"


def stage_error(stage: str, lines: list[str], root: Path) -> Exception:
    """Return what a failed ``dvc repro`` means, from its words: it exits 255 whatever happened."""
    text = "\n".join(lines[-15:])
    _refuse_what_stays(root, text)
    if "Unable to acquire lock" in text or "is busy, it is being blocked" in text:
        return ServiceError(f"{root}: DVC's lock is held by another process. Run again.")
    if re.search(r"exited with -\d+", text):
        return ServiceError(f"{root}: stage {stage} was killed from outside. Run again; what was done is kept.")
    for kind in (ServiceError, FitError, StoreError, DataError, ConfigError):
        name = kind.__name__
        if f"{name}: " in text:
            return kind(text[text.rindex(f"{name}: ") + len(name) + 2 :].split("\nERROR: failed to reproduce")[0])
    return StoreError(f"{root}: dvc repro {stage} failed:\n{text}")
