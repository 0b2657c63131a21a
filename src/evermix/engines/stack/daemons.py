"""Long-lived processes: start one, know it again later, and stop it with all it started.

Nothing here knows what the processes are; `services` does.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Start times come from the boot clock, which may be slewed; a reused pid is never this close to the old one.
START_TOLERANCE_S = 5.0


@dataclass(frozen=True)
class Daemon:
    """A process that we started.

    Attributes
    ----------
    started : float
        Start time in seconds since the epoch; with `pid` it tells our process from a stranger with the same number.
    """

    name: str
    pid: int
    started: float
    log: str


def spawn(name: str, command: Sequence[str], variables: Mapping[str, str], log: Path) -> Daemon:
    """Start a process in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = psutil.Process(process.pid).create_time()
    # The daemon outlives this object on purpose: with a return code set, Popen does not warn of that.
    process.returncode = 0
    return Daemon(name, process.pid, started, str(log))


def find(daemon: Daemon) -> psutil.Process | None:
    """Return the living process of a daemon, or None when it ended or its number now belongs to another."""
    try:
        process = psutil.Process(daemon.pid)
        if abs(process.create_time() - daemon.started) > START_TOLERANCE_S:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def stop(daemons: Iterable[Daemon], grace_s: float = 20.0) -> list[str]:
    """End the daemons and everything that they started; return the names of those that were still running.

    Each daemon is asked by SIGTERM and ends its own children; whoever is left after `grace_s` is killed.
    """
    alive = [(daemon, process) for daemon in daemons if (process := find(daemon)) is not None]
    # Children that leave their parent's group, as Airflow's tasks do, are found by descent while the parent lives.
    family = {member for _, process in alive for member in (process, *_descendants(process))}
    for _, process in alive:
        _signal(process, "terminate")
    _, left = psutil.wait_procs(family, timeout=grace_s)
    for process in left:
        _signal(process, "kill")
    psutil.wait_procs(left, timeout=5.0)
    return [daemon.name for daemon, _ in alive]


def memory_mb(daemons: Iterable[Daemon]) -> float:
    """Return the memory of the daemons and all that they started, shared pages counted once (PSS; RSS off Linux)."""
    total = 0
    for daemon in daemons:
        if (process := find(daemon)) is None:
            continue
        for member in (process, *_descendants(process)):
            try:
                info = member.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                # It ended between being listed and being asked.
                continue
            total += getattr(info, "pss", info.rss)
    return total / 2**20


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log."""
    if not log.exists():
        return "(no log)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, verb: str) -> None:
    try:
        getattr(process, verb)()
    except psutil.NoSuchProcess:
        # It ended by itself, which is what was asked.
        return
