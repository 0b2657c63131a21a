"""Every path of a work clone and every atomic write.  Knows files, not models."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evermix.errors import StoreError

# What is being written, beside its place: git ignores it, and the next process clears it away after a kill.
DRAFT = ".draft-"

# What makes a version, in live/ and wherever it is put; a fit has no weights, one of an older history no panel.
VERSION_FILES = ("champion.json", "base.nc", "weights.npy", "base_panel.parquet")


class Store:
    """The places of one model inside one work clone.

    Parameters
    ----------
    root : Path
        The work clone.
    model : str
        The model's name in params.
    """

    def __init__(self, root: Path, model: str) -> None:
        self.root = Path(root)
        self.model = model
        self.inputs = self.root / "in" / model
        self.snapshot = self.inputs / "snapshot"
        self.before = self.inputs / "live"
        self.week = self.inputs / "week.json"
        self.orders = self.inputs / "orders.json"
        self.out = self.root / "out" / model
        self.validated = self.out / "validate"
        self.monitored = self.out / "monitor"
        self.evaluated = self.out / "evaluate"
        self.decision = self.out / "decision.json"
        self.verdict = self.out / "verdict.json"
        self.request = self.root / "request" / model
        self.fit = self.root / "fit" / model
        self.live = self.root / "live" / model


def read_json(path: Path) -> Any:
    """Read one JSON file; a missing or torn one is a StoreError that names it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: not there. Run the step that writes it first.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as err:
        raise StoreError(f"{path}: is not whole JSON ({err}). Run the step that writes it again.") from None


def write_json(path: Path, data: Any) -> None:
    """Write sorted, indented JSON at once or not at all; NaN is refused, since it is missing evidence in disguise."""
    write_text(path, json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file at once or not at all."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file at once or not at all: a reader sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{DRAFT}{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; other users of the same home read them too.
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{DRAFT}{path.name}."))
    try:
        yield draft
        draft.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        draft.replace(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def copy_folder(source: Path, target: Path) -> None:
    """Make ``target`` an exact copy of ``source``, which may not exist: then ``target`` becomes empty."""
    with fresh_folder(target) as draft:
        if source.is_dir():
            shutil.copytree(source, draft, dirs_exist_ok=True)


def hash_bytes(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()


def hash_folder(path: Path) -> str:
    """Return one SHA-256 over the names and bytes of all files below a folder."""
    total = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(f"{file.relative_to(path).as_posix()}\0{hash_bytes(file.read_bytes())}\n".encode())
    return total.hexdigest()
