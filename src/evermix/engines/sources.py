"""Reads what a source tells: CSV and Parquet by path, glob or fsspec URL.  Bytes first, tables second.

That bytes cannot be got is a service error; that they cannot be read as what they claim is a data error, which the
week turns into a quarantine.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from evermix.errors import ConfigError, DataError, ServiceError

_MAGIC = {b"PAR1": "Parquet", b"PK\x03\x04": "a zip archive or Excel workbook", b"\x1f\x8b": "gzip"}
_LONGEST_LIST = 5


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


@dataclass(frozen=True)
class Table:
    """A delivery as text cells.

    Attributes
    ----------
    frame : DataFrame of text
        Labelled by row number as a spreadsheet shows it (the header is row 1); blank text where nothing was told.
    spans : tuple of (int, int)
        First and last line, from zero and exclusive, of each row in the file; empty for Parquet.
    """

    frame: pd.DataFrame
    spans: tuple[tuple[int, int], ...] = ()


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


def read_table(data: bytes, format: str) -> Table:
    """Return the cells of a file as text.

    Raises
    ------
    DataError
        The bytes are not what they claim: encoding, cut or ragged rows, no header, not Parquet.
    """
    return _read_csv(data) if format == "csv" else Table(_as_text(_read_parquet(data)))


def keep_rows(data: bytes, format: str, table: Table, keep: pd.Series) -> bytes:
    """Return the file without the rows where ``keep`` is false; all other bytes of a CSV stay as they came."""
    if bool(keep.all()):
        return data
    if format == "parquet":
        return _parquet_bytes(_read_parquet(data).filter(keep.to_list()))
    lines = list(io.StringIO(_decode(data), newline=""))
    dropped = {
        line for (start, stop), kept in zip(table.spans, keep, strict=True) if not kept for line in range(start, stop)
    }
    return "".join(line for number, line in enumerate(lines) if number not in dropped).encode("utf-8")


def panel_bytes(panel: pd.DataFrame) -> bytes:
    """Return a table as Parquet; the same table gives the same bytes."""
    import pyarrow as pa

    return _parquet_bytes(pa.Table.from_pandas(panel, preserve_index=False))


def read_panel(path: Path) -> pd.DataFrame | None:
    """Return a panel from Parquet with the canonical types, None if the file is not there."""
    if not path.is_file():
        return None
    # Parquet knows no whole seconds, so pandas hands back milliseconds.
    return pd.read_parquet(path).astype({"week": "datetime64[s]", "geo": "str"})


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


def _decode(data: bytes) -> str:
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"the file is {what}, expected CSV text. Deliver CSV, or set source.format.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise DataError(
            f"line {line}: byte {data[err.start]:#04x} is not UTF-8, expected UTF-8 text. Save the file as UTF-8."
        ) from None
    if "\0" in text:
        raise DataError(
            f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}: holds a NUL byte, expected text. Deliver CSV."
        )
    return text


def _records(text: str) -> Iterator[tuple[int, int, list[str]]]:
    reader, start = csv.reader(io.StringIO(text, newline=""), strict=True), 0
    try:
        for record in reader:
            if record:
                yield start, reader.line_num, record
            start = reader.line_num
    except csv.Error as err:
        raise DataError(f"line {reader.line_num}: is not CSV ({err}). Deliver the file again, whole.") from None


def _read_csv(data: bytes) -> Table:
    records = list(_records(_decode(data).removeprefix("\ufeff")))
    if not records:
        raise DataError("the file is empty, expected a header and rows. Deliver the file again.")
    header = [name.strip() for name in records[0][2]]
    body = records[1:]
    ragged = [(stop, len(cells)) for _, stop, cells in body if len(cells) != len(header)]
    if ragged:
        shown = "; ".join(f"line {line} has {found}" for line, found in ragged[:_LONGEST_LIST])
        raise DataError(
            f"{len(ragged)} row(s) do not have the header's {len(header)} fields: {shown}. "
            "The file was cut off or a text with commas is not quoted: deliver it again."
        )
    index = pd.RangeIndex(2, 2 + len(body))
    frame = pd.DataFrame([cells for _, _, cells in body], index=index, columns=header, dtype="str")
    return Table(frame, tuple((start, stop) for start, stop, _ in body))


def _read_parquet(data: bytes) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as err:
        reason = str(err).splitlines()[0]
        raise DataError(
            f"the file is not Parquet ({reason}), expected Parquet. Deliver it again, or set source.format."
        ) from None


def _as_text(table: Any) -> pd.DataFrame:
    """Return every cell as the text a CSV would hold, so that one contract serves both formats."""
    cells = [[_cell_text(value) for value in column.to_pylist()] for column in table.columns]
    frame = pd.DataFrame(dict(enumerate(cells)), index=pd.RangeIndex(2, 2 + table.num_rows), dtype="str")
    return frame.set_axis(table.column_names, axis=1)


def _cell_text(value: Any) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _join(tables: list[pd.DataFrame], format: str) -> bytes:
    joined = pd.concat(tables, ignore_index=True).fillna("")
    if format == "parquet":
        return panel_bytes(joined)
    return joined.to_csv(index=False, lineterminator="\n").encode("utf-8")


def _parquet_bytes(table: Any) -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
