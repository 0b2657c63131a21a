"""What validate makes of a calendar and of a plan beside the data."""

import pytest
from deliveries import AS_OF, csv_bytes, model_params, weekly_text

from evermix.engines.sources import read_panel
from evermix.engines.store import Store, read_json, write_bytes, write_json
from evermix.stages import validate

PLAN = b"week,tv_spend,search_spend,search_clicks,price,promo\n2025-02-24,100,50,150,9.5,1\n"
PARAMS = model_params(
    events={"bank": {"calendar": "GB", "subdivision": "ENG"}, "promo": {"column": "promo", "aggregate": "max"}}
)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, "m")
    about = {"format": "csv", "sha256": "0" * 64, "rows": 60, "cut_rows": 0, "files": ["feed.csv"]}
    write_json(store.snapshot / "about.json", about)
    write_bytes(store.snapshot / "data.csv", csv_bytes(weekly_text()))
    write_json(store.week, {"model": "m", "as_of": AS_OF.isoformat(), "reconstructed": False})
    store.before.mkdir()
    return store


def test_the_panel_has_the_holidays_where_events_says(store):
    assert validate.run(store, PARAMS).status == "accepted"
    panel = read_panel(store.validated / "panel.parquet").set_index("week")
    assert list(panel)[-2:] == ["event.bank", "event.promo"]
    # New Year's Day 2024 on a Monday; Christmas and Boxing Day on Wednesday and Thursday.
    assert panel.loc["2024-01-01", "event.bank"] == 1
    assert panel.loc["2024-12-23", "event.bank"] == 2
    assert panel["event.bank"].sum() == 9


def test_holidays_of_the_last_panel_are_no_news_to_the_next(store):
    validate.run(store, PARAMS)
    write_bytes(store.before / "panel.parquet", (store.validated / "panel.parquet").read_bytes())
    assert validate.run(store, PARAMS).status == "accepted"
    diff = read_json(store.validated / "diff.json")
    assert (diff["new_weeks"], diff["restated"], diff["columns_added"], diff["columns_removed"]) == ([], [], [], [])


def test_a_good_plan_becomes_a_panel_beside_the_weeks(store):
    write_bytes(store.snapshot / "plan.csv", PLAN)
    assert validate.run(store, PARAMS).warnings == []
    planned = read_panel(store.validated / "plan.parquet")
    assert list(planned) == list(read_panel(store.validated / "panel.parquet"))
    assert planned["spend.tv"].tolist() == [100.0]


def test_a_bad_plan_is_a_warning_and_the_week_is_accepted(store):
    write_bytes(store.snapshot / "plan.csv", PLAN.replace(b"9.5", b"cheap"))
    report = validate.run(store, PARAMS)
    assert report.status == "accepted"
    assert [w.rule for w in report.warnings] == ["bad_plan"]
    assert read_json(store.validated / "report.json")["warnings"][0]["where"] == "plan, row 2, column price"
    assert not (store.validated / "plan.parquet").exists()
