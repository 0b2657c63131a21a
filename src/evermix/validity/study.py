"""Runs the study: rows by scenario and seed, resumable, in shards that may run side by side."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evermix.config import ModelParams
from evermix.errors import ConfigError
from evermix.validity.rows import ROWS, Row, refit_rules

MCMC_SCENARIOS = ("nothing", "spend_shift", "large_spend_shift", "effect_halves", "small_effect_halves")
SHIPPED_FITS = 6
"""Seeds 1 to this one are fitted by the shipped code too; each takes a minute."""
_PACKAGES = ("numpy", "scipy", "numba", "pandas", "arviz-stats")
# What a rule says, and to whom, is not what it measures.
_WORDS = {"why", "severity", "tell"}


@dataclass(frozen=True)
class Job:
    """One scenario by one posterior, over a range of seeds, of which a shard does every ``shards``-th."""

    posterior: str
    scenario: str
    seeds: range
    shard: int = 0
    shards: int = 1


def measured(posterior: str, params: ModelParams) -> str:
    """Return the hash of the params that the rows of a posterior depend on, 16 hex digits.

    Evidence depends on spec and monitor settings, and where there are refits, on the rules that ask for them.  The
    rules that raise alarms are asked of the evidence when the page is written.
    """
    parts: dict[str, Any] = {"spec": params.spec, "monitor": params.monitor.model_dump()}
    if posterior == "mcmc":
        asking = [rule.model_dump() for rule in refit_rules(params)]
        parts["rules"] = [{k: v for k, v in rule.items() if k not in _WORDS} for rule in asking]
    if posterior == "shipped":
        parts = {"spec": params.spec, "sampler": params.sampler.model_dump()}
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_job(folder: Path, job: Job, params: ModelParams, tell: Callable[[str], None]) -> None:
    """Append the rows that are not there yet to the shard's file, one by one, so that a kill loses one at most.

    Raises
    ------
    ConfigError
        If the rows that are there were measured with other params.
    """
    head = header(job, params)
    path = folder / f"{job.posterior}-{job.scenario}.{job.shard}-of-{job.shards}.jsonl"
    _mend(path)
    done = {row["seed"] for row in read_rows(folder, job.posterior, job.scenario, head["params"])}
    due = [seed for seed in job.seeds[job.shard :: job.shards] if seed not in done]
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for count, seed in enumerate(due, 1):
        row = ROWS[job.posterior](job.scenario, seed, params)
        lines = [] if path.is_file() and path.stat().st_size else [head]
        with path.open("a", encoding="utf-8") as out:
            out.write("".join(_line(item) for item in [*lines, row]))
        if count % 25 == 0 or count == len(due):
            each = (time.monotonic() - started) / count
            tell(f"{job.posterior} {job.scenario}: {count} of {len(due)}, {each:.2f} s each")


def header(job: Job, params: ModelParams) -> Row:
    """Return the first line of a result file: what was run, with what."""
    return {
        "posterior": job.posterior,
        "scenario": job.scenario,
        "command": "make validity",
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "params": measured(job.posterior, params),
    }


def read_rows(folder: Path, posterior: str, scenario: str, expected: str | None) -> list[Row]:
    """Return all rows of a scenario in the order of seeds, whichever shard computed them.

    Raises
    ------
    ConfigError
        If a file was measured with params other than ``expected``.
    """
    rows: dict[int, Row] = {}
    for path in sorted(folder.glob(f"{posterior}-{scenario}.*jsonl*")):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        # The last line of a run that goes on, or was killed, may be torn.
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        if not lines:
            continue
        head, *found = map(json.loads, lines)
        if expected is not None and head.get("params") != expected:
            raise ConfigError(
                f"{path}: measured with params {head.get('params')}, params.yaml has {expected}. "
                "Remove the file to measure anew, or take the change back."
            )
        rows |= {row["seed"]: row for row in found}
    return [rows[seed] for seed in sorted(rows)]


def merge_shards(folder: Path, job: Job, params: ModelParams) -> None:
    """Put the rows of all shards into one packed file in the order of seeds."""
    rows = read_rows(folder, job.posterior, job.scenario, measured(job.posterior, params))
    if not rows:
        return
    whole = folder / f"{job.posterior}-{job.scenario}.jsonl.gz"
    draft = whole.with_suffix(".draft")
    # No clock inside: the same rows are the same bytes.
    draft.write_bytes(gzip.compress("".join(_line(item) for item in [header(job, params), *rows]).encode(), mtime=0))
    draft.replace(whole)
    for path in folder.glob(f"{job.posterior}-{job.scenario}.*.jsonl"):
        path.unlink()


def _mend(path: Path) -> None:
    """Cut off the torn last line of a killed run, so that its replicate is computed again."""
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")


def _line(item: Row) -> str:
    return json.dumps(item, separators=(",", ":")) + "\n"
