"""The files that DVC keeps by their hash, in the home's cache and in the remote.

DVC itself trusts an object by its size and time, so a changed one is read here byte by byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from evermix.config import Environment
from evermix.config.environment import s3_options
from evermix.errors import ServiceError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class DvcObject:
    """One object and the outputs that need it.

    Attributes
    ----------
    cache, remote : str
        What was found in each place; ``there`` where only existence could be asked.
    outputs : tuple of str
        Paths in the clone, such as ``fit/brand/posterior.nc``.
    """

    md5: str
    outputs: tuple[str, ...]
    cache: str
    remote: str


def locked_files(lock: bytes, part: Literal["deps", "outs"]) -> dict[str, str]:
    """Return MD5 by path of the outputs or dependencies that a ``dvc.lock`` names; folders end in ``.dir``."""
    # The loader in C, where PyYAML has it: a year of lock files is read in one go.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    stages: Mapping[str, Any] = (yaml.load(lock, Loader=loader) or {}).get("stages", {})
    return {entry["path"]: str(entry.get("md5")) for stage in stages.values() for entry in stage.get(part, [])}


def folder_md5(files: Mapping[str, bytes]) -> str:
    """Return the hash that DVC gives a folder, from the bytes of its files by relative path."""
    listed = [{"md5": hashlib.md5(data).hexdigest(), "relpath": name} for name, data in sorted(files.items())]
    return f"{hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()}.dir"


def blob_id(data: bytes) -> str:
    """Return the id under which git keeps a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def check_objects(env: Environment, named: Mapping[str, Iterable[str]]) -> Iterator[DvcObject]:
    """Yield every object that outputs need, files of folders included, with what cache and remote hold of it.

    Parameters
    ----------
    named : mapping
        Paths of outputs by MD5.
    """
    cache = env.home / "dvc-cache" / "files" / "md5"
    remote = _remote_of(env)
    seen: dict[str, DvcObject] = {}
    pending = {md5: set(paths) for md5, paths in named.items()}
    while pending:
        inside: dict[str, set[str]] = {}
        for md5, paths in pending.items():
            here = _state(cache / md5[:2] / md5[2:], md5)
            away = remote(md5)
            seen[md5] = DvcObject(md5, tuple(sorted(paths)), here, away)
            if md5.endswith(".dir"):
                for child, name in _children(env, md5, here, away):
                    inside.setdefault(child, set()).update(f"{path}/{name}" for path in paths)
        pending = {md5: paths for md5, paths in inside.items() if md5 not in seen}
        for md5 in set(inside) & set(seen):
            merged = tuple(sorted({*seen[md5].outputs, *inside[md5]}))
            seen[md5] = DvcObject(md5, merged, seen[md5].cache, seen[md5].remote)
    yield from seen.values()


def _children(env: Environment, md5: str, here: str, away: str) -> list[tuple[str, str]]:
    roots = {"cache": env.home / "dvc-cache", "remote": Path(env.dvc_remote_url)}
    for place, state in (("cache", here), ("remote", away)):
        file = roots[place] / "files" / "md5" / md5[:2] / md5[2:]
        if state == "whole" and file.is_file():
            return [(entry["md5"], entry["relpath"]) for entry in json.loads(file.read_bytes())]
    return []


def _remote_of(env: Environment) -> Any:
    """Return a function that tells what the remote holds of an object: read where it is a folder, else only asked."""
    url = env.dvc_remote_url
    if "://" not in url:
        root = Path(url) / "files" / "md5"
        return lambda md5: _state(root / md5[:2] / md5[2:], md5)
    names = _listed(env, url)
    return lambda md5: "there" if md5 in names else "missing"


def _listed(env: Environment, url: str) -> set[str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(f"{url.rstrip('/')}/files/md5", **s3_options(url))
        system.invalidate_cache()
        return {"".join(name.rsplit("/", 2)[-2:]) for name in system.find(path)}
    # Each protocol raises what its client raises; past this line there is one error for "did not answer".
    except Exception as err:
        raise ServiceError(
            f"{url}: cannot be listed ({type(err).__name__}: {err}). Run again when it answers."
        ) from err


def _state(path: Path, md5: str) -> str:
    """Return ``whole``, ``missing``, or the hash that the bytes have instead."""
    total = hashlib.md5()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
    except FileNotFoundError:
        return "missing"
    return "whole" if total.hexdigest() == md5.removesuffix(".dir") else total.hexdigest()
