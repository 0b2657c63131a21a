"""Init: look at a stranger's file and write a model entry for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.config import Environment, load_params, parse_params
from evermix.engines.onboard import as_of_range, recognise
from evermix.engines.params_file import entry_text, parsed, with_entry
from evermix.engines.sources import fetch, read_table
from evermix.engines.store import write_text
from evermix.errors import ConfigError, DataError


def run(
    env: Environment, source: str, name: str, yes: bool, ask: Callable[[str], bool] | None, force: bool = False
) -> dict[str, Any]:
    """Recognise a source's columns and add an entry to ``params.yaml``; return what was recognised and what comes next.

    Parameters
    ----------
    source : str
        CSV or Parquet by path, glob or fsspec URL.
    yes : bool
        Write without asking.
    ask : callable or None
        Puts a question to the user and returns the answer; with None and not ``yes`` nothing is written.
    force : bool
        Replace an entry of that name.

    Raises
    ------
    DataError
        The source is no file, empty, or has no date, target or input that can be recognised.
    ConfigError
        The name breaks a rule or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise ConfigError(f"--name: got {name!r}, expected small letters, digits and _, a letter first. Choose one.")
    file = env.project / "params.yaml"
    params, text = load_params(file), file.read_text(encoding="utf-8")
    format = "parquet" if Path(source).suffix.lower() in (".parquet", ".pq") else "csv"
    path, stored = _place(env, source)
    found = recognise(_read(path, format, source), stored, format)
    blocks = {"source": found.source, "columns": found.columns, "label_delay_weeks": found.label_delay_weeks}
    title = f"Recognised by `evermix init` in {Path(source).name}: {len(found.weeks)} weeks from {found.weeks[0]}."
    entry = entry_text(text, params, name, blocks, found.roles | found.left_out, title)
    new = with_entry(file, text, name, entry, force)
    model = parse_params(parsed(new), str(file)).models[name]
    written = yes or (ask is not None and ask(f"{entry}\nWrite this entry to {file}?"))
    if written:
        write_text(file, new)
    return {
        "model": name,
        "recognised": found.roles,
        "left_out": found.left_out,
        "entry": entry,
        "written": written,
        "params_file": str(file),
        "as_of_range": as_of_range(found.weeks, model.validation.min_weeks),
        "next": f"evermix week --model {name} --as-of {found.weeks[-1]}",
    }


def _read(path: str, format: str, source: str) -> pd.DataFrame:
    data = fetch(path, format).data
    header = data[:65536].split(b"\n")[0]
    for mark, name in ((b";", "';'"), (b"\t", "tabs")):
        if format == "csv" and header.count(mark) > header.count(b","):
            raise DataError(
                f"--source: {source} is separated by {name}, expected ','. Save it with commas between cells and "
                "points in numbers."
            )
    try:
        return read_table(data, format).frame
    except DataError as err:
        raise DataError(f"--source: {source}: {err}") from None


def _place(env: Environment, source: str) -> tuple[str, str]:
    """Return the path to read now and the one to store: relative to project or home where the file lies there."""
    if "://" in source:
        return source, source
    path = Path(source).expanduser().absolute()
    if not any(mark in source for mark in "*?[") and not path.is_file():
        raise DataError(f"--source: {source} is not a file, expected CSV or Parquet. Check the path.")
    if path.is_relative_to(env.home):
        return str(path), "{home}/" + path.relative_to(env.home).as_posix()
    return str(path), path.relative_to(env.project).as_posix() if path.is_relative_to(env.project) else str(path)
