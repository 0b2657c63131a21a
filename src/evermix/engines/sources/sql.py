"""Asks a database by SQLAlchemy URL, read-only, and writes its answer as the CSV that would tell the same.

A database has no order of rows and no text of numbers, so both are fixed here: the same table gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix.config.environment import fill_placeholders, without_secrets
from evermix.engines.database import make_engine, parse_url, said_by
from evermix.engines.sources.tables import cell_text
from evermix.errors import ConfigError, EvermixError, ServiceError

if TYPE_CHECKING:
    import sqlalchemy as sa

MAX_ROWS = 1_000_000
_CONNECT_TIMEOUT_S = 15
_QUERY_TIMEOUT_S = 600
# What SQLite says when the query is wrong; all else that it calls operational is the file or a lock.
_WRONG_QUERY = ("SQLITE_ERROR", "SQLITE_READONLY")


def query_csv(path: str, query: str, sort_by: Sequence[str], max_rows: int = MAX_ROWS) -> tuple[bytes, int]:
    """Return the answer to a query as canonical CSV, and its number of rows.

    Columns stand as returned; rows are sorted as text by ``sort_by``, then by all columns.  Dates are ISO, numbers
    read back to the same value, NULL and NaN are blank.  The transaction is rolled back, and read-only where the
    database knows that (SQLite, PostgreSQL), whose sessions are asked in UTC.

    Parameters
    ----------
    path : str
        SQLAlchemy URL; ``${EVERMIX_...}`` is filled in from the environment.
    sort_by : sequence of str
        Columns to sort by first, those that the answer has.

    Raises
    ------
    ConfigError
        The URL or the query is wrong, a variable is not set, or the answer is too long.
    ServiceError
        The database cannot be reached, or gave up on the query.
    """
    source = _source(path)
    engine = _engine(source)
    try:
        names, rows = _ask(engine, query, source, max_rows)
    finally:
        engine.dispose()
    cells = [tuple(_cell(value) for value in row) for row in rows]
    first = [names.index(name) for name in sort_by if name in names]
    cells.sort(key=lambda row: ([row[i] for i in first], row))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(cells)
    return out.getvalue().encode("utf-8"), len(cells)


@dataclass(frozen=True)
class _Source:
    """The URL as it is used, as it may be shown, and the variables that make the difference."""

    url: str
    shown: str
    values: dict[str, str]


def _source(path: str) -> _Source:
    if re.search(r"://[^/@]*:(?!\$\{EVERMIX_)[^@]*@", path):
        raise ConfigError(
            f"source.path {without_secrets(path)}: holds a password, which every snapshot of params would keep. Write "
            "${EVERMIX_DB_PASSWORD} in its place and set that variable where evermix runs."
        )
    url, values = fill_placeholders(path, "source.path", encode=True)
    return _Source(url, without_secrets(path), values)


def _engine(source: _Source) -> sa.Engine:
    import sqlalchemy as sa

    try:
        url = parse_url(source.url)
        return make_engine(url, **_options(url))
    except (sa.exc.ArgumentError, ImportError, ValueError) as err:
        raise ConfigError(
            f"source {source.shown}: {_said(err, source.values)}. Expected a SQLAlchemy URL with its driver installed, "
            "such as postgresql+psycopg2://user:${EVERMIX_DB_PASSWORD}@host/db or sqlite:///{home}/x.db."
        ) from None


def _options(url: sa.URL) -> dict[str, Any]:
    if url.get_backend_name() == "postgresql":
        return {"connect_args": {"connect_timeout": _CONNECT_TIMEOUT_S}} if url.get_driver_name() == "psycopg2" else {}
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        # SQLite makes a missing file; one that was never delivered must not become an empty database.
        return {"creator": lambda: sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)}
    return {}


def _ask(engine: sa.Engine, query: str, source: _Source, max_rows: int) -> tuple[list[str], list[Any]]:
    import sqlalchemy as sa

    try:
        connection = engine.connect()
    except sa.exc.SQLAlchemyError as err:
        raise _no_answer(err, source) from None
    try:
        with connection, connection.begin() as transaction:
            try:
                return _rows(connection, query, source.shown, max_rows)
            finally:
                transaction.rollback()
    except sa.exc.DBAPIError as err:
        raise _translated(err, source) from None
    except (sa.exc.SQLAlchemyError, UnicodeError, ValueError) as err:
        raise ConfigError(f"source {source.shown}: {_said(err, source.values)}. Mend source.query.") from None


def _rows(connection: sa.Connection, query: str, shown: str, max_rows: int) -> tuple[list[str], list[Any]]:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_QUERY_TIMEOUT_S * 1000}")
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
    # As written: a colon or a percent sign in the query is no placeholder.
    options = {"no_parameters": True, "stream_results": True}
    result = connection.exec_driver_sql(query.strip().rstrip(";"), execution_options=options)
    if not result.returns_rows:
        raise ConfigError(f"source {shown}: the query returns no table. Expected a SELECT in source.query.")
    rows: list[Any] = list(result.fetchmany(max_rows + 1))
    if len(rows) > max_rows:
        raise ConfigError(
            f"source {shown}: the answer has more than {max_rows:,} rows. Sum it up in source.query: one row per "
            "day or week (and geo) is all that a model reads."
        )
    return list(result.keys()), [tuple(row) for row in rows]


def _translated(err: sa.exc.DBAPIError, source: _Source) -> EvermixError:
    import sqlalchemy as sa

    waits = err.connection_invalidated or isinstance(err, sa.exc.OperationalError | sa.exc.InterfaceError)
    if waits and getattr(err.orig, "sqlite_errorname", "") not in _WRONG_QUERY:
        return _no_answer(err, source)
    return ConfigError(
        f"source {source.shown}: the database refuses the query ({_said(err, source.values)}). Mend source.query, or "
        "the rights of its user."
    )


def _no_answer(err: Exception, source: _Source) -> ServiceError:
    return ServiceError(
        f"source {source.shown}: did not answer ({_said(err, source.values)}), expected the rows of the query. "
        "Check source.path; it is tried again."
    )


def _said(err: Exception, values: Mapping[str, str]) -> str:
    """Return in one line what the database said, without what the environment filled in."""
    return without_secrets(said_by(err), values)


def _cell(value: Any) -> str:
    """Return a value as text; databases tell a day as its midnight."""
    is_day = isinstance(value, datetime) and value.tzinfo is None and value.time() == time()
    return cell_text(value.date() if is_day else value)
