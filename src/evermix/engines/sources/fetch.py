"""Gets what a source tells: files by path, glob or fsspec URL.  Bytes as they came.

That bytes cannot be got is a service error, and is tried again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from evermix.engines.sources.tables import panel_bytes, read_table
from evermix.errors import ConfigError, DataError, ServiceError


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


def fetch(path: str, format: str) -> Delivery:
    """Return all bytes of a source.

    Parameters
    ----------
    path : str
        File, glob or fsspec URL.
    format : str
        ``csv`` or ``parquet``.

    Raises
    ------
    ServiceError
        Nothing there, or the place did not answer.
    ConfigError
        The URL's protocol is unknown or its package is not installed.
    """
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

    shown = _without_secrets(path)
    try:
        fs, root = fsspec.core.url_to_fs(path)
    except (ImportError, ValueError) as err:
        raise ConfigError(
            f"source {shown}: {err}. Mend source.path, or install the package of that protocol."
        ) from None
    try:
        names = fs.glob(root) if fsspec.core.has_magic(root) else [root]
        if not names:
            raise FileNotFoundError("no file matches")
        return {str(name): fs.cat_file(name) for name in names}
    except IsADirectoryError:
        raise ConfigError(f"source {shown}: is a folder, expected a file or a glob such as {shown}/*.csv.") from None
    except FileNotFoundError:
        raise ServiceError(
            f"source {shown}: nothing there, expected the model's delivery. Check source.path; a week that was "
            "not delivered yet is tried again."
        ) from None
    # Each protocol raises what its client raises; past this line there is one error for "did not answer".
    except Exception as err:
        reason = _without_secrets(f"{type(err).__name__}: {err}")
        raise ServiceError(
            f"source {shown}: did not answer ({reason}), expected its bytes. It is tried again."
        ) from err


def _without_secrets(text: str) -> str:
    return re.sub(r"(://)[^/@\s]*@", r"\1***@", text)


def _join(tables: list[pd.DataFrame], format: str) -> bytes:
    joined = pd.concat(tables, ignore_index=True).fillna("")
    if format == "parquet":
        return panel_bytes(joined)
    return joined.to_csv(index=False, lineterminator="\n").encode("utf-8")
