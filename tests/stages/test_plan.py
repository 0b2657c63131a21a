import io
import json
import sqlite3
from datetime import date

import pandas as pd
import pytest
from deliveries import AS_OF, csv_bytes, model_params, weekly_text

from evermix.config import Environment, SourceParams
from evermix.core.panel import to_panel
from evermix.engines.calendars import add_holidays
from evermix.engines.store import Store
from evermix.errors import ServiceError
from evermix.stages.ingest import plan_place, take_snapshot
from evermix.stages.plan import read_plan

PLAN = b"week,tv_spend,search_spend,search_clicks,price,promo\n2025-02-24,100,50,150,9.5,1\n"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "clone", "m")


@pytest.fixture
def feed(tmp_path):
    (tmp_path / "feed.csv").write_bytes(csv_bytes(weekly_text()))
    return str(tmp_path / "feed.csv")


def take(store, feed, plan, params=None):
    return take_snapshot(params or model_params(), feed, AS_OF, store.snapshot, plan)


def test_a_plan_lies_beside_the_data_as_it_came(store, feed, tmp_path):
    (tmp_path / "plan.csv").write_bytes(PLAN)
    before = take(store, feed, None)
    got = take(store, feed, str(tmp_path / "plan.csv"))
    assert (store.snapshot / "plan.csv").read_bytes() == PLAN
    assert (got.status, got.sha256) == ("taken", before.sha256)
    assert take(store, feed, str(tmp_path / "plan.csv")).status == "unchanged"
    (tmp_path / "plan.csv").write_bytes(PLAN.replace(b"100", b"200"))
    assert take(store, feed, str(tmp_path / "plan.csv")).status == "taken"


def test_a_plan_that_was_not_delivered_is_no_fault_and_one_that_cannot_be_asked_for_is(store, feed, tmp_path):
    assert take(store, feed, str(tmp_path / "none.csv")).status == "taken"
    assert not (store.snapshot / "plan.csv").exists()
    assert "plan_sha256" not in json.loads((store.snapshot / "about.json").read_text())
    with pytest.raises(ServiceError, match="did not answer"):
        take(store, feed, "http://127.0.0.1:9/plan.csv")


def test_a_plan_in_parquet_is_kept_as_text(store, tmp_path):
    weekly_text().to_parquet(tmp_path / "feed.parquet", index=False)
    pd.read_csv(io.BytesIO(PLAN), dtype=str).to_parquet(tmp_path / "plan.parquet", index=False)
    params = model_params(format="parquet")
    take(store, str(tmp_path / "feed.parquet"), str(tmp_path / "plan.parquet"), params)
    assert (store.snapshot / "plan.csv").read_bytes() == PLAN


def test_the_plan_of_a_database_is_a_query_and_no_row_is_no_plan(store, tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        weekly_text().to_sql("feed", connection, index=False)
        pd.read_csv(io.BytesIO(PLAN), dtype=str).to_sql("plan", connection, index=False)
    connection.close()
    url = f"sqlite:///{tmp_path}/shop.db"
    model = model_params()
    sql = model.source.model_dump() | {"path": url, "format": "sql", "query": "select * from feed"}
    params = model.model_copy(update={"source": SourceParams(**sql)})
    assert take(store, url, "select * from plan where price = '0'", params).status == "taken"
    assert not (store.snapshot / "plan.csv").exists()
    take(store, url, "select * from plan", params)
    assert (store.snapshot / "plan.csv").read_bytes() == PLAN
    assert (store.snapshot / "data.csv").read_bytes() == csv_bytes(weekly_text())


def test_a_plans_place_is_found_as_the_sources_is(tmp_path):
    env, source = Environment(tmp_path, tmp_path / "home", "", "", ""), model_params().source
    assert plan_place(env, source) is None
    assert plan_place(env, source.model_copy(update={"plan": "{home}/plan.csv"})) == str(tmp_path / "home" / "plan.csv")
    query = source.model_copy(update={"format": "sql", "query": "select 1", "plan": "select 2"})
    assert plan_place(env, query) == "select 2"


def test_a_good_plan_is_read_with_the_columns_of_the_panel_and_its_holidays(store, feed, tmp_path):
    params = model_params(events={"bank": {"calendar": "DE", "subdivision": None}})
    (tmp_path / "plan.csv").write_bytes(PLAN.replace(b"2025-02-24", b"2025-02-24"))
    take(store, feed, str(tmp_path / "plan.csv"), params)
    panel = add_holidays(to_panel(weekly_text(), params.columns, params.source, AS_OF), params.columns, "MON")
    planned, warnings = read_plan(store, params, AS_OF, panel)
    assert warnings == []
    assert list(planned) == list(panel)
    assert planned["event.bank"].tolist() == [0.0]


def test_a_bad_plan_is_a_warning_and_no_plan_is_silence(store, feed, tmp_path):
    panel = to_panel(weekly_text(), model_params().columns, model_params().source, AS_OF)
    take(store, feed, None)
    assert read_plan(store, model_params(), AS_OF, panel) == (None, [])
    for data, what in ((b"\x00\xff", "UTF-8"), (PLAN.replace(b"9.5", b""), "blank"), (b"", "empty")):
        (store.snapshot / "plan.csv").write_bytes(data)
        planned, warnings = read_plan(store, model_params(), AS_OF, panel)
        assert planned is None
        assert what in warnings[0].what
        assert warnings[0].rule == "bad_plan"


def test_a_week_rebuilt_later_forecasts_only_what_follows_it(store, feed, tmp_path):
    (tmp_path / "plan.csv").write_bytes(PLAN)
    take(store, feed, str(tmp_path / "plan.csv"))
    panel = to_panel(weekly_text(), model_params().columns, model_params().source, date(2025, 2, 10))
    planned, warnings = read_plan(store, model_params(), date(2025, 2, 10), panel)
    assert planned is None
    assert "does not follow as_of" in warnings[0].what
