"""Init: look at a stranger's file or database and write a model entry for it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.config import Environment, load_params, parse_params
from evermix.engines.onboard import as_of_range, recognise
from evermix.engines.params_file import entry_text, parsed, with_entry
from evermix.engines.sources import fetch, read_table
from evermix.engines.store import write_text
from evermix.errors import ConfigError, DataError

# Names by which a URL is known as a database's.
_DATABASES = (
    "sqlite",
    "postgresql",
    "postgres",
    "mysql",
    "mariadb",
    "mssql",
    "oracle",
    "snowflake",
    "bigquery",
    "duckdb",
)


@dataclass(frozen=True)
class Origin:
    """Where the table is: a file, glob or fsspec URL; with a query, a database by its SQLAlchemy URL.

    ``label`` says which day of its week a weekly row is dated by, where the user says so.
    """

    source: str
    query: str | None = None
    label: str | None = None

    @property
    def format(self) -> str:
        """``csv``, ``parquet`` or ``sql``."""
        if self.query is not None:
            return "sql"
        return "parquet" if Path(self.source).suffix.lower() in (".parquet", ".pq") else "csv"


def run(
    env: Environment, origin: Origin, name: str, yes: bool, ask: Callable[[str], bool] | None, force: bool = False
) -> dict[str, Any]:
    """Recognise a source's columns and add an entry to ``params.yaml``; return what was recognised and what comes next.

    Parameters
    ----------
    origin : Origin
        The table to look at.
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
        The name breaks a rule or is taken; the URL holds a password; a query is missing, or wrong.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise ConfigError(f"--name: got {name!r}, expected small letters, digits and _, a letter first. Choose one.")
    file = env.project / "params.yaml"
    params, text = load_params(file), file.read_text(encoding="utf-8")
    _check_url(origin)
    path, stored = _place(env, origin.source)
    found = recognise(_read(path, origin), stored, origin.format, origin.query, origin.label)
    blocks: dict[str, Any] = {
        "source": found.source,
        "columns": found.columns,
        "label_delay_weeks": found.label_delay_weeks,
    }
    blocks["tracked"] = found.tracked
    title = f"Recognised by `evermix init` in {_shown(origin)}: {len(found.weeks)} weeks from {found.weeks[0]}."
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


def _shown(origin: Origin) -> str:
    name = Path(origin.source.partition("?")[0]).name
    return f"a query of {name}" if origin.query else name


def _check_url(origin: Origin) -> None:
    scheme, _, rest = origin.source.partition("://")
    if re.match(r"[^/@]*:(?!\$\{EVERMIX_)[^/@]*@", rest):
        raise ConfigError(
            "--source: holds a password, which would stand in params.yaml. Write ${EVERMIX_DB_PASSWORD} in its place "
            "(in single quotes, so that the shell leaves it) and set that variable."
        )
    is_database = scheme.partition("+")[0] in _DATABASES and bool(rest)
    if is_database and origin.query is None:
        raise ConfigError(f"--source: {scheme}:// is a database; say what to ask it with --query 'select ...'.")
    if origin.query is not None and not rest:
        raise ConfigError(
            f"--query: got one for {origin.source}, which is no SQLAlchemy URL such as sqlite:///shop.db."
        )


def _read(path: str, origin: Origin) -> pd.DataFrame:
    data = fetch(path, origin.format, origin.query).data
    header = data[:65536].split(b"\n")[0]
    for mark, name in ((b";", "';'"), (b"\t", "tabs")):
        if origin.format == "csv" and header.count(mark) > header.count(b","):
            raise DataError(
                f"--source: {origin.source} is separated by {name}, expected ','. Save it with commas between cells "
                "and points in numbers."
            )
    try:
        return read_table(data, "parquet" if origin.format == "parquet" else "csv").frame
    except DataError as err:
        raise DataError(f"--source: {origin.source}: {err}") from None


def _place(env: Environment, source: str) -> tuple[str, str]:
    """Return the path to read now and the one to store: relative to project or home where the file lies there."""
    if source.startswith("sqlite:///"):
        read, stored = _place(env, source.removeprefix("sqlite:///"))
        return f"sqlite:///{read}", f"sqlite:///{stored}"
    if "://" in source:
        return source, source
    path = Path(source).expanduser().absolute()
    if not any(mark in source for mark in "*?[") and not path.is_file():
        raise DataError(
            f"--source: {source} is not a file, expected CSV, Parquet or a SQLite database. Check the path."
        )
    if path.is_relative_to(env.home):
        return str(path), "{home}/" + path.relative_to(env.home).as_posix()
    return str(path), path.relative_to(env.project).as_posix() if path.is_relative_to(env.project) else str(path)
