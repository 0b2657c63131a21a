"""Open a week: write ``in/<model>/`` and the code and params that the week runs with.  Alone writes there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

import evermix
from evermix.config import Environment, ModelParams
from evermix.core.ledger import Event
from evermix.core.orders import orders_for
from evermix.engines.store import (
    DRAFT,
    VERSION_FILES,
    Store,
    copy_folder,
    fresh_folder,
    hash_bytes,
    read_json,
    write_json,
    write_text,
)
from evermix.errors import StoreError

_README = """# History of {model}

One commit `computed` and one `closed` a week. `dvc pull` brings the data of a commit, `dvc repro` proves that nothing
is left to compute, `dvc exp run -S 'models.{model}.spec.yearly_seasonality=3'` asks what another spec would have done.
Run them in an environment that has evermix's packages (`requirements.lock` of the project).
"""


class _PlainDumper(yaml.SafeDumper):
    """Writes repeated values out: the aliases of the project's file mean nothing in a cut one."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def open_week(
    env: Environment, store: Store, params: ModelParams, as_of: str, snapshot: Path, events: list[Event]
) -> None:
    """Write the inputs of a week into a work clone; nothing of the clock, so that opening twice is harmless.

    Parameters
    ----------
    as_of : str
        Monday of the week, ISO date.
    snapshot : Path
        Folder with the snapshot's data file and ``about.json``.
    events : list of Event
        The ledger, for what people have ordered.
    """
    _write_code(env, store.root, store.model)
    write_text(store.root / "README.md", _README.format(model=store.model))
    write_text(store.root / "params.yaml", _params_of(params, store.model))
    copy_folder(snapshot, store.snapshot)
    _copy_live(store)
    about = read_json(snapshot / "about.json")
    write_json(store.orders, orders_for(events, as_of, about["sha256"], params.gate.approval_expires_weeks))
    write_json(store.inputs / "code.json", code_of(env.project))
    # Last, since it is what says that the week is open.
    write_json(store.week, {"model": store.model, "as_of": as_of, "reconstructed": bool(about["cut_rows"])})


def code_of(project: Path) -> dict[str, Any]:
    """Return which code a week runs: package version, commit, whether it had uncommitted changes, hash of the lock."""
    lock = project / "requirements.lock"

    def git(*args: str) -> str | None:
        done = subprocess.run(["git", *args], cwd=project, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    status = git("status", "--porcelain", "--untracked-files=no")
    return {
        "evermix": evermix.__version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if status is None else bool(status),
        "lock": hash_bytes(lock.read_bytes()) if lock.is_file() else None,
    }


def _copy_live(store: Store) -> None:
    with fresh_folder(store.before) as draft:
        for name in (*VERSION_FILES, "panel.parquet", "prequential.json", "quality.csv"):
            if (store.live / name).is_file():
                shutil.copyfile(store.live / name, draft / name)
        for name in ("request", "forecasts"):
            if (store.live / name).is_dir():
                shutil.copytree(store.live / name, draft / name)
        question = store.live / "challenger" / "question.json"
        if question.is_file():
            shutil.copyfile(question, draft / "challenger.json")
        champion = read_json(draft / "champion.json")["id"] if (draft / "champion.json").is_file() else None
        # git keeps no empty folder, and DVC wants this one to be there in every clone.
        write_json(draft / "about.json", {"champion": champion})


def _params_of(params: ModelParams, model: str) -> str:
    # Written out whole, since DVC wants every key that a stage names, left out or not.
    text = yaml.dump({"models": {model: params.model_dump()}}, Dumper=_PlainDumper, sort_keys=False, width=120)
    return f"# The params of this week, cut to its model.\n{text}"


def _write_code(env: Environment, root: Path, model: str) -> None:
    """Copy the running code: a stage runs what its clone holds, whatever is installed later."""
    sources = {"evermix": Path(evermix.__file__).parent}
    if (env.project / "src").is_dir():
        sources |= {p.name: p for p in (env.project / "src").iterdir() if p.is_dir() and (p / "__init__.py").is_file()}
    with fresh_folder(root / "src") as draft:
        for name, folder in sorted(sources.items()):
            shutil.copytree(folder, draft / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for name in ("dvc.yaml", "scripts/stage"):
        if not (env.project / name).is_file():
            raise StoreError(f"{env.project / name}: not there, expected beside params.yaml. Restore it from git.")
    pipeline = (env.project / "dvc.yaml").read_text(encoding="utf-8")
    write_text(root / "dvc.yaml", re.sub(r"(?m)^(  - plotted:).*$", rf"\1 {model}", pipeline))
    for name in ("scripts/stage", "pyproject.toml", "requirements.lock", ".python-version"):
        if (env.project / name).is_file():
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(env.project / name, root / name)
    write_text(root / ".gitignore", f".venv/\n__pycache__/\n*.pyc\n.evermix/\n{DRAFT}*\n")
    write_text(root / ".dvcignore", "")
