import hashlib
import json
from datetime import date, timedelta

import pandas as pd
import pytest
import yaml
from deliveries import AS_OF, PROJECT, csv_bytes, model_params, weekly_text
from reference import reference_file

from evermix.config import parse_params
from evermix.core.panel import type_rows
from evermix.core.quality_record import read_points
from evermix.engines.contract import check
from evermix.engines.onboard import recognise
from evermix.engines.sources import read_table
from evermix.engines.store import Store, write_json
from evermix.stages import validate
from evermix.stages.ingest import take_snapshot


def deliver(store, frame, params, as_of=AS_OF):
    source = store.root / "feed.csv"
    source.write_bytes(frame if isinstance(frame, bytes) else csv_bytes(frame))
    take_snapshot(params, str(source), as_of, store.snapshot)
    write_json(store.week, {"model": "m", "as_of": as_of.isoformat(), "reconstructed": False})
    store.before.mkdir(parents=True, exist_ok=True)
    return validate.run(store, params)


def hashes(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "m")


def test_accepted_delivery_leaves_report_page_panel_and_diff(store):
    report = deliver(store, weekly_text(), model_params())
    assert report.status == "accepted"
    assert set(hashes(store.validated)) == {"report.json", "report.html", "panel.parquet", "diff.json", "quality.csv"}
    assert json.loads((store.validated / "report.json").read_text()) == report.model_dump()
    assert len(json.loads((store.validated / "diff.json").read_text())["new_weeks"]) == 60


def test_same_inputs_give_the_same_bytes(store):
    deliver(store, weekly_text(), model_params())
    first = hashes(store.validated)
    deliver(store, weekly_text(), model_params())
    assert hashes(store.validated) == first


def test_quarantined_delivery_has_no_panel_and_keeps_its_bytes(store):
    data = csv_bytes(weekly_text()).replace(b"2025-02-17,", b"2025-02-17,x", 1)
    assert deliver(store, data, model_params()).status == "quarantined"
    assert not (store.validated / "panel.parquet").exists()
    assert (store.snapshot / "data.csv").read_bytes() == data


def test_unreadable_delivery_is_a_quarantine_not_an_error(store):
    report = deliver(store, b"\x1f\x8b rest", model_params())
    assert [fault.rule for fault in report.faults] == ["unreadable_file"]
    assert "gzip" in report.faults[0].value
    assert "quarantined" in (store.validated / "report.html").read_text()


def test_correction_heals_a_quarantine(store):
    deliver(store, weekly_text().drop(columns="sales"), model_params())
    assert deliver(store, weekly_text(), model_params()).status == "accepted"
    assert (store.validated / "panel.parquet").is_file()


def test_diff_is_taken_with_the_last_accepted_panel(store):
    params = model_params()
    deliver(store, weekly_text(59), params, AS_OF - timedelta(weeks=1))
    (store.validated / "panel.parquet").rename(store.before / "panel.parquet")
    frame = weekly_text()
    frame.loc[5, "tv_spend"] = "7"
    deliver(store, frame, params)
    diff = json.loads((store.validated / "diff.json").read_text())
    assert diff["new_weeks"] == ["2025-02-17"]
    assert [(cell["week"], cell["column"], cell["new"]) for cell in diff["restated"]] == [
        ("2024-01-22", "spend.tv", 7.0)
    ]


REAL = [
    "conjura/home_appliances_gbp_daily.csv",
    "conjura/home_appliances_gbp_weekly.csv",
    "conjura/multi_uk_gbp_weekly.csv",
    "conjura/multi_us_usd_weekly.csv",
    "robyn/dt_simulated_weekly.csv",
    "pymc_marketing/mmm_example.csv",
    "pymc_marketing/mmm_multidimensional_example.csv",
    "geolift/mmm_calibration_positive_lift.csv",
]


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_reference_feeds_replayed_week_by_week_have_no_fault(name):
    frame = read_table(reference_file(name).read_bytes(), "csv").frame
    seen = recognise(frame, name, "csv")
    brand = yaml.safe_load((PROJECT / "params.yaml").read_text())["models"]["brand"]
    params = parse_params({"models": {"m": brand | {"source": seen.source, "columns": seen.columns}}}, name).model("m")
    weeks_of_rows = type_rows(frame, params.columns, params.source)["week"]
    before = None
    for week in seen.weeks[params.validation.min_weeks - 1 :: 13]:
        got = check(frame[weeks_of_rows <= pd.Timestamp(week)], "m", params, date.fromisoformat(week), before)
        assert got.report.faults == []
        before = got.panel


def test_a_waiver_among_the_orders_lets_a_fault_of_degree_pass(store):
    frame = weekly_text()
    frame.loc[61, "sales"] = "100000"
    assert deliver(store, frame, model_params()).status == "quarantined"
    write_json(store.orders, {"waivers": ["target_slip"], "frozen": None, "refit": None})
    report = validate.run(store, model_params())
    assert (report.status, [warning.rule for warning in report.warnings]) == ("accepted", ["target_slip"])
    assert "(waived)" in (store.validated / "report.html").read_text()


def test_a_week_masked_later_is_not_a_restatement(store):
    deliver(store, weekly_text(59), model_params(), AS_OF - timedelta(weeks=1))
    (store.validated / "panel.parquet").rename(store.before / "panel.parquet")
    masked = [{"first": "2024-06-03", "last": "2024-06-10", "why": "tracking outage"}]
    report = deliver(store, weekly_text(), model_params(masked_weeks=masked))
    assert (report.status, report.masked) == ("accepted", ["2024-06-03", "2024-06-10"])
    assert json.loads((store.validated / "diff.json").read_text())["restated"] == []
    assert pd.read_parquet(store.validated / "panel.parquet")["target"].isna().sum() == 2


def quality_of(store):
    points = read_points((store.validated / "quality.csv").read_text())
    return {(point.measure, point.column): point for point in points}


def test_quality_of_a_delivery_is_measured_against_the_record_and_the_day_it_came(store):
    deliver(store, weekly_text(), model_params())
    about = json.loads((store.snapshot / "about.json").read_text())
    write_json(store.snapshot / "about.json", about | {"arrived_on": (AS_OF + timedelta(days=9)).isoformat()})
    validate.run(store, model_params())
    seen = quality_of(store)
    assert seen["freshness_days", "all"].value == 2.0
    assert seen["tracking", "exposure.search per spend.search"].limit == "spread"
    assert seen["completeness", "all"].value == 1.0
    assert not any(point.outside for point in seen.values())


def test_a_refused_delivery_is_measured_too_and_counted(store):
    deliver(store, pd.concat([weekly_text(), weekly_text().tail(1)], ignore_index=True), model_params())
    seen = quality_of(store)
    assert not seen["refusals", "all"].accepted
    assert (seen["refusals", "all"].value, seen["refusals", "all"].outside) == (1.0, True)
    assert seen["duplicates", "all"].value == 1.0
    (store.before / "quality.csv").write_bytes((store.validated / "quality.csv").read_bytes())
    deliver(store, weekly_text(), model_params())
    assert (quality_of(store)["refusals", "all"].delivery, quality_of(store)["refusals", "all"].value) == (2, 1.0)


def test_the_freshness_of_a_rebuilt_week_is_not_measured(store):
    deliver(store, weekly_text(), model_params())
    about = json.loads((store.snapshot / "about.json").read_text())
    write_json(store.snapshot / "about.json", about | {"arrived_on": "2026-11-16"})
    write_json(store.week, json.loads(store.week.read_text()) | {"reconstructed": True})
    validate.run(store, model_params())
    assert quality_of(store)["freshness_days", "all"].limit == "not measured"
