"""Snapshots: what a source said for a week, immutable, in the history that all workers share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evermix.config import Environment
from evermix.engines.history import list_refs, read_ref, write_ref
from evermix.engines.store import fresh_folder, write_bytes, write_json

_ARRIVAL = "arrival.json"


def known_weeks(env: Environment, model: str) -> list[str]:
    """Return the weeks (ISO Mondays) of which there is a snapshot, in order."""
    return sorted(ref.rsplit("/", 1)[1] for ref in list_refs(env, f"refs/snapshots/{model}/"))


def keep_snapshot(env: Environment, model: str, as_of: str, folder: Path, arrived_at: str) -> bool:
    """Store a delivery as the latest one of its week; return False when the week's latest is the same.

    Parameters
    ----------
    folder : Path
        ``about.json``, the data file and, where one was delivered, the plan.
    arrived_at : str
        ISO time in UTC, kept beside it as data.
    """
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    last = read_ref(env, _ref(model, as_of))
    if last is not None and {name: data for name, data in last.items() if name != _ARRIVAL} == files:
        return False
    arrival = json.dumps({"arrived_at": arrived_at}).encode() + b"\n"
    write_ref(env, _ref(model, as_of), {**files, _ARRIVAL: arrival}, f"snapshot {model} {as_of}")
    return True


def lay_out_snapshot(env: Environment, model: str, as_of: str, folder: Path) -> dict[str, Any] | None:
    """Write a week's latest delivery into a folder, the day of its arrival in its ``about``; return that.

    None, and no folder, where nothing was delivered for that week.
    """
    files = read_ref(env, _ref(model, as_of))
    if files is None:
        return None
    # The day is all that a result may depend on: two homes that took the same delivery on one day then agree.
    arrived_on = json.loads(files[_ARRIVAL])["arrived_at"][:10]
    about: dict[str, Any] = json.loads(files["about.json"]) | {"arrived_on": arrived_on}
    with fresh_folder(folder) as draft:
        for name, data in files.items():
            if name not in (_ARRIVAL, "about.json"):
                write_bytes(draft / name, data)
        write_json(draft / "about.json", about)
    return about


def _ref(model: str, as_of: str) -> str:
    return f"refs/snapshots/{model}/{as_of}"
