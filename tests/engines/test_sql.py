import io
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import psycopg2
import pytest
from servers import PASSWORD, postgres

from evermix.engines.sources import fetch, read_table
from evermix.engines.sources.sql import query_csv
from evermix.errors import ConfigError, ServiceError

QUERY = "select week, geo, sales from feed"


@pytest.fixture
def database(tmp_path):
    def make(*rows):
        with sqlite3.connect(tmp_path / "shop.db") as connection:
            connection.execute("create table if not exists feed (week, geo, sales)")
            connection.execute("delete from feed")
            connection.executemany("insert into feed values (?, ?, ?)", rows)
        connection.close()
        return f"sqlite:///{tmp_path}/shop.db"

    return make


@pytest.fixture(scope="module")
def server():
    with postgres() as port:
        yield port


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setenv("EVERMIX_DB_PASSWORD", PASSWORD)
    return f"postgresql+psycopg2://evermix:${{EVERMIX_DB_PASSWORD}}@127.0.0.1:{server}/evermix"


def run_on(server, *statements):
    with psycopg2.connect(
        host="127.0.0.1", port=server, user="evermix", dbname="evermix", password=PASSWORD
    ) as connection:
        for statement in statements:
            connection.cursor().execute(statement)
    connection.close()


def test_rows_come_by_date_then_geo_whatever_their_order_in_the_database(database):
    rows = [("2024-01-08", "n", 3), ("2024-01-01", "s", 2.5), ("2024-01-01", "n", None)]
    first = fetch(database(*rows), "sql", QUERY, ("week", "geo"))
    assert first.data == b"week,geo,sales\n2024-01-01,n,\n2024-01-01,s,2.5\n2024-01-08,n,3\n"
    assert (first.format, first.rows) == ("csv", 3)
    assert fetch(database(*reversed(rows)), "sql", QUERY, ("week", "geo")).data == first.data


def test_a_sort_column_that_the_answer_lacks_is_left_to_the_contract(database):
    assert fetch(database(("b", "x", 1), ("a", "y", 2)), "sql", QUERY, ("day",)).data.endswith(b"a,y,2\nb,x,1\n")


def test_a_query_is_sent_as_written(database):
    got = fetch(database(("2024-01-01", "a%b:c", 0.1)), "sql", "select * from feed where geo like '%b:c';")
    assert read_table(got.data, "csv").frame.loc[2].tolist() == ["2024-01-01", "a%b:c", "0.1"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select * from nowhere", "no such table: nowhere"),
        ("selec 1", "syntax error"),
        ("insert into feed values (1, 2, 3)", "readonly database"),
    ],
)
def test_a_query_that_the_database_refuses_is_a_config_error_with_its_words(database, query, words):
    with pytest.raises(ConfigError, match=words):
        fetch(database(("2024-01-01", "n", 1)), "sql", query)


def test_a_missing_sqlite_file_is_a_service_error_and_is_not_made(tmp_path):
    with pytest.raises(ServiceError, match="unable to open"):
        fetch(f"sqlite:///{tmp_path}/none.db", "sql", QUERY)
    assert not (tmp_path / "none.db").exists()


def test_a_longer_answer_than_the_limit_says_what_to_do(database):
    with pytest.raises(ConfigError, match=r"more than 1 rows\. Sum it up"):
        query_csv(database(("a", "n", 1), ("b", "n", 1)), QUERY, (), max_rows=1)


@pytest.mark.parametrize("path", ["nosuch://host/db", "shop.db", "oracle://h/x"])
def test_a_url_that_cannot_be_used_is_a_config_error(path):
    with pytest.raises(ConfigError, match="Expected a SQLAlchemy URL"):
        fetch(path, "sql", QUERY)


def test_a_password_that_is_written_out_is_refused_and_not_repeated():
    with pytest.raises(ConfigError, match="holds a password") as caught:
        fetch("postgresql://me:s3cret@host/db", "sql", QUERY)
    assert "s3cret" not in str(caught.value)


def test_a_variable_that_is_not_set_or_not_ours_is_named(monkeypatch):
    monkeypatch.delenv("EVERMIX_DB_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match=r"names \$\{EVERMIX_DB_PASSWORD\}, which is not set"):
        fetch("postgresql://u:${EVERMIX_DB_PASSWORD}@h/d", "sql", QUERY)
    with pytest.raises(ConfigError, match=r"got \$\{HOME\}, expected"):
        fetch("data/${HOME}.csv", "csv")


def test_a_variable_fills_a_file_path_too_and_stays_out_of_the_record(tmp_path, monkeypatch):
    (tmp_path / "s3cret.csv").write_text("week,y\n")
    monkeypatch.setenv("EVERMIX_TOKEN", "s3cret")
    assert fetch(f"{tmp_path}/${{EVERMIX_TOKEN}}.csv", "csv").files == ("${EVERMIX_TOKEN}.csv",)


def test_postgres_answers_with_exact_numbers_and_iso_dates(server, url):
    run_on(
        server,
        "create table exact (week date, day timestamp, at timestamptz, n numeric(30, 10), f double precision, "
        "i bigint, t text, b boolean)",
        "insert into exact values ('2024-01-08', '2024-01-08', '2024-01-08 00:00+00', 12345678901234567890.0123456789, "
        "0.1, 9007199254740993, 'a,\"b\"', true), ('2024-01-01', null, null, null, 'NaN', null, null, false)",
    )
    got = fetch(url, "sql", "select * from exact", ("week",))
    table = read_table(got.data, "csv").frame
    assert table.loc[2].tolist() == ["2024-01-01", "", "", "", "", "", "", "0"]
    whole = ["2024-01-08", "2024-01-08", "2024-01-08T00:00:00+00:00", "12345678901234567890.0123456789", "0.1"]
    assert table.loc[3].tolist() == [*whole, "9007199254740993", 'a,"b"', "1"]
    assert fetch(url.replace("+psycopg2", ""), "sql", "select * from exact", ("week",)).data == got.data


def test_postgres_is_asked_in_a_read_only_transaction(server, url):
    run_on(
        server,
        "create table kept (n int)",
        "create function spoil() returns int language sql as 'delete from kept; select 1'",
    )
    with pytest.raises(ConfigError, match="read-only transaction"):
        fetch(url, "sql", "select spoil()")


@pytest.mark.parametrize(
    ("query", "words"), [("select * from gone", '"gone" does not exist'), ("selec 1", "syntax error")]
)
def test_postgres_refusals_are_config_errors(url, query, words):
    with pytest.raises(ConfigError, match=words):
        fetch(url, "sql", query)


def test_postgres_that_is_away_or_refuses_the_password_is_a_service_error_without_secrets(url, server, monkeypatch):
    with pytest.raises(ServiceError, match="did not answer") as caught:
        fetch(url.replace(str(server), "9"), "sql", "select 1")
    assert PASSWORD not in str(caught.value)
    monkeypatch.setenv("EVERMIX_DB_PASSWORD", "wr0ng")
    with pytest.raises(ServiceError, match="password authentication failed") as caught:
        fetch(url, "sql", "select 1")
    assert "wr0ng" not in str(caught.value)


def test_pandas_reads_the_same_values_from_the_csv_as_from_the_database(database):
    values = [0.1 + 0.2, 1e-17, 12345678.9]
    data = fetch(database(*[(f"2024-01-0{i + 1}", "n", v) for i, v in enumerate(values)]), "sql", QUERY, ("week",)).data
    assert pd.read_csv(io.BytesIO(data), float_precision="round_trip")["sales"].tolist() == values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 1, 1, 9, 30), "2024-01-01T09:30:00"),
        (datetime(2024, 1, 1), "2024-01-01"),
        (datetime(2024, 1, 1, tzinfo=UTC), "2024-01-01T00:00:00+00:00"),
        (date(2024, 1, 1), "2024-01-01"),
        (b"\x01\xff", "01ff"),
        (True, "1"),
    ],
)
def test_a_value_has_one_text(value, text):
    from evermix.engines.sources.sql import _cell

    assert _cell(value) == text
