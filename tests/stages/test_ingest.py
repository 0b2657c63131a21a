import hashlib
import json
from datetime import date, timedelta

import pandas as pd
import pytest
from corrupt.corruptions import parquet_bytes
from deliveries import AS_OF, csv_bytes, daily_text, model_params, weekly_text

from evermix.core.panel import to_panel
from evermix.engines.contract import check
from evermix.engines.sources import read_table
from evermix.errors import ConfigError, ServiceError
from evermix.stages.ingest import take_snapshot


@pytest.fixture
def feed(tmp_path):
    def deliver(data):
        (tmp_path / "feed.csv").write_bytes(data if isinstance(data, bytes) else csv_bytes(data))
        return str(tmp_path / "feed.csv")

    return deliver


def test_snapshot_holds_the_bytes_as_delivered_and_says_what_they_are(feed, tmp_path):
    frame = weekly_text()
    got = take_snapshot(model_params(), feed(frame), AS_OF, tmp_path / "s")
    data = (tmp_path / "s" / "data.csv").read_bytes()
    about = json.loads((tmp_path / "s" / "about.json").read_text())
    assert data == csv_bytes(frame)
    assert about == {
        "format": "csv",
        "sha256": hashlib.sha256(data).hexdigest(),
        "rows": 60,
        "cut_rows": 0,
        "files": ["feed.csv"],
    }
    assert (got.status, got.sha256, got.rows) == ("taken", about["sha256"], 60)


def test_same_answer_again_leaves_the_folder_alone_and_another_replaces_it(feed, tmp_path):
    folder, params = tmp_path / "s", model_params()
    take_snapshot(params, feed(weekly_text()), AS_OF, folder)
    before = (folder / "about.json").stat().st_mtime_ns
    assert take_snapshot(params, feed(weekly_text()), AS_OF, folder).status == "unchanged"
    assert (folder / "about.json").stat().st_mtime_ns == before
    assert take_snapshot(params, feed(weekly_text().iloc[1:]), AS_OF, folder).status == "taken"


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_personal_data_are_not_kept_and_the_report_is_the_same(tmp_path, format):
    frame = weekly_text().assign(contact=[f"jane{i}@example.com" for i in range(60)], customer_id="4711")
    frame.loc[20, "promo"] = "ada@example.com"
    feed, params = tmp_path / "feed", model_params(format=format)
    feed.write_bytes(csv_bytes(frame) if format == "csv" else parquet_bytes(frame))
    assert take_snapshot(params, str(feed), AS_OF, tmp_path / "s").rows == 60
    kept = read_table((tmp_path / "s" / f"data.{format}").read_bytes(), format).frame
    assert not kept.apply(lambda text: text.str.contains("@|4711")).any(axis=None)
    same = [c for c in frame if c not in ("contact", "customer_id", "promo")]
    pd.testing.assert_frame_equal(kept[same], frame[same], check_index_type=False)
    assert kept["promo"].eq(frame["promo"]).sum() == 59
    reports = [check(told, "m", params, AS_OF, None).report.model_dump() for told in (frame, kept)]
    told = [[f for f in report["faults"] if f["rule"] == "personal_data"] for report in reports]
    assert told[0] == told[1] and len(told[0]) == 3


def test_rows_of_later_weeks_are_cut(feed, tmp_path):
    got = take_snapshot(model_params(), feed(weekly_text()), date(2025, 2, 3), tmp_path / "s")
    assert (got.rows, got.cut_rows) == (58, 2)
    assert (tmp_path / "s" / "data.csv").read_bytes() == csv_bytes(weekly_text().head(58))


def test_a_past_week_gives_the_same_bytes_whatever_came_later(feed, tmp_path):
    early = take_snapshot(model_params(), feed(weekly_text(58)), date(2025, 2, 3), tmp_path / "a")
    late = take_snapshot(model_params(), feed(weekly_text(60)), date(2025, 2, 3), tmp_path / "b")
    assert early.sha256 == late.sha256


def test_week_without_a_row_is_waiting_and_writes_nothing(feed, tmp_path):
    got = take_snapshot(model_params(), feed(weekly_text()), date(2025, 2, 24), tmp_path / "s")
    assert got.status == "waiting"
    assert not (tmp_path / "s").exists()


def test_week_that_a_later_one_follows_is_not_waiting(feed, tmp_path):
    got = take_snapshot(model_params(), feed(weekly_text().drop(index=60)), date(2025, 2, 10), tmp_path / "s")
    assert (got.status, got.rows) == ("taken", 58)


def test_daily_week_waits_for_its_last_day(feed, tmp_path):
    params = model_params(frequency="daily")
    six_days = feed(daily_text(date(2024, 1, 1), 13))
    assert take_snapshot(params, six_days, date(2024, 1, 8), tmp_path / "s").status == "waiting"
    whole = feed(daily_text(date(2024, 1, 1), 14))
    assert take_snapshot(params, whole, date(2024, 1, 8), tmp_path / "s").status == "taken"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"week,sales\n2025-02-10,1\n2025-02\n",
        b"day,sales\n2025-02-10,1\n",
        b"week,week,sales\n2025-02-10,2025-02-10,1\n",
        b"week,sales\n2025-02-10,1\nsoon,2\n",
        b"week,sales\n",
    ],
)
def test_broken_delivery_is_kept_for_validate_and_is_never_waiting(feed, tmp_path, data):
    assert take_snapshot(model_params(), feed(data), AS_OF, tmp_path / "s").status == "taken"
    assert (tmp_path / "s" / "data.csv").read_bytes() == data


def test_as_of_must_be_a_monday(feed, tmp_path):
    with pytest.raises(ConfigError, match="Tuesday"):
        take_snapshot(model_params(), feed(weekly_text()), date(2025, 2, 18), tmp_path / "s")


def test_unreachable_source_is_a_service_error(tmp_path):
    with pytest.raises(ServiceError, match=r"nowhere\.csv"):
        take_snapshot(model_params(), str(tmp_path / "nowhere.csv"), AS_OF, tmp_path / "s")


def accepted_panel():
    params = model_params()
    return to_panel(weekly_text(59), params.columns, params.source, AS_OF - timedelta(weeks=1))


def planned(*cells):
    return csv_bytes(weekly_text()) + (",".join(cells) + "\n").encode()


def test_targets_of_weeks_that_have_not_begun_are_kept_for_validate_and_plans_are_cut(feed, tmp_path):
    future, plan = (
        planned("2025-03-10", "900", "1", "1", "1", "9", "0"),
        planned("2025-03-10", "", "1", "1", "1", "9", "0"),
    )
    today = date(2025, 2, 26)
    kept = take_snapshot(model_params(), feed(future), AS_OF, tmp_path / "s", today=today)
    assert (kept.rows, kept.cut_rows) == (61, 0)
    assert take_snapshot(model_params(), feed(plan), AS_OF, tmp_path / "s", today=today).cut_rows == 1
    # Weeks later, the same row is a replay's.
    assert take_snapshot(model_params(), feed(future), AS_OF, tmp_path / "s", today=date(2025, 3, 12)).cut_rows == 1


def test_a_source_that_lost_accepted_weeks_is_taken_and_not_waited_for(feed, tmp_path):
    shorter = feed(weekly_text(50))
    assert take_snapshot(model_params(), shorter, AS_OF, tmp_path / "s").status == "waiting"
    lost = take_snapshot(model_params(), shorter, AS_OF, tmp_path / "s", accepted=accepted_panel())
    assert lost.status == "taken"
    late = feed(weekly_text(59))
    assert take_snapshot(model_params(), late, AS_OF, tmp_path / "s", accepted=accepted_panel()).status == "waiting"


def test_a_source_whose_dates_are_all_a_week_early_is_taken_and_not_waited_for(feed, tmp_path):
    early = weekly_text()
    early["week"] = (pd.to_datetime(early["week"]) - pd.Timedelta(weeks=1)).dt.strftime("%Y-%m-%d")
    assert take_snapshot(model_params(), feed(early), AS_OF, tmp_path / "s").status == "waiting"
    assert (
        take_snapshot(model_params(), feed(early), AS_OF, tmp_path / "s", accepted=accepted_panel()).status == "taken"
    )


def test_a_late_source_with_a_restated_cell_is_waited_for(feed, tmp_path):
    late = weekly_text(59)
    late.loc[40, "sales"] = "1234.00"
    assert (
        take_snapshot(model_params(), feed(late), AS_OF, tmp_path / "s", accepted=accepted_panel()).status == "waiting"
    )
