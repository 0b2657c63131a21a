"""Tidy tables on their way out: as Parquet bytes, or into a database by SQLAlchemy URL."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from evermix.config.environment import fill_placeholders, without_secrets
from evermix.core.tables import TABLES
from evermix.engines.database import make_engine, parse_url, said_by
from evermix.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    import sqlalchemy as sa

Rows = list[dict[str, Any]]

# Tables that hold a model's whole past: an export tells it anew up to its week.
_PAST = ("decisions",)
_BATCH = 5_000


def parquet_bytes(name: str, rows: Rows) -> bytes:
    """Return one table as Parquet; the same rows give the same bytes, and no rows a file with all columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "date": pa.date32(),
        "number": pa.float64(),
        "count": pa.int64(),
        "flag": pa.bool_(),
    }
    schema = pa.schema([(column, types[kind]) for column, kind in TABLES[name].items()])
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), out)
    return out.getvalue()


def write_sql(url: str, exports: Sequence[tuple[str, str, Mapping[str, Rows]]]) -> None:
    """Write tables ``evermix_<name>`` in one transaction, so that a reader sees the old rows or the new ones.

    Of each model, the rows of the week exported are replaced, and of what tells the past (decisions, one-step
    predictions) those up to it; rows of other weeks stay, so that exports of many weeks add up to vintages.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; ``${EVERMIX_...}`` is filled in from the environment.
    exports : sequence of (model, as_of, rows by table)

    Raises
    ------
    ConfigError
        The URL cannot be used, or the tables there have other columns.
    ServiceError
        The database cannot be reached.
    """
    import sqlalchemy as sa

    filled, values = fill_placeholders(url, "--to", encode=True)
    try:
        engine = make_engine(parse_url(filled))
    except (sa.exc.ArgumentError, ImportError, ValueError) as err:
        raise ConfigError(
            _message(url, err, values, "Expected a folder, or a SQLAlchemy URL and its driver.")
        ) from None
    try:
        with engine.begin() as connection:
            tables = _tables(connection)
            for model, as_of, rows in exports:
                for name, table in tables.items():
                    connection.execute(sa.delete(table).where(_replaced(table, name, model, as_of)))
                    for start in range(0, len(rows[name]), _BATCH):
                        connection.execute(sa.insert(table), rows[name][start : start + _BATCH])
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as err:
        # SQLite calls a wrong column operational; a server that is away is.
        if getattr(err.orig, "sqlite_errorname", "") in ("SQLITE_ERROR", "SQLITE_READONLY", "SQLITE_CANTOPEN"):
            raise ConfigError(_message(url, err, values, _OTHER_COLUMNS)) from None
        raise ServiceError(_message(url, err, values, "Nothing was written; run the export again.")) from None
    except sa.exc.SQLAlchemyError as err:
        raise ConfigError(_message(url, err, values, _OTHER_COLUMNS)) from None
    finally:
        engine.dispose()


_OTHER_COLUMNS = (
    "Nothing was written. Check the rights of the user and, if the tables evermix_* are of another version of evermix, "
    "drop them: all of them are written anew."
)


def _tables(connection: sa.Connection) -> dict[str, sa.Table]:
    import sqlalchemy as sa

    types = {"text": sa.Text, "date": sa.Date, "number": sa.Double, "count": sa.Integer, "flag": sa.Boolean}
    meta = sa.MetaData()
    tables = {
        name: sa.Table(f"evermix_{name}", meta, *(sa.Column(column, types[kind]) for column, kind in columns.items()))
        for name, columns in TABLES.items()
    }
    meta.create_all(connection)
    return tables


def _replaced(table: sa.Table, name: str, model: str, as_of: str) -> Any:
    import sqlalchemy as sa

    week = date.fromisoformat(as_of)
    past = table.c.as_of <= week
    now = table.c.as_of == week
    if name in _PAST:
        now = past
    elif "kind" in table.c:
        now = sa.or_(sa.and_(table.c.kind == "plan", now), sa.and_(table.c.kind == "one_step", past))
    return sa.and_(table.c.model == model, now)


def _message(url: str, err: Exception, values: Mapping[str, str], action: str) -> str:
    return f"--to {without_secrets(url)}: {without_secrets(said_by(err), values)}. {action}"
