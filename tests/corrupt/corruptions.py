"""Corrupt deliveries by name: what is done to a clean one, and the rule that the report must name.

Each takes the clean weekly table of text (60 weeks) and returns a table or the bytes of a file.
"""

import base64
import bz2
import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd
from deliveries import csv_bytes

LAST, FIRST_ROW = 61, 2  # row numbers of a spreadsheet
AMOUNTS = ("sales", "tv_spend", "search_spend", "search_clicks")
TODAY_PLUS = "2031-03-03"
CARDS = ("4111111111111111", "5500005555555559", "4012888888881881")  # the test numbers of the networks


@dataclass(frozen=True)
class Corruption:
    """How a delivery is broken, and ``rule``, which must be among the faults (``where`` in one of its places)."""

    change: Callable[[pd.DataFrame], pd.DataFrame | bytes]
    rule: str
    where: str = ""


def numbers(text: pd.Series) -> pd.Series:
    return text.astype(float)


def text(values: pd.Series) -> pd.Series:
    return values.map(lambda value: f"{value:.2f}").astype("str")


def cell(column: str, value: str, row: int = LAST) -> Callable:
    def change(frame):
        frame.loc[row, column] = value
        return frame

    return change


def scaled(column: str, factor: float, first: int = FIRST_ROW, last: int = LAST) -> Callable:
    def change(frame):
        rows = frame.loc[first:last].index
        frame.loc[rows, column] = text(numbers(frame.loc[rows, column]) * factor)
        return frame

    return change


def written(column: str, form: Callable[[str], str], row: int = LAST) -> Callable:
    def change(frame):
        frame.loc[row, column] = form(frame.loc[row, column])
        return frame

    return change


def all_written(column: str, form: Callable[[str], str]) -> Callable:
    return lambda frame: frame.assign(**{column: frame[column].map(form).astype("str")})


def renamed(**names: str) -> Callable:
    return lambda frame: frame.rename(columns=names)


def dropped(column: str) -> Callable:
    return lambda frame: frame.drop(columns=column)


def swapped(a: str, b: str, first: int = FIRST_ROW) -> Callable:
    def change(frame):
        rows = frame.loc[first:].index
        frame.loc[rows, [a, b]] = frame.loc[rows, [b, a]].to_numpy()
        return frame

    return change


def with_rows(*rows: list[str], at: int | None = None) -> Callable:
    """Insert rows of text before place ``at``, or at the end."""

    def change(frame):
        place = len(frame) if at is None else at
        more = pd.DataFrame([row + [""] * (frame.shape[1] - len(row)) for row in rows], columns=frame.columns)
        return pd.concat([frame.iloc[:place], more, frame.iloc[place:]], ignore_index=True).astype("str")

    return change


def with_column(name: str, values: Callable[[int], str]) -> Callable:
    return lambda frame: frame.assign(**{name: [values(place) for place in range(len(frame))]})


def as_file(form: Callable[[bytes], bytes]) -> Callable:
    return lambda frame: form(csv_bytes(frame))


def days_moved(days: int, first: int = FIRST_ROW) -> Callable:
    def change(frame):
        moved = pd.to_datetime(frame.loc[first:, "week"]) + pd.Timedelta(days=days)
        frame.loc[first:, "week"] = moved.dt.strftime("%Y-%m-%d").to_numpy()
        return frame

    return change


def dates_as(form: str, first: int = FIRST_ROW) -> Callable:
    def change(frame):
        frame.loc[first:, "week"] = pd.to_datetime(frame.loc[first:, "week"]).dt.strftime(form).to_numpy()
        return frame

    return change


def mixed_day_and_month(frame):
    dates = pd.to_datetime(frame["week"])
    frame["week"] = [d.strftime("%d/%m/%Y" if i < 30 else "%m/%d/%Y") for i, d in enumerate(dates)]
    return frame


def one_cell_of_20_mb(frame):
    return cell("promo", "x" * 20_000_000)(frame)


def scattered(column: str, share: float, seed: int = 5) -> Callable:
    def change(frame):
        rng = np.random.default_rng(seed)
        rows = frame.index[:-1][rng.random(len(frame) - 1) < share]
        frame.loc[rows, column] = text(numbers(frame.loc[rows, column]) * rng.uniform(0.6, 1.5, len(rows)))
        return frame

    return change


def repeated_last(*columns: str, weeks: int = 1) -> Callable:
    def change(frame):
        for column in columns or [c for c in frame if c != "week"]:
            frame.loc[LAST - weeks + 1 :, column] = frame.loc[LAST - weeks, column]
        return frame

    return change


def as_another_week(*columns: str, row: int = LAST, other: int) -> Callable:
    def change(frame):
        for column in columns or [c for c in frame if c != "week"]:
            frame.loc[row, column] = frame.loc[other, column]
        return frame

    return change


def exchanged_weeks(one: int, other: int) -> Callable:
    def change(frame):
        values = [c for c in frame if c != "week"]
        frame.loc[[one, other], values] = frame.loc[[other, one], values].to_numpy()
        return frame

    return change


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        about = tarfile.TarInfo("feed.csv")
        about.size = len(data)
        archive.addfile(about, io.BytesIO(data))
    return out.getvalue()


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("feed.csv", data)
    return out.getvalue()


HTML = b"<!DOCTYPE html>\n<html><body><h1>502 Bad Gateway</h1></body></html>\n"
JSON = json.dumps({"error": "token expired", "code": 401}).encode()

FILES = {
    "empty file": (lambda _: b"", "unreadable_file"),
    "only a byte order mark": (lambda _: b"\xef\xbb\xbf", "unreadable_file"),
    "only line ends": (lambda _: b"\r\n\r\n", "unreadable_file"),
    "only a header": (lambda frame: csv_bytes(frame.head(0)), "no_rows"),
    "gzip under a csv name": (as_file(gzip.compress), "unreadable_file"),
    "zip under a csv name": (as_file(zipped), "unreadable_file"),
    "decompression bomb": (lambda _: gzip.compress(b"\0" * 50_000_000), "unreadable_file"),
    "old excel workbook": (lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "unreadable_file"),
    "pdf": (lambda _: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "unreadable_file"),
    "parquet under a csv name": (lambda frame: parquet_bytes(frame), "unreadable_file"),
    "html error page": (lambda _: HTML, "unreadable_file"),
    "json error": (lambda _: JSON, "unreadable_file"),
    "json lines": (lambda frame: frame.to_json(orient="records", lines=True).encode(), "unreadable_file"),
    "login text": (lambda _: b"Please log in to continue\n", "missing_column"),
    "random bytes": (lambda _: np.random.default_rng(1).bytes(4000), "unreadable_file"),
    "NUL bytes at the end": (as_file(lambda data: data + bytes(64)), "unreadable_file"),
    "NUL inside a number": (as_file(lambda data: data[:-6] + b"\0" + data[-6:]), "unreadable_file"),
    "UTF-32": (as_file(lambda data: data.decode().encode("utf-32")), "unreadable_file"),
    "EBCDIC": (as_file(lambda data: data.decode().encode("cp500")), "unreadable_file"),
    "base64": (as_file(base64.encodebytes), "missing_column"),
    "bzip2": (as_file(bz2.compress), "unreadable_file"),
    "tar": (as_file(tarred), "unreadable_file"),
    "SQL dump": (as_file(lambda data: b"INSERT INTO feed VALUES (" + data.replace(b"\n", b"),\n(")), "unreadable_file"),
    "pointer to a large file": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\nsize 12345\n",
        "missing_column",
    ),
    "merge conflict": (as_file(lambda data: data.replace(b"\n", b"\n<<<<<<< HEAD\n", 1)), "unreadable_file"),
    "warning above the header": (as_file(lambda data: b"Warning: the cache is stale\n" + data), "unreadable_file"),
    "headers of a download": (as_file(lambda data: b"HTTP/1.1 200 OK\r\n\r\n" + data), "unreadable_file"),
    "count of rows at the end": (as_file(lambda data: data + b"\n(60 rows affected)\n"), "unreadable_file"),
    "end of file mark of DOS": (as_file(lambda data: data + b"\x1a"), "unreadable_file"),
    "two tables in one file": (as_file(lambda data: data + b"geo,target\nnorth,3\n"), "unreadable_file"),
    "a whole row as one quoted field": (
        as_file(lambda data: b"".join(b'"%s"\n' % line for line in data.splitlines())),
        "missing_column",
    ),
    "bytes missing in the middle": (as_file(lambda data: data[:1000] + data[1200:]), "unreadable_file"),
    "a header of 20 MB": (as_file(lambda data: b"a" * 20_000_000 + b"," + data), "unreadable_file"),
    "20 MB of line ends in quotes": (as_file(lambda data: data + b'"' + b"\n" * 20_000_000 + b'"'), "unreadable_file"),
    "UTF-16": (as_file(lambda data: data.decode().encode("utf-16")), "unreadable_file"),
    "UTF-16 without a mark": (as_file(lambda data: data.decode().encode("utf-16-le")), "unreadable_file"),
    "latin-1": (
        lambda frame: csv_bytes(frame.assign(note="Ärger")).decode().encode("latin-1"),
        "unreadable_file",
    ),
    "windows-1252 euro sign": (
        as_file(lambda data: data.replace(b"2025-02-17,", b"2025-02-17,\x80", 1)),
        "unreadable_file",
    ),
    "cut inside a row": (as_file(lambda data: data[:-25]), "unreadable_file"),
    "cut in the middle": (as_file(lambda data: data[: len(data) // 2 + 7]), "unreadable_file"),
    "a field too many in a row": (
        as_file(lambda data: data.replace(b"\n2025-02-10,", b"\n2025-02-10,,", 1)),
        "unreadable_file",
    ),
    "a comma inside a number": (
        as_file(lambda data: data.replace(b"\n2025-02-17,", b"\n2025-02-17,1,", 1)),
        "unreadable_file",
    ),
    "index column without a name": (as_file(lambda data: data.replace(b"\n", b"\n7,")[:-2]), "unreadable_file"),
    "quote that never closes": (
        as_file(lambda data: data.replace(b"\n2025-02-10,", b'\n2025-02-10,"', 1)),
        "unreadable_file",
    ),
    "text behind a quote": (
        as_file(lambda data: data.replace(b"\n2025-02-10,", b'\n2025-02-10,"1"2', 1)),
        "unreadable_file",
    ),
    "semicolons": (as_file(lambda data: data.replace(b",", b";")), "missing_column"),
    "tabs": (as_file(lambda data: data.replace(b",", b"\t")), "missing_column"),
    "semicolons and decimal commas": (
        as_file(lambda data: data.replace(b",", b";").replace(b".", b",")),
        "unreadable_file",
    ),
    "separator line of excel": (as_file(lambda data: b"sep=,\n" + data), "unreadable_file"),
    "title above the header": (as_file(lambda data: b"Weekly report\n\n" + data), "unreadable_file"),
    "no header row": (as_file(lambda data: data.split(b"\n", 1)[1]), "missing_column"),
    "a field of 20 MB": (one_cell_of_20_mb, "unreadable_file"),
    "100000 columns": (lambda _: ",".join(f"c{i}" for i in range(100_000)).encode() + b"\n", "unreadable_file"),
}
COLUMNS = {
    "missing spend": (dropped("tv_spend"), "missing_column", "tv_spend"),
    "missing target": (dropped("sales"), "missing_column", "sales"),
    "missing date": (dropped("week"), "missing_column", "week"),
    "renamed column": (renamed(tv_spend="television"), "missing_column", "tv_spend"),
    "header in capitals": (lambda f: f.rename(columns=str.upper), "missing_column", "sales"),
    "header with a blank inside": (renamed(tv_spend="tv spend"), "missing_column", "tv_spend"),
    "header with a right-to-left mark": (renamed(sales="\u200fsales"), "missing_column", "sales"),
    "header with a zero-width space": (renamed(sales="sa\u200bles"), "missing_column", "sales"),
    "duplicated column": (lambda f: pd.concat([f, f["sales"]], axis=1), "duplicate_column", "sales"),
    "swapped spends": (swapped("tv_spend", "search_spend"), "swapped_columns"),
    "swapped spends in the last weeks": (swapped("tv_spend", "search_spend", LAST - 5), "swapped_columns"),
    "swapped spends in the last week": (swapped("tv_spend", "search_spend", LAST), "swapped_columns"),
    "swapped target and spend": (swapped("sales", "tv_spend"), "swapped_columns"),
    "swapped target and spend in the last week": (swapped("sales", "tv_spend", LAST), "swapped_columns"),
    "spend in the place of clicks": (swapped("search_spend", "search_clicks"), "swapped_columns"),
    "header one to the left": (
        lambda f: f.set_axis([*f.columns[1:], f.columns[0]], axis=1),
        "unreadable_date",
    ),
    "values one to the right": (
        lambda f: f.set_axis(["week", "note", *f.columns[1:-1]], axis=1).assign(promo="0"),
        "rewritten_history",
    ),
    "e-mail addresses": (with_column("contact", lambda i: f"jane{i}@example.com"), "personal_data", "contact"),
    "one e-mail address in a note": (
        with_column("note", lambda i: "ask bob@example.org" if i == 9 else ""),
        "personal_data",
    ),
    "phone numbers": (with_column("tel", lambda i: f"+44 7700 900{i:03d}"), "personal_data"),
    "bare phone numbers": (with_column("mobile", lambda i: f"447700900{i:03d}"), "personal_data"),
    "IP addresses": (with_column("visitor", lambda i: f"192.168.7.{i}"), "personal_data"),
    "names of people": (with_column("customer_name", lambda i: "Jane Doe"), "personal_data"),
    "names of contacts": (
        with_column("contact", lambda i: ("Jane Doe", "John M. Smith", "Ada Lovelace")[i % 3]),
        "personal_data",
    ),
    "customer ids": (with_column("customer_id", str), "personal_data"),
    "birth dates": (with_column("date_of_birth", lambda i: "1980-01-01"), "personal_data"),
    "bank accounts": (with_column("payee", lambda i: "GB29NWBK60161331926819"), "personal_data"),
    "social security numbers": (with_column("ref", lambda i: f"{100 + i}-45-{6000 + i}"), "personal_data", "ref"),
    "numbers of insured people": (with_column("ref", lambda i: f"AB{100000 + i}C"), "personal_data", "ref"),
    "payment cards": (with_column("paid_by", lambda i: f"4111 1111 1111 {1000 + i}"), "personal_data", "paid_by"),
    "payment cards without blanks": (with_column("pan", lambda i: CARDS[i % 3]), "personal_data", "pan"),
    "device addresses": (with_column("src", lambda i: f"00:1A:2B:3C:4D:{i:02X}"), "personal_data", "src"),
    "hashed e-mail addresses": (with_column("email_sha256", lambda i: f"{i:064x}"), "personal_data"),
    "e-mail addresses in links": (
        with_column("page", lambda i: f"https://x.example/?m=a{i}%40b.example"),
        "personal_data",
    ),
    "ids of visitors": (with_column("client", lambda i: f"GA1.2.{i}.1600000000"), "personal_data", "client"),
    "last names first": (
        with_column("customer", lambda i: ("Doe, Jane", "Smith, John", "Lovelace, Ada")[i % 3]),
        "personal_data",
    ),
    "a transposed table": (lambda f: f.T.to_csv(header=False).encode(), "missing_column"),
    "a long table": (lambda f: f.melt(id_vars=["week"]), "missing_column"),
    "a row of units": (with_rows(["YYYY-MM-DD", "GBP", "GBP", "GBP", "count", "GBP", "flag"], at=0), "unreadable_date"),
    "a look-alike letter in the header": (renamed(sales="s\u0430les"), "missing_column", "sales"),
    "two currencies": (with_column("currency", lambda i: "EUR" if i > 55 else "GBP"), "mixed_currency"),
}
DATES = {
    "missing week": (lambda f: f.drop(index=40), "missing_week", "2024-09-23"),
    "several missing weeks": (lambda f: f.drop(index=[20, 21, 40]), "missing_week"),
    "missing as_of before a planned week": (
        lambda f: with_rows(["2025-02-24"])(f.drop(index=LAST)),
        "missing_week",
        "2025-02-17",
    ),
    "duplicated last week": (lambda f: pd.concat([f, f.tail(1)]), "duplicate_row"),
    "whole history twice": (lambda f: pd.concat([f, f]), "duplicate_row"),
    "duplicated week with other values": (
        lambda f: pd.concat([f, cell("sales", "990.00")(f.copy()).tail(1)]),
        "duplicate_row",
    ),
    "half of the history gone": (lambda f: f.iloc[30:], "lost_history"),
    "last half of the history gone": (lambda f: f.iloc[:30], "missing_week"),
    "dates by end of week": (days_moved(6), "off_weekday"),
    "last week by its end": (days_moved(6, LAST), "off_weekday"),
    "dates a day late": (days_moved(1), "off_weekday"),
    "values a week late": (days_moved(7), "rewritten_history"),
    "mixed day and month": (mixed_day_and_month, "unreadable_date"),
    "last date in another format": (dates_as("%d/%m/%Y", LAST), "unreadable_date", "row 61"),
    "dates with a time": (all_written("week", lambda d: f"{d} 13:45"), "unreadable_date"),
    "week numbers": (dates_as("%G-W%V"), "unreadable_date"),
    "spreadsheet day numbers": (
        lambda f: f.assign(week=[str(45292 + 7 * i) for i in range(len(f))]),
        "unreadable_date",
    ),
    "years of two digits": (dates_as("%d/%m/%y"), "unreadable_date"),
    "fullwidth digits in a date": (
        written("week", lambda d: d.translate({48 + i: 0xFF10 + i for i in range(10)})),
        "unreadable_date",
    ),
    "all dates a week early": (days_moved(-7), "rewritten_history"),
    "the day before in UTC": (
        lambda f: f.assign(week=[f"{d:%Y-%m-%d}T23:00:00Z" for d in pd.to_datetime(f["week"]) - pd.Timedelta(days=1)]),
        "unreadable_date",
    ),
    "months by name in another language": (cell("week", "17. Mai 2025"), "unreadable_date"),
    "seconds since 1970": (
        lambda f: f.assign(week=[str(int(d.timestamp())) for d in pd.to_datetime(f["week"])]),
        "unreadable_date",
    ),
    "spans of days": (all_written("week", lambda d: f"{d} - {d}"), "unreadable_date"),
    "a year of another calendar": (all_written("week", lambda d: f"{int(d[:4]) + 543}{d[4:]}"), "unreadable_date"),
    "day and month exchanged in the last date": (cell("week", "2025-17-02"), "unreadable_date"),
    "a past week told as its neighbour": (cell("week", "2024-09-16", 40), "missing_week", "2024-09-23"),
    "a day that is not": (cell("week", "2025-02-30"), "unreadable_date"),
    "a blank date": (cell("week", ""), "unreadable_date"),
    "a year of 1900": (cell("week", "1900-01-01", 30), "unreadable_date"),
    "a year too early": (cell("week", "2024-02-19"), "duplicate_row"),
    "a target of the future": (with_rows([TODAY_PLUS, "1000", "1", "1", "1", "9", "0"]), "future_target"),
    "totals row": (with_rows(["Total", "60000", "6000", "3000", "9000", "", ""]), "unreadable_date"),
    "totals row with a blank date": (with_rows(["", "60000", "6000", "3000", "9000", "9", "0"]), "unreadable_date"),
    "header repeated in the middle": (
        lambda f: with_rows(list(f.columns), at=30)(f),
        "unreadable_date",
    ),
    "footnote": (with_rows(["* preliminary"]), "unreadable_date"),
}
CELLS = {
    "thousands separator": (cell("sales", "1,034.50"), "not_a_number", "row 61"),
    "decimal comma": (written("sales", lambda v: v.replace(".", ",")), "not_a_number"),
    "point for thousands": (written("sales", lambda v: f"{float(v) / 1000:.3f}"), "target_slip"),
    "blank for thousands": (written("sales", lambda v: f"1 {v[-6:]}"), "not_a_number"),
    "currency sign": (written("tv_spend", lambda v: f"£{v}"), "not_a_number"),
    "currency code": (written("tv_spend", lambda v: f"{v} EUR"), "not_a_number"),
    "percent": (cell("price", "9%"), "not_a_number"),
    "spreadsheet error": (cell("tv_spend", "#REF!"), "not_a_number"),
    "spreadsheet division by zero": (cell("price", "#DIV/0!"), "not_a_number"),
    "column too narrow": (cell("sales", "########"), "not_a_number"),
    "n/a": (cell("search_spend", "n/a"), "not_a_number"),
    "null": (cell("search_clicks", "NULL"), "not_a_number"),
    "a dash": (cell("search_spend", "-"), "not_a_number"),
    "leading apostrophe": (written("sales", lambda v: f"'{v}"), "not_a_number"),
    "minus sign of typography": (written("tv_spend", lambda v: f"\u2212{v}"), "not_a_number"),
    "amount in brackets": (written("tv_spend", lambda v: f"({v})"), "not_a_number"),
    "minus behind": (written("tv_spend", lambda v: f"{v}-"), "not_a_number"),
    "right-to-left mark": (written("sales", lambda v: f"\u200f{v}"), "not_a_number"),
    "fullwidth digits": (cell("sales", "１０３４"), "not_a_number"),
    "arabic digits": (cell("sales", "١٠٣٤"), "not_a_number"),
    "boolean text": (cell("promo", "TRUE"), "not_a_number"),
    "yes": (cell("promo", "yes"), "not_a_number"),
    "underscore": (cell("sales", "1_034"), "not_a_number"),
    "hexadecimal": (cell("sales", "0x40A"), "not_a_number"),
    "formula": (cell("sales", "=SUM(C2:C60)"), "not_a_number"),
    "script": (cell("tv_spend", "<script>alert(1)</script>"), "not_a_number"),
    "a number taken for a date": (cell("search_spend", "Jan-52"), "not_a_number"),
    "Swiss thousands": (cell("sales", "1'034.50"), "not_a_number"),
    "a thin blank for thousands": (cell("sales", "1\u202f034.50"), "not_a_number"),
    "an O for a zero": (cell("sales", "1O34.50"), "not_a_number"),
    "an estimate": (written("tv_spend", lambda v: f"{v} (est.)"), "not_a_number"),
    "about": (written("tv_spend", lambda v: f"~{v}"), "not_a_number"),
    "two points": (written("sales", lambda v: f"{v}.0"), "not_a_number"),
    "a fraction": (cell("price", "19/2"), "not_a_number"),
    "a number of 100000 digits": (cell("sales", "1" * 100_000), "not_finite"),
    "a mark for unknown": (cell("sales", "-999"), "below_minimum"),
    "a mark for unknown in a control": (cell("price", "-999"), "input_slip"),
    "an event in another coding": (cell("promo", "2"), "input_slip"),
    "rounded by a program": (cell("sales", "1.0e+03"), "rounded_by_spreadsheet"),
    "spreadsheet's short form": (cell("sales", "1.03E+03"), "rounded_by_spreadsheet"),
    "k for thousands": (cell("sales", "1.03k"), "not_a_number"),
    "NaN": (cell("sales", "NaN"), "not_finite"),
    "infinity": (cell("tv_spend", "inf"), "not_finite"),
    "overflow": (cell("sales", "1e999"), "not_finite"),
    "nearly an overflow": (cell("tv_spend", "1e308"), "spend_slip"),
    "nearly an overflow in the target": (cell("sales", "1.7e308"), "target_slip"),
    "nearly an overflow in a control": (cell("price", "1e308"), "input_slip"),
    "nearly an overflow in the past": (cell("sales", "1e308", 30), "target_slip"),
    "nearly an overflow in past spend": (cell("tv_spend", "1e308", 30), "spend_slip"),
    "nearly an overflow in a past control": (cell("price", "1e308", 40), "input_slip"),
    "blank target": (cell("sales", ""), "missing_target"),
    "blank target in the past": (cell("sales", "", 20), "missing_target"),
    "blank control": (cell("price", " "), "missing_value"),
    "blank event": (cell("promo", ""), "missing_value"),
    "blank spend": (cell("tv_spend", ""), "sudden_zero"),
    "negative spend": (written("tv_spend", lambda v: f"-{v}"), "negative"),
    "negative clicks": (cell("search_clicks", "-4"), "negative"),
    "negative target": (written("sales", lambda v: f"-{v}"), "below_minimum"),
    "negative price": (written("price", lambda v: f"-{v}"), "input_slip"),
}
DEGREE = {
    "spend in pence": (scaled("tv_spend", 100, LAST), "spend_slip", "row 61"),
    "a digit too many in the spend": (scaled("tv_spend", 10, LAST), "spend_slip", "row 61"),
    "spend in thousandths": (scaled("tv_spend", 1000, LAST), "spend_slip"),
    "spend in pounds": (scaled("tv_spend", 0.01, LAST), "spend_slip"),
    "spend in pence from some week on": (scaled("tv_spend", 100, LAST - 6), "spend_slip"),
    "all spend in pence": (scaled("tv_spend", 100), "rewritten_history", "tv_spend"),
    "all spend in thousands": (scaled("search_spend", 0.001), "rewritten_history"),
    "clicks in thousands": (scaled("search_clicks", 0.001, LAST), "spend_slip"),
    "target in pence": (scaled("sales", 100, LAST), "target_slip"),
    "target in pounds": (scaled("sales", 0.01, LAST), "target_slip"),
    "target in thousands": (scaled("sales", 0.001, LAST), "target_slip"),
    "all targets in pence": (scaled("sales", 100), "rewritten_history", "sales"),
    "half of the targets in another currency": (scaled("sales", 1.17, 2, 31), "rewritten_history"),
    "one target in yen": (scaled("sales", 190, LAST), "target_slip"),
    "price in pence": (scaled("price", 100, LAST), "input_slip", "price"),
    "price in pounds": (scaled("price", 0.01, LAST), "input_slip"),
    "event as percent": (cell("promo", "100"), "input_slip"),
    "spend that is suddenly zero": (cell("tv_spend", "0"), "sudden_zero", "tv_spend"),
    "target that is suddenly zero": (cell("sales", "0"), "sudden_zero", "sales"),
    "price that is suddenly zero": (cell("price", "0"), "input_slip"),
    "all of a channel zero": (lambda f: f.assign(tv_spend="0"), "rewritten_history"),
    "all of a channel blank": (lambda f: f.assign(tv_spend=""), "rewritten_history"),
    "all targets zero": (lambda f: f.assign(sales="0"), "zero_target_share"),
    "all targets alike": (lambda f: f.assign(sales="1000"), "rewritten_history"),
    "rewritten targets": (scattered("sales", 0.5), "rewritten_history"),
    "rewritten spend": (scattered("tv_spend", 0.5), "rewritten_history"),
    "rewritten prices": (scattered("price", 0.6), "rewritten_history"),
    "history in reverse": (lambda f: f.assign(sales=f["sales"].to_numpy()[::-1]), "rewritten_history"),
    "rows in another order than their dates": (
        lambda f: f.assign(week=f["week"].sample(frac=1, random_state=3).to_numpy()),
        "rewritten_history",
    ),
    "last week repeats the one before": (repeated_last(), "stale_week"),
    "last three weeks repeat": (repeated_last(weeks=3), "stale_week"),
    "all spend a tenth": (
        lambda f: reduce(lambda g, name: scaled(name, 0.1, LAST)(g), AMOUNTS[1:], f),
        "short_media",
    ),
    "last week is told by two days": (
        lambda f: reduce(lambda g, name: scaled(name, 2 / 7, LAST)(g), AMOUNTS, f),
        "short_week",
    ),
    "one spend copied over another in the last week": (
        lambda f: f.assign(tv_spend=[*f["tv_spend"][:-1], f["search_spend"].iloc[-1]]),
        "copied_column",
        "tv_spend",
    ),
    "ten weeks of a spend moved by one": (
        lambda f: f.assign(tv_spend=[*f["tv_spend"][:50], *f["tv_spend"][49:59]]),
        "misplaced_week",
        "tv_spend",
    ),
    "five past weeks of a spend in pence": (scaled("tv_spend", 100, 30, 34), "rewritten_history", "tv_spend"),
    "ten past weeks of a target zero": (scaled("sales", 0, 10, 19), "rewritten_history", "sales"),
    "last week is the one of a year ago": (as_another_week(other=LAST - 52), "stale_week"),
    "media of the last week are those of the week before": (
        as_another_week("tv_spend", "search_spend", "search_clicks", other=LAST - 1),
        "stale_media",
    ),
    "two past weeks exchanged": (exchanged_weeks(20, 31), "misplaced_week"),
    "a past week is a copy of another": (as_another_week(row=20, other=31), "misplaced_week"),
    "frozen target": (repeated_last("sales", weeks=3), "frozen", "sales"),
    "frozen spend": (repeated_last("tv_spend", weeks=4), "frozen", "tv_spend"),
}


def table(*parts: dict) -> dict[str, Corruption]:
    return {name: Corruption(*told) for part in parts for name, told in part.items()}


PANEL = table(
    {
        "one geo gone": (lambda f: f[f["geo"] != "south"], "lost_geo", ""),
        "one geo without the last week": (lambda f: f.drop(index=f.index[-1]), "missing_geo_week"),
        "a renamed geo": (lambda f: f.assign(geo=f["geo"].replace("south", "South")), "new_geo"),
        "a geo renamed in the last week": (cell("geo", "South", 121), "missing_geo_week"),
        "a new geo": (
            lambda f: pd.concat([f, f[f["geo"] == "south"].assign(geo="east")]),
            "new_geo",
        ),
        "a totals geo": (
            lambda f: pd.concat([f, f[f["geo"] == "south"].assign(geo="Total")]),
            "new_geo",
        ),
        "a blank geo": (cell("geo", "", 121), "missing_geo"),
        "the same geo twice": (lambda f: f.assign(geo="north"), "duplicate_row"),
        "a right-to-left mark in a geo": (cell("geo", "south\u200f", 121), "missing_geo_week"),
        "no geo column": (dropped("geo"), "missing_column", "geo"),
        "geos swapped": (
            lambda f: f.assign(geo=f["geo"].map({"north": "south", "south": "north"})),
            "rewritten_history",
        ),
        "a geo's last week is another one's": (
            lambda f: pd.concat([f.iloc[:-1], f.iloc[[-2]].assign(geo="south")], ignore_index=True),
            "copied_geo",
        ),
        "a geo with a name of 100000 letters": (cell("geo", "s" * 100_000, 121), "missing_geo_week"),
        "one geo in pence": (
            lambda f: f.assign(sales=text(numbers(f["sales"]) * np.where(f["geo"] == "south", 100, 1))),
            "rewritten_history",
        ),
        "the last week of one geo in pence": (scaled("sales", 100, 121, 121), "target_slip", "south"),
        "two currencies in one geo": (
            lambda f: f.assign(currency=["EUR" if row == 121 else "GBP" for row in f.index]),
            "mixed_currency",
        ),
        "a geo for every row": (lambda f: f.assign(geo=[f"g{i}" for i in range(len(f))]), "missing_geo_week"),
    }
)

DAILY = table(
    {
        "a missing day": (lambda f: f.drop(index=f.index[-10]), "missing_days"),
        "a day twice": (lambda f: pd.concat([f, f.tail(1)]), "duplicate_row"),
        "a day with text": (lambda f: cell("sales", "closed", f.index[-3])(f), "not_a_number"),
        "a day of pence": (lambda f: cell("sales", "99999", f.index[-3])(f), "target_slip"),
        "days in another format": (lambda f: dates_as("%d.%m.%Y", f.index[-7])(f), "unreadable_date"),
        "a day without a target": (lambda f: cell("sales", "", f.index[-2])(f), "missing_target"),
        "weekly rows in a daily feed": (lambda f: f.iloc[6::7], "missing_days"),
        "a negative day": (lambda f: cell("tv_spend", "-2", f.index[-2])(f), "negative"),
    }
)


def parquet_bytes(frame: pd.DataFrame, **columns) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {name: pa.array(frame[name].tolist()) for name in frame} | columns
    out = io.BytesIO()
    pq.write_table(pa.table(arrays), out)
    return out.getvalue()


def parquet_bomb(value, rows: int = 3_000_000) -> bytes:
    """Write one value millions of times, run-length encoded: kilobytes in the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    with pq.ParquetWriter(out, pa.schema([("week", pa.array([value]).type)]), compression="zstd") as writer:
        for _ in range(3):
            column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows // 3, np.int32)), pa.array([value]))
            writer.write_table(pa.table({"week": column.cast(pa.array([value]).type)}))
    return out.getvalue()


def long_text_bomb() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 100_000]))
    out = io.BytesIO()
    pq.write_table(pa.table({"week": column}), out)
    return out.getvalue()


PARQUET = table(
    {
        "csv under a parquet name": (csv_bytes, "unreadable_file"),
        "cut parquet": (lambda f: parquet_bytes(f)[:-40], "unreadable_file"),
        "parquet with a broken middle": (
            lambda f: parquet_bytes(f)[:60] + bytes(400) + parquet_bytes(f)[460:],
            "unreadable_file",
        ),
        "nested target": (lambda f: parquet_bytes(f, sales=[[float(v)] for v in f["sales"]]), "not_a_number", "sales"),
        "structs for spend": (lambda f: parquet_bytes(f, tv_spend=[{"amount": 1.0}] * len(f)), "not_a_number"),
        "bytes for spend": (lambda f: parquet_bytes(f, tv_spend=[b"\xff\x00"] * len(f)), "not_a_number"),
        "null target": (lambda f: parquet_bytes(f, sales=[None] * len(f)), "missing_target"),
        "NaN in a control": (lambda f: parquet_bytes(f, price=[float("nan")] * len(f)), "missing_value"),
        "infinite spend": (lambda f: parquet_bytes(f, tv_spend=[float("inf")] * len(f)), "not_finite"),
        "week as a number": (lambda f: parquet_bytes(f, week=list(range(len(f)))), "unreadable_date"),
        "week of the year 9999 in microseconds": (
            lambda f: parquet_bytes(f, week=np.full(len(f), 253402214400000000, "datetime64[us]")),
            "unreadable_date",
        ),
        "week beyond any calendar": (
            lambda f: parquet_bytes(f, week=np.full(len(f), 9_000_000_000_000_000, "datetime64[s]")),
            "unreadable_file",
        ),
        "boolean spend": (lambda f: parquet_bytes(f, tv_spend=[True] * len(f)), "rewritten_history"),
        "bomb of zeros": (lambda _: parquet_bomb(0, 30_000_000), "unreadable_file"),
        "bomb of text": (lambda _: long_text_bomb(), "unreadable_file"),
        "a field of 20 MB in parquet": (
            lambda f: parquet_bytes(f, promo=["x" * 20_000_000] + ["0"] * 59),
            "unreadable_file",
        ),
    }
)
WEEKLY = table(FILES, COLUMNS, DATES, CELLS, DEGREE)
