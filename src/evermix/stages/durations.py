"""How long the weeks of a model took here: what `week --dry-run` expects.  No result depends on it."""

from __future__ import annotations

from pathlib import Path

from evermix.config import Environment
from evermix.engines.store import Store, read_json, write_json


def remember_duration(store: Store, env: Environment, seconds: float) -> None:
    """Note how long the week that was just closed took, as a week with or without a fit."""
    kind = "with a fit" if read_json(store.decision)["requested_now"] else "without a fit"
    write_json(_file(env, store.model), {**durations(env, store.model), kind: round(seconds, 1)})


def durations(env: Environment, model: str) -> dict[str, float]:
    """Return the seconds that the last week ``with a fit`` and the last one ``without a fit`` took here."""
    path = _file(env, model)
    return dict(read_json(path)) if path.is_file() else {}


def _file(env: Environment, model: str) -> Path:
    return env.home / "durations" / f"{model}.json"
