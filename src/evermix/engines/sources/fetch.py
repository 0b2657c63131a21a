"""Gets what a source tells: files by path, glob or fsspec URL, bytes as they came; a query's answer as CSV.

That bytes cannot be got is a service error, and is tried again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from evermix.config.environment import fill_placeholders, s3_options, without_secrets
from evermix.engines.sources.sql import query_csv
from evermix.engines.sources.tables import MAX_BYTES, panel_bytes, read_table
from evermix.errors import ConfigError, DataError, NotDelivered, ServiceError


@dataclass(frozen=True)
class Delivery:
    """The source's answer.

    Attributes
    ----------
    data : bytes
        One file: as delivered.  Several: joined by column name, in the order of file names.
    rows : int or None
        Rows below the header; None if the bytes cannot be read as their format.
    files : tuple of str
        Base names of the files, sorted.
    """

    data: bytes
    format: str
    rows: int | None
    files: tuple[str, ...]


def fetch(path: str, format: str, query: str | None = None, sort_by: Sequence[str] = ()) -> Delivery:
    """Return all bytes of a source.

    Parameters
    ----------
    path : str
        File, glob, fsspec URL or, with a query, SQLAlchemy URL; ``${EVERMIX_...}`` is filled in from the environment.
    format : str
        ``csv``, ``parquet`` or ``sql``; what a database answers is delivered as ``csv``.
    query : str or None
        What to ask a database.
    sort_by : sequence of str
        Columns by which a database's rows are sorted first.

    Raises
    ------
    ServiceError
        Nothing there, or the place did not answer.
    ConfigError
        The URL's protocol is unknown or its package is not installed; a variable is not set; a query is wrong.
    """
    if query is not None:
        data, count = query_csv(path, query, sort_by)
        return Delivery(data, "csv", count, ("the query's answer",))
    parts = sorted(_read_all(path).items())
    names = tuple(PurePosixPath(name).name for name, _ in parts)
    tables = []
    for name, data in parts:
        try:
            tables.append(read_table(data, format).frame)
        except DataError:
            # Kept as it came, alone: validate says what is wrong with it.
            return Delivery(data, format, None, (PurePosixPath(name).name,))
        if tables[-1].columns.has_duplicates:
            return Delivery(data, format, len(tables[-1]), (PurePosixPath(name).name,))
    rows = sum(len(table) for table in tables)
    data = parts[0][1] if len(parts) == 1 else _join(tables, format)
    return Delivery(data, format, rows, names)


def _read_all(path: str) -> dict[str, bytes]:
    import fsspec

    shown = without_secrets(path)
    filled, values = fill_placeholders(path, "source.path")
    # A listing kept from an earlier look would hide what was delivered since.
    options = {"use_listings_cache": False} if filled.startswith(("s3://", "s3a://")) else {}
    try:
        fs, root = fsspec.core.url_to_fs(filled, **s3_options(filled), **options)
    except (ImportError, ValueError) as err:
        raise ConfigError(
            f"source {shown}: {without_secrets(str(err), values)}. Mend source.path, or install the package of "
            "that protocol."
        ) from None
    try:
        names = fs.glob(root) if fsspec.core.has_magic(root) else [root]
        if not names:
            raise FileNotFoundError("no file matches")
        # Reading a pipe would wait for a writer for ever.
        if any(Path(name).is_fifo() for name in names):
            raise IsADirectoryError
        # One byte more than is read of a file at most: enough to see that it is too large.
        return {without_secrets(str(name), values): fs.cat_file(name, end=MAX_BYTES + 1) for name in names}
    except IsADirectoryError:
        raise ConfigError(
            f"source {shown}: is a folder or a pipe, expected a file or a glob such as {shown}/*.csv."
        ) from None
    except FileNotFoundError:
        raise NotDelivered(
            f"source {shown}: nothing there, expected the model's delivery. Check source.path; a week that was "
            "not delivered yet is tried again."
        ) from None
    # Each protocol raises what its client raises; past this line there is one error for "did not answer".
    except Exception as err:  # noqa: BLE001
        reason = without_secrets(f"{type(err).__name__}: {err}", values)
        raise ServiceError(
            f"source {shown}: did not answer ({reason}), expected its bytes. It is tried again."
        ) from None


def _join(tables: list[pd.DataFrame], format: str) -> bytes:
    joined = pd.concat(tables, ignore_index=True).fillna("")
    if format == "parquet":
        return panel_bytes(joined)
    return joined.to_csv(index=False, lineterminator="\n").encode("utf-8")
