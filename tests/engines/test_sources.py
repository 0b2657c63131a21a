import io
import os
from datetime import date

import fsspec
import pandas as pd
import pytest
from deliveries import csv_bytes, weekly_text

from evermix.engines.sources import fetch, keep_rows, panel_bytes, read_panel, read_table
from evermix.errors import ConfigError, DataError, ServiceError


def write(path, data):
    path.write_bytes(data)
    return str(path)


def parquet(frame):
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def test_single_file_is_kept_as_delivered(tmp_path):
    data = b'\xef\xbb\xbf"week",x\r\n'
    got = fetch(write(tmp_path / "feed.csv", data), "csv")
    assert (got.data, got.rows, got.files) == (data, 0, ("feed.csv",))


def test_byte_order_mark_and_quotes_are_no_part_of_a_name():
    table = read_table(b'\xef\xbb\xbf"week","a,b"\r\n2024-01-01,"1\n2"\r\n', "csv")
    assert list(table.frame) == ["week", "a,b"]
    assert table.frame.loc[2].tolist() == ["2024-01-01", "1\n2"]


def test_two_byte_order_marks_and_rows_of_commas_alone_tell_nothing_and_shift_no_number():
    data = b"\xef\xbb\xbf\xef\xbb\xbfweek,x\n2024-01-01,1\n,\n2024-01-08,2\n , \n,,,\n"
    table = read_table(data, "csv")
    assert table.frame["week"].to_dict() == {2: "2024-01-01", 4: "2024-01-08"}
    assert keep_rows(data, "csv", table, table.frame["x"] == "2").count(b"2024") == 1


def test_files_of_a_glob_are_joined_by_column_name_in_the_order_of_their_names(tmp_path):
    write(tmp_path / "b.csv", b"y,week,new\n2,2024-01-08,5\n")
    write(tmp_path / "a.csv", b"week,y\n2024-01-01,1\n")
    got = fetch(str(tmp_path / "*.csv"), "csv")
    assert got.data == b"week,y,new\n2024-01-01,1,\n2024-01-08,2,5\n"
    assert (got.rows, got.files) == (2, ("a.csv", "b.csv"))


def test_fsspec_url_is_read():
    with fsspec.open("memory://bucket/feed.csv", "wb") as file:
        file.write(b"week,y\n2024-01-01,1\n")
    assert fetch("memory://bucket/feed.csv", "csv").rows == 1


@pytest.mark.parametrize("path", ["nowhere.csv", "nowhere-*.csv", "memory://bucket/nowhere.csv"])
def test_missing_file_is_a_service_error_that_says_where(tmp_path, path):
    where = path if "://" in path else str(tmp_path / path)
    with pytest.raises(ServiceError, match="nowhere"):
        fetch(where, "csv")


def test_place_that_does_not_answer_is_a_service_error_without_its_password():
    with pytest.raises(ServiceError, match="did not answer") as caught:
        fetch("http://user:secret@127.0.0.1:9/feed.csv", "csv")
    assert "secret" not in str(caught.value)


def test_unknown_protocol_and_folder_are_config_errors(tmp_path):
    with pytest.raises(ConfigError, match="nosuch"):
        fetch("nosuch://feed.csv", "csv")
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="is a folder or a pipe"):
            fetch(str(place), "csv")


def test_unreadable_file_of_a_glob_is_handed_on_as_it_came(tmp_path):
    write(tmp_path / "a.csv", b"week,y\n2024-01-01,1\n")
    write(tmp_path / "b.csv", b"week,y\n2024-01-08\n")
    got = fetch(str(tmp_path / "*.csv"), "csv")
    assert (got.data, got.rows, got.files) == (b"week,y\n2024-01-08\n", None, ("b.csv",))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"week,y\n2024-01-01,1\n2024-01-08\n", "line 3 has 1"),
        (b"week,y\n2024-01-01,caf\xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        (b"week,y\n2024-01-01,1\0\n", "line 2: holds a NUL byte"),
        (b'week,y\n2024-01-01,"1\n', "is not CSV"),
        (b"week,y\n2024-01-01," + b"9" * 200_000 + b"\n", "is not CSV"),
        (b"PK\x03\x04rest", "zip archive or Excel"),
        (b"PAR1rest", "Parquet"),
    ],
)
def test_file_that_is_no_csv_is_a_data_error_that_says_why(data, words):
    with pytest.raises(DataError, match=words):
        read_table(data, "csv")


def test_file_that_is_no_parquet_is_a_data_error():
    with pytest.raises(DataError, match="not Parquet"):
        read_table(b"week,y\n", "parquet")


def test_cut_rows_leave_every_other_byte_alone():
    data = b'week,y\r\n2024-01-01, 1\r\n\r\n2024-01-08,"2\n3"\r\n2024-01-15,4'
    table = read_table(data, "csv")
    keep = pd.Series([True, False, True], index=table.frame.index)
    assert keep_rows(data, "csv", table, keep) == b"week,y\r\n2024-01-01, 1\r\n\r\n2024-01-15,4"
    assert keep_rows(data, "csv", table, keep | True) == data


def test_parquet_cells_read_as_the_text_a_csv_would_hold():
    frame = pd.DataFrame({"week": [pd.Timestamp("2024-01-01")], "y": [0.1], "n": [None], "flag": [True], "s": ["a"]})
    cells = read_table(parquet(frame), "parquet").frame.loc[2].tolist()
    assert cells == ["2024-01-01T00:00:00", "0.1", "", "1", "a"]


def test_parquet_date_objects_read_as_dates_and_rows_can_be_cut():
    data = parquet(pd.DataFrame({"week": [date(2024, 1, 1), date(2024, 1, 8)]}))
    table = read_table(data, "parquet")
    assert table.frame["week"].tolist() == ["2024-01-01", "2024-01-08"]
    cut = keep_rows(data, "parquet", table, pd.Series([True, False], index=table.frame.index))
    assert len(read_table(cut, "parquet").frame) == 1


def test_parquet_files_of_a_glob_are_joined(tmp_path):
    write(tmp_path / "a.parquet", parquet(pd.DataFrame({"week": ["2024-01-01"], "y": [1]})))
    write(tmp_path / "b.parquet", parquet(pd.DataFrame({"week": ["2024-01-08"], "y": [2.5]})))
    got = fetch(str(tmp_path / "*.parquet"), "parquet")
    assert read_table(got.data, "parquet").frame["y"].tolist() == ["1", "2.5"]


def test_panel_survives_parquet_with_its_types_and_gives_the_same_bytes(tmp_path):
    weeks = pd.Series(pd.to_datetime(["2024-01-01"])).astype("datetime64[s]")
    panel = pd.DataFrame({"week": weeks, "geo": pd.Series(["all"], dtype="str"), "target": [1.5]})
    path = tmp_path / "panel.parquet"
    path.write_bytes(panel_bytes(panel))
    pd.testing.assert_frame_equal(read_panel(path), panel)
    assert panel_bytes(read_panel(path)) == path.read_bytes()
    assert read_panel(tmp_path / "none.parquet") is None


def test_repeated_name_in_one_file_of_a_glob_is_handed_on_alone(tmp_path):
    write(tmp_path / "a.csv", csv_bytes(weekly_text(2)))
    write(tmp_path / "b.csv", b"week,y,y\n2024-01-08,1,2\n")
    assert fetch(str(tmp_path / "*.csv"), "csv").files == ("b.csv",)


def test_a_file_with_semicolons_and_decimal_commas_is_told_how_to_be_exported():
    with pytest.raises(DataError, match="commas between columns and points in numbers"):
        read_table(b"week;y\n2024-01-01;1,5\n", "csv")
