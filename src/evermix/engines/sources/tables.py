"""From bytes to cells of text, and back: what a delivery says, whatever its format.

That bytes cannot be read as what they claim is a data error, which the week turns into a quarantine.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from evermix.errors import DataError

_MAGIC = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive or Excel workbook",
    b"\x1f\x8b": "gzip",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "PDF",
    b"SQLite format 3": "an SQLite database",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_LONGEST_LIST = 5
_LONGEST_TYPE = 60
MAX_COLUMNS = 2_000
MAX_CELLS = 5_000_000
"""Rows times columns: ten years of daily rows of 68 geos with 20 columns."""
MAX_BYTES = 256 * 2**20


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


def table_bytes(frame: pd.DataFrame, format: str) -> bytes:
    """Return cells of text as a file of the format; `read_table` gives the same cells again."""
    if format == "csv":
        return frame.to_csv(index=False, lineterminator="\n").encode("utf-8")
    import pyarrow as pa

    columns = [pa.array(frame.iloc[:, place].to_list(), pa.string()) for place in range(frame.shape[1])]
    return _parquet_bytes(pa.Table.from_arrays(columns, names=[str(name) for name in frame]))


def panel_bytes(panel: pd.DataFrame) -> bytes:
    """Return a table as Parquet; the same table gives the same bytes."""
    import pyarrow as pa

    return _parquet_bytes(pa.Table.from_pandas(panel, preserve_index=False))


def read_panel(path: Path) -> pd.DataFrame | None:
    """Return a panel from Parquet with the canonical types, None if the file is not there."""
    return panel_of(path.read_bytes()) if path.is_file() else None


def panel_of(data: bytes) -> pd.DataFrame:
    """Return a panel from the bytes of its Parquet file, with the canonical types."""
    # Parquet knows no whole seconds, so pandas hands back milliseconds.
    return pd.read_parquet(io.BytesIO(data)).astype({"week": "datetime64[s]", "geo": "str"})


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
    if text.lstrip("\ufeff \r\n\t")[:1] in ("<", "{", "["):
        raise DataError(
            "the file is HTML, XML or JSON, such as an error page, expected CSV. Check the export's address."
        )
    return text


def _records(text: str) -> Iterator[tuple[int, int, list[str]]]:
    reader, start, cells = csv.reader(io.StringIO(text, newline=""), strict=True), 0, 0
    try:
        for record in reader:
            cells += len(record)
            _refuse_a_bomb(columns=len(record), cells=cells)
            if record:
                yield start, reader.line_num, record
            start = reader.line_num
    except csv.Error as err:
        raise DataError(f"line {reader.line_num}: is not CSV ({err}). Deliver the file again, whole.") from None


def _refuse_a_bomb(columns: int = 0, cells: int = 0, size: int = 0) -> None:
    """Refuse what no history of a brand is; a file that fills the memory would end the worker, not the week."""
    for seen, limit, what in (
        (columns, MAX_COLUMNS, "columns"),
        (cells, MAX_CELLS, "cells"),
        (size, MAX_BYTES, "bytes of content"),
    ):
        if seen > limit:
            raise DataError(
                f"the file has {seen} {what} or more, expected at most {limit}. Deliver the model's history alone."
            )


def _read_csv(data: bytes) -> Table:
    _refuse_a_bomb(size=len(data))
    records = list(_records(_decode(data).lstrip("\ufeff")))
    if not records:
        raise DataError("the file is empty, expected a header and rows. Deliver the file again.")
    header = [name.strip() for name in records[0][2]]
    # A row of nothing but commas, which spreadsheets leave below a table, tells nothing; the others keep their numbers.
    numbered = [(number, one) for number, one in enumerate(records[1:], 2) if any(cell.strip() for cell in one[2])]
    body = [one for _, one in numbered]
    ragged = [(stop, len(cells)) for _, stop, cells in body if len(cells) != len(header)]
    if ragged:
        shown = "; ".join(f"line {line} has {found}" for line, found in ragged[:_LONGEST_LIST])
        why = "The file was cut off or a text with commas is not quoted: deliver it again."
        if len(header) == 1:
            why = (
                f"The header is one field, {header[0][:60]!r}: export with commas between columns and points in numbers"
                ", without a line above the header."
            )
        raise DataError(f"{len(ragged)} row(s) do not have the header's {len(header)} fields: {shown}. {why}")
    index = pd.Index([number for number, _ in numbered], dtype="int64")
    frame = pd.DataFrame([cells for _, _, cells in body], index=index, columns=header, dtype="str")
    return Table(frame, tuple((start, stop) for start, stop, _ in body))


def _read_parquet(data: bytes) -> Any:
    """Return an arrow table whose text columns are dictionaries: a value that a bomb repeats is held once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _refuse_a_bomb(size=len(data))
    try:
        schema = pq.read_schema(io.BytesIO(data))
        texts = [
            field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ]
        file = pq.ParquetFile(io.BytesIO(data), read_dictionary=texts)
        told = file.metadata
        sizes = [told.row_group(i).total_byte_size for i in range(told.num_row_groups)]
        _refuse_a_bomb(told.num_columns, told.num_columns * told.num_rows, sum(sizes))
        return file.read()
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise DataError(
            f"the file is not Parquet ({reason}), expected Parquet. Deliver it again, or set source.format."
        ) from None


def _as_text(table: Any) -> pd.DataFrame:
    """Return every cell as the text a CSV would hold, so that one contract serves both formats."""
    columns = zip(table.column_names, table.columns, strict=True)
    cells = [_column_text(name, column) for name, column in columns]
    frame = pd.DataFrame(dict(enumerate(cells)), index=pd.RangeIndex(2, 2 + table.num_rows), dtype="str")
    return frame.set_axis([name.strip() for name in table.column_names], axis=1)


def _column_text(name: str, column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_nested(column.type) or _is_binary(column.type):
        # No number and no date, whatever is in it; unread, since a cell may hold millions.
        return [f"<{column.type}>"[:_LONGEST_TYPE]] * len(column)
    try:
        if pa.types.is_dictionary(column.type):
            return [text for chunk in column.chunks for text in _dictionary_text(name, chunk)]
        return [cell_text(value) for value in column.to_pylist()]
    except (pa.ArrowException, ValueError, OverflowError) as err:
        raise DataError(
            f"column {name[:_LONGEST_TYPE]}: a value of type {column.type} cannot be read ({err}), "
            "expected numbers, text or dates. Deliver the column in a plain type."
        ) from None


def _dictionary_text(name: str, chunk: Any) -> list[str]:
    """Return the cells of a dictionary; each value becomes text once, however many cells repeat it."""
    values = [cell_text(value) for value in chunk.dictionary.to_pylist()]
    longest = max(map(len, values), default=0)
    if longest > csv.field_size_limit():
        raise DataError(
            f"column {name[:_LONGEST_TYPE]}: a field of {longest} characters, expected at most "
            f"{csv.field_size_limit()}. Deliver the column without it."
        )
    cells = [None if place is None else values[place] for place in chunk.indices.to_pylist()]
    _refuse_a_bomb(size=sum(len(cell) for cell in cells if cell))
    return ["" if cell is None else cell for cell in cells]


def _is_binary(type: Any) -> bool:
    import pyarrow as pa

    return pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_fixed_size_binary(type)


def cell_text(value: Any) -> str:
    """Return a value of a database or a Parquet file as the text of a CSV cell."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case float():
            return "" if value != value else repr(value)
        case Decimal():
            # Never 1E+3: all digits, as the database keeps them.
            return "" if value.is_nan() else format(value, "f")
        case date():
            return value.isoformat()
        case bytes() | memoryview():
            return bytes(value).hex()
    return str(value)


def _parquet_bytes(table: Any) -> bytes:
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()
