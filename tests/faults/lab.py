"""The place where faults are tried: one undisturbed run, its state after each week, and what must be equal to it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project import MODEL, ROOT, Project, monday

from evermix.core import ledger
from evermix.engines.store import DRAFT

REPEATS = int(os.environ.get("EVERMIX_FAULT_REPEATS", "1"))
SABOTEUR = Path(__file__).parent / "saboteur"
QUIET = range(1, 5)
REFIT, LAST = 5, 6
# What a time decides, and the chain that hangs on it: all else of an event must be equal.
_OF_THE_CLOCK = ("at", "hash", "previous")


@dataclass(frozen=True)
class Done:
    """How a command ended: ``code`` is negative when a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass
class Harm:
    """How a state differs from the undisturbed one; ``lost`` and ``doubled`` count weeks, versions and events."""

    lost: int = 0
    doubled: int = 0
    differences: list[str] = field(default_factory=list)


class Lab:
    """One project at one place, put back to a known state before each case."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.saves = root / "saves"
        self.bench = root / "bench"
        self.reference: dict[str, dict[str, Any]] = {}
        self._stands_at: str | None = None

    @property
    def project(self) -> Project:
        # A project that is there already is not made again.
        project = Project.__new__(Project)
        project.root, project.home, project.variables = self.bench / "project", self.bench / "home", {}
        return project

    def build(self) -> None:
        """Run the weeks undisturbed and keep the state after each."""
        project = Project(self.bench, weeks=LAST + 1)
        self._save("new")
        for number in range(LAST + 1):
            project.deliver(monday(number))
            if number == REFIT:
                project.run("refit", "--model", MODEL, "--reason", "a refit to be disturbed", "--by", "tests")
                self._save("asked")
                self._keep_half_weeks(number)
            project.week(monday(number))
            self._save(str(number))
            self.reference[str(number)] = observe(project.home)

    def before(self, number: int, save: str | None = None) -> None:
        """Put the state before a week, or a later one of it; it stands there already where the last case ended well."""
        name = save or {0: "new", REFIT: "asked"}.get(number, str(number - 1))
        if self._stands_at != name:
            shutil.rmtree(self.bench, ignore_errors=True)
            subprocess.run(["cp", "-a", str(self.saves / name), str(self.bench)], check=True)
        self._stands_at = None
        self.project.deliver(monday(number))

    def kill_at(self, number: int, fault: dict[str, Any], save: str | None = None) -> Harm:
        """Kill a week at one point, run it again and compare; a point that is never reached is a difference."""
        self.before(number, save)
        killed = self.week(number, fault=fault)
        harm = self.finish(number)
        if killed.code != -signal.SIGKILL:
            harm.differences.append(f"{fault}: was not reached, exit code {killed.code}: {killed.err[-500:]}")
        return harm

    def week(self, number: int, **how: Any) -> Done:
        """Run one week to its end, however it ends."""
        return self.start("week", "--model", MODEL, "--as-of", monday(number), **how)

    def start(
        self,
        *words: str,
        fault: dict[str, Any] | None = None,
        meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
        extra: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Done:
        """Run one command in a process group of its own, with a fault in it or with somebody who watches it."""
        command = [*prefix, sys.executable, "-m", "evermix", *words, "--json"]
        process = subprocess.Popen(
            command,
            env=self.variables(fault) | (extra or {}),
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            if meanwhile is not None:
                meanwhile(process)
            out, err = process.communicate(timeout=900)
        finally:
            kill_group(process)
        return Done(process.returncode, out, err)

    def variables(self, fault: dict[str, Any] | None = None) -> dict[str, str]:
        """Return the variables of a command, with the saboteur in them when there is a fault."""
        env = self.project.environment()
        if fault is None:
            return env
        return env | {"EVERMIX_FAULT": json.dumps(fault), "PYTHONPATH": f"{SABOTEUR}:{ROOT / 'src'}"}

    def finish(self, number: int, **how: Any) -> Harm:
        """Run the same week again, without the fault, and compare with the undisturbed run."""
        again = self.week(number, **how)
        harm = compare(observe(self.project.home), self.reference[str(number)])
        if again.code:
            harm.differences.append(f"the same command again exited {again.code}: {again.err[-1500:]}")
        if not harm.differences:
            self._stands_at = str(number) if number + 1 != REFIT else None
        return harm

    def _keep_half_weeks(self, number: int) -> None:
        """Keep the refit's week as fitted and as computed, so that a case of its later steps need not sample again."""
        for name, at, role in (
            ("fitted", "evermix.stages.evaluate:run", "stage"),
            ("computed", "evermix.stages.publish:publish_version", "cli"),
        ):
            killed = self.week(number, fault={"at": at, "role": role, "when": "before"})
            assert killed.code == -signal.SIGKILL, killed.err
            self._save(name)

    def _save(self, name: str) -> None:
        self.saves.mkdir(exist_ok=True)
        subprocess.run(["cp", "-a", str(self.bench), str(self.saves / name)], check=True)


def kill_group(process: subprocess.Popen[str]) -> None:
    """End a command and all it started; nothing happens when they have ended."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def observe(home: Path, database: Path | None = None) -> dict[str, Any]:
    """Return what a home holds of its model, from the files alone: what two runs must agree on."""
    clone = home / "work" / MODEL
    live = clone / "live" / MODEL
    book = _git(home, "show", f"weeks/{MODEL}:live/{MODEL}/ledger.jsonl")
    events = ledger.from_lines(book)
    subjects = _git(home, "log", "--format=%s", f"weeks/{MODEL}").splitlines()
    return {
        "events": [{k: v for k, v in event.items() if k not in _OF_THE_CLOCK} for event in events],
        "faults": ledger.faults(events),
        "commits": [line for line in subjects if not line.startswith("open")][::-1],
        "champion": json.loads((live / "champion.json").read_text())["id"] if live.is_dir() else None,
        "draws": {name: _sha(clone / name) for name in (f"fit/{MODEL}/posterior.nc", f"live/{MODEL}/base.nc")},
        "lock": _sha(clone / "dvc.lock"),
        "registry": registry(database or home / "mlflow.db"),
        "head told to MLflow": told_head(database or home / "mlflow.db") == ledger.head(events),
        "snapshots": _git(home, "for-each-ref", "--format=%(refname)", f"refs/snapshots/{MODEL}").split(),
        "unclean": _git(clone, "status", "--porcelain").splitlines(),
        "leftovers": sorted(str(path.relative_to(home)) for path in home.rglob(f"{DRAFT}*")),
        "fsck": _fsck(home),
    }


def registry(database: Path) -> dict[str, Any]:
    """Return versions, aliases and runs from MLflow's database, read without MLflow."""
    if not database.is_file():
        return {}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        ask = lambda words: db.execute(words).fetchall()  # noqa: E731
        ids = dict(ask("select version, value from model_version_tags where key = 'evermix_version'"))
        found = {
            "versions": sorted(ids.get(number, "?") for (number,) in ask("select version from model_versions")),
            "aliases": sorted(
                (alias, ids.get(n)) for alias, n in ask("select alias, version from registered_model_aliases")
            ),
            "verdicts": sorted(ask("select version, value from model_version_tags where key = 'verdict'")),
            "runs": sorted(ask("select name, status, lifecycle_stage from runs")),
            "models": Counter(map(str, ask("select status from logged_models where lifecycle_stage = 'active'"))),
            "metrics": ask("select count(*) from (select distinct run_uuid, key from metrics)"),
        }
    db.close()
    return found


def told_head(database: Path) -> str | None:
    """Return the ledger's head that MLflow was told of last, None where it knows no model."""
    if not database.is_file():
        return None
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        rows = db.execute("select value from registered_model_tags where key = 'ledger_head'").fetchall()
    db.close()
    return str(rows[0][0]) if rows else None


def compare(seen: dict[str, Any], reference: dict[str, Any]) -> Harm:
    """Return how a state differs from the undisturbed one."""
    harm = Harm()
    for what in ("events", "commits"):
        lost, doubled = _surplus(reference[what], seen[what]), _surplus(seen[what], reference[what])
        harm.lost, harm.doubled = harm.lost + lost, harm.doubled + doubled
    versions = seen["registry"].get("versions", []), reference["registry"].get("versions", [])
    harm.lost, harm.doubled = harm.lost + _surplus(*versions[::-1]), harm.doubled + _surplus(*versions)
    for what, expected in reference.items():
        if seen[what] != expected:
            harm.differences.append(f"{what}: got {seen[what]}, undisturbed {expected}")
    return harm


def _surplus(ours: list[Any], theirs: list[Any]) -> int:
    count = lambda rows: Counter(json.dumps(row, sort_keys=True) for row in rows)  # noqa: E731
    return sum((count(ours) - count(theirs)).values())


def _git(folder: Path, *words: str) -> str:
    where = folder / "history.git" if (folder / "history.git").is_dir() else folder
    done = subprocess.run(["git", *words], cwd=where, capture_output=True, text=True, check=False)
    return done.stdout


def _fsck(home: Path) -> list[str]:
    # What a kill left unreachable is no harm; what is missing or broken is.
    words = ["git", "fsck", "--no-dangling", "--no-progress"]
    done = subprocess.run(words, cwd=home / "history.git", capture_output=True, text=True, check=False)
    return [
        line for line in (done.stdout + done.stderr).splitlines() if "dangling" not in line and "notice" not in line
    ]


def _sha(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
