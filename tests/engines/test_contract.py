from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from deliveries import AS_OF, CHANNELS, daily_text, model_params, weekly_text

from evermix.core.rules import WAIVABLE
from evermix.engines.contract import check, refuse
from evermix.engines.validation_page import render

LAST = 61  # row number of the last week


def outcome(frame, before=None, as_of=AS_OF, **changes):
    return check(frame, "m", model_params(**changes), as_of, before)


def faults(frame, **kwargs):
    return outcome(frame, **kwargs).report.faults


def rules(frame, **kwargs):
    return [fault.rule for fault in faults(frame, **kwargs)]


def with_cell(row, column, value):
    frame = weekly_text()
    frame.loc[row, column] = value
    return frame


def test_clean_delivery_is_accepted_without_a_word():
    got = outcome(weekly_text())
    assert (got.report.status, got.report.faults, got.report.warnings) == ("accepted", [], [])
    assert (got.report.weeks, got.report.first_week, got.report.last_week) == (60, "2024-01-01", "2025-02-17")
    assert len(got.panel) == 60


def test_clean_panel_of_geos_is_accepted():
    assert rules(weekly_text(geos=("north", "south")), geo="geo") == []


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("week", "17/02/2025", "unreadable_date"),
        ("week", "", "unreadable_date"),
        ("week", "2025-02-18", "off_weekday"),
        ("sales", "1,034.50", "not_a_number"),
        ("sales", "1034.50 EUR", "not_a_number"),
        ("tv_spend", "n/a", "not_a_number"),
        ("price", "NaN", "not_finite"),
        ("tv_spend", "-inf", "not_finite"),
        ("sales", "1e999", "not_finite"),
        ("tv_spend", "-3", "negative"),
        ("search_clicks", "-1", "negative"),
        ("price", "", "missing_value"),
        ("promo", " ", "missing_value"),
        ("sales", "", "missing_target"),
        ("sales", "-1", "below_minimum"),
        ("sales", "100000", "target_slip"),
        ("sales", "1.05", "target_slip"),
        ("tv_spend", "11000", "spend_slip"),
    ],
)
def test_broken_cell_is_one_fault_that_names_row_column_and_value(column, value, rule):
    (fault,) = faults(with_cell(LAST, column, value))
    assert fault.rule == rule
    assert fault.where.startswith("row 61")
    assert fault.where.endswith(f"column {column}")
    shown = {"": "blank", "100000": "100000"}.get(value, value) if rule.startswith("missing_t") else value
    assert shown in fault.value or float(shown) == float(fault.value)
    assert fault.expected
    assert fault.action


def test_where_names_the_row_and_its_date():
    (fault,) = faults(with_cell(11, "tv_spend", "x"))
    assert fault.where == "row 11 (2024-03-04), column tv_spend"


def test_thousands_separator_is_explained():
    (fault,) = faults(with_cell(5, "sales", "1,034"))
    assert "thousands separators" in fault.action


def test_missing_week_is_named():
    (fault,) = faults(weekly_text().drop(index=20))
    assert (fault.rule, fault.where) == ("missing_week", "week 2024-05-06")


def test_week_of_as_of_without_a_row_is_a_missing_week():
    (fault,) = faults(weekly_text().drop(index=LAST))
    assert fault.where == "week 2025-02-17"


def test_duplicated_week_is_named_with_its_rows():
    frame = pd.concat([weekly_text(), weekly_text().tail(1)], ignore_index=True).set_axis(range(2, 63))
    (fault,) = faults(frame)
    assert (fault.rule, fault.value, fault.where) == ("duplicate_row", "2 rows", "row 61 (2025-02-17)")


def test_missing_column_is_named_with_its_role_and_nearest_name():
    (fault,) = faults(weekly_text().rename(columns={"tv_spend": "TV_Spend"}))
    assert (fault.rule, fault.where) == ("missing_column", "column tv_spend")
    assert "spend.tv" in fault.expected
    assert "'TV_Spend'" in fault.action


def test_missing_date_column_is_the_only_fault():
    assert rules(weekly_text().drop(columns="week")) == ["missing_column"]


def test_semicolons_are_explained():
    frame = pd.DataFrame({"week;sales": ["2024-01-01;1"]}, index=[2], dtype="str")
    assert all("not separated by commas" in f.action for f in faults(frame) if f.rule == "missing_column")


def test_column_of_a_launched_channel_is_missed_and_of_a_coming_one_is_not():
    def audio(day):
        return CHANNELS | {"audio": {"spend": "audio_spend", "exposure": None, "launched": day}}

    assert rules(weekly_text(), channels=audio("2025-02-24")) == []
    assert rules(weekly_text(), channels=audio("2025-02-17")) == ["missing_column"]
    assert rules(weekly_text(), channels=audio(None)) == ["missing_column"]


def test_duplicated_column_is_a_fault_only_where_params_use_it():
    frame = weekly_text()
    twice = pd.concat([frame, frame["sales"]], axis=1)
    assert rules(twice) == ["duplicate_column"]
    unused = pd.concat([frame, frame["sales"].rename("x"), frame["sales"].rename("x")], axis=1)
    assert rules(unused) == []


def test_all_faults_come_in_one_report():
    frame = weekly_text()
    frame.loc[5, "tv_spend"] = "-1"
    frame.loc[6, "sales"] = "x"
    frame.loc[7, "week"] = "soon"
    frame.loc[8, "price"] = ""
    frame = frame.drop(columns="promo")
    assert set(rules(frame)) == {"negative", "not_a_number", "unreadable_date", "missing_value", "missing_column"}


def test_the_first_five_rows_are_listed_and_the_rest_counted():
    frame = weekly_text()
    frame.loc[10:21, "tv_spend"] = "-1"
    found = faults(frame)
    assert len(found) == 6
    assert found[0].where.startswith("row 10 ")
    assert found[5].where == "7 more places, column tv_spend"


def test_target_may_be_late_inside_the_delay_and_not_before_it():
    frame = weekly_text()
    frame.loc[LAST, "sales"] = ""
    report = outcome(frame, label_delay_weeks=1).report
    assert (report.status, report.late_targets) == ("accepted", ["2025-02-17"])
    frame.loc[LAST - 1, "sales"] = ""
    (fault,) = faults(frame, label_delay_weeks=1)
    assert fault.where == "row 60 (2025-02-10), column sales"


def test_other_label_is_seen_by_its_weekday_with_the_params_to_set():
    frame = weekly_text()
    frame["week"] = [(date.fromisoformat(d) + timedelta(days=6)).isoformat() for d in frame["week"]]
    found = faults(frame)
    assert {f.rule for f in found} == {"off_weekday"}
    assert "dated on SUN" in found[0].what
    assert "label: end, week_start: MON" in found[0].action
    assert rules(frame, label="end") == []


def test_geo_without_a_week_is_named():
    frame = weekly_text(geos=("north", "south"))
    (fault,) = faults(frame.drop(index=5), geo="geo")
    assert (fault.rule, fault.where) == ("missing_geo_week", "week 2024-01-08, geo south")


def test_daily_week_with_a_missing_day_is_a_fault():
    frame = daily_text(date(2024, 2, 1), 60 * 7)
    as_of = date(2025, 3, 17)
    assert rules(frame, frequency="daily", as_of=as_of) == []
    (fault,) = faults(frame.drop(index=30), frequency="daily", as_of=as_of)
    assert (fault.rule, fault.value, fault.where) == ("missing_days", "6 days", "week 2024-02-26")


def test_daily_file_cut_inside_the_last_week_is_a_fault_not_a_shorter_week():
    frame = daily_text(date(2024, 2, 5), 60 * 7 - 1)
    assert rules(frame, frequency="daily", as_of=date(2025, 3, 24)) == ["missing_days"]


def test_too_few_weeks_for_a_first_fit():
    as_of = date(2024, 12, 16)
    (fault,) = faults(weekly_text(51), as_of=as_of)
    assert (fault.rule, fault.value) == ("too_few_weeks", "51 weeks")
    assert rules(weekly_text(51), before=outcome(weekly_text(52), as_of=date(2024, 12, 23)).panel, as_of=as_of) == []


def test_target_that_is_often_zero_is_a_fault():
    frame = weekly_text()
    frame.loc[[55, 57, 59], "sales"] = "0"
    assert "zero_target_share" in rules(frame)
    assert rules(frame.assign(sales=weekly_text()["sales"])) == []


def test_no_row_up_to_as_of():
    assert rules(weekly_text(), as_of=date(2023, 1, 2)) == ["no_rows"]


def test_truncated_history_is_a_fault_and_a_rolling_window_a_warning():
    before = outcome(weekly_text()).panel
    assert rules(weekly_text().iloc[10:], before=before) == ["lost_history"]
    report = outcome(weekly_text().iloc[1:], before=before).report
    assert [w.rule for w in report.warnings] == ["shorter_history"]
    assert report.status == "accepted"


def test_unit_slip_that_was_once_accepted_never_blocks_a_later_week():
    frame = with_cell(40, "sales", "100000")
    assert rules(frame) == ["target_slip"]
    panel = outcome(weekly_text()).panel
    panel.loc[panel["week"] == pd.Timestamp("2024-09-23"), "target"] = 100000.0
    assert rules(frame, before=panel) == []


def scaled(column, factor, first, last=LAST):
    frame = weekly_text()
    frame.loc[first:last, column] = [f"{float(v) * factor:.2f}" for v in frame.loc[first:last, column]]
    return frame


def test_a_modest_restatement_is_no_fault_and_a_rewritten_history_is_one():
    before = outcome(weekly_text()).panel
    assert rules(scaled("sales", 0.9, 50), before=before) == []
    assert rules(scaled("tv_spend", 1.3, 20), before=before) == []
    assert rules(scaled("tv_spend", 1.3, 2), before=before) == ["rewritten_history"]
    (fault,) = faults(scaled("sales", 0.9, 30), before=before)
    assert (fault.rule, fault.where, fault.value) == (
        "rewritten_history",
        "column sales",
        "32 of 60 past cells changed",
    )
    assert rules(scaled("sales", 0.9, 30), before=before, max_rewritten_share=0.6) == []


def test_steady_spend_that_falls_to_zero_is_a_fault_unless_declared_waived_or_wound_down():
    frame = with_cell(LAST, "tv_spend", "0")
    (fault,) = faults(frame)
    assert (fault.rule, fault.where) == ("sudden_zero", "row 61 (2025-02-17), column tv_spend")
    for told in ({"bursty": True}, {"retired": "2025-02-17"}):
        assert rules(frame, channels=CHANNELS | {"tv": CHANNELS["tv"] | told}) == []
    frame.loc[LAST - 1, "tv_spend"] = "20"  # the channel was stopped in the middle of that week
    report = outcome(frame).report
    assert ([f.rule for f in report.faults], [w.rule for w in report.warnings]) == ([], ["pause"])


def test_spend_in_a_retired_channel_is_a_fault_and_blank_is_not():
    channels = CHANNELS | {"tv": CHANNELS["tv"] | {"retired": "2025-02-10"}}
    found = faults(weekly_text(), channels=channels)
    assert [f.where[:6] for f in found if f.rule == "spend_after_retirement"] == ["row 60", "row 61"]
    frame = weekly_text()
    frame.loc[LAST - 1 :, "tv_spend"] = ""
    assert rules(frame, channels=channels) == []
    assert rules(frame.drop(columns="tv_spend"), channels=channels) == ["missing_column"]


def test_a_waived_fault_of_degree_becomes_a_warning_that_says_so():
    frame = with_cell(LAST, "sales", "100000")
    got = check(frame, "m", model_params(), AS_OF, None, ["target_slip"])
    (warning,) = got.report.warnings
    assert (got.report.status, warning.rule) == ("accepted", "target_slip")
    assert warning.what.endswith("(waived)")
    assert got.panel["target"].iloc[-1] == 100000.0


def test_a_waiver_does_not_help_where_no_panel_could_be_computed():
    frame = with_cell(LAST, "sales", "many")
    assert check(frame, "m", model_params(), AS_OF, None, ["not_a_number"]).report.status == "quarantined"
    assert "not_a_number" not in WAIVABLE
    assert {"target_slip", "rewritten_history", "swapped_columns", "sudden_zero", "lost_history"} <= WAIVABLE
    assert not {"missing_column", "duplicate_row", "missing_week", "personal_data", "unreadable_file"} & WAIVABLE


def test_a_masked_week_is_not_asked_for_its_target_and_has_none_in_the_panel():
    masked = [{"first": "2025-02-10", "last": "2025-02-17", "why": "strike"}]
    frame = with_cell(LAST, "sales", "100000")
    frame.loc[LAST - 1, "sales"] = ""
    got = outcome(frame, masked_weeks=masked)
    assert (got.report.status, got.report.late_targets) == ("accepted", [])
    assert got.report.masked == ["2025-02-10", "2025-02-17"]
    assert got.panel["target"].isna().sum() == 2
    assert "not_a_number" in rules(with_cell(LAST, "sales", "many"), masked_weeks=masked)


def test_personal_data_are_refused_unless_allowed_by_name_and_never_shown():
    frame = weekly_text().assign(contact="jane@example.com")
    (fault,) = faults(frame)
    assert (fault.rule, fault.where) == ("personal_data", "column contact")
    assert "jane" not in fault.model_dump_json()
    assert rules(frame, personal_data_allowed=["contact"]) == []
    assert "jane" not in faults(with_cell(LAST, "promo", "jane@example.com"))[0].model_dump_json()


@pytest.mark.parametrize(
    "cells",
    [
        lambda i: f"+{3984 + i}.662237343649",
        lambda i: str(1700000000000 + i),
        lambda i: f"2025-01-{1 + i % 28:02d}T00:00:00Z",
        lambda i: "4111111111111111",
        lambda i: f"{i}-{i}",
        lambda i: f"Summer, {2020 + i % 3}",
    ],
)
def test_amounts_times_and_labels_are_no_personal_data(cells):
    frame = weekly_text()
    assert rules(frame.assign(note=[cells(i) for i in range(len(frame))])) == []


def test_two_geos_of_another_size_that_exchange_their_newest_values_are_a_fault():
    frame = weekly_text(geos=("north", "south"))
    is_south = frame["geo"] == "south"
    frame.loc[is_south, "sales"] = [f"{3 * float(v):.2f}" for v in frame.loc[is_south, "sales"]]
    week_before = AS_OF - timedelta(weeks=1)
    before = outcome(frame[frame["week"] < AS_OF.isoformat()], as_of=week_before, geo="geo").panel
    assert rules(frame, before=before, geo="geo") == []
    frame.loc[frame.index[-2:], "sales"] = frame.loc[frame.index[-2:], "sales"].to_numpy()[::-1]
    assert rules(frame, before=before, geo="geo") == ["swapped_geos"]


def test_media_named_after_their_channel_are_no_personal_data():
    names = ["email_spend", "email", "mobile", "phone_calls", "direct_mail_spend", "territory_name", "ip_tv"]
    frame = weekly_text().assign(**dict.fromkeys(names, "120.50"))
    assert rules(frame.assign(territory_name="All Territories", week_end="2025-02-17")) == []


def test_a_week_far_from_all_others_is_one_fault_and_no_endless_grid():
    frame = weekly_text(geos=tuple(f"g{i}" for i in range(400)))
    frame.loc[5, "week"] = "1990-01-01"
    (fault,) = faults(frame, geo="geo")
    assert (fault.rule, fault.value) == ("too_large", "733600 cells")


def test_unused_columns_of_a_delivery_are_nobodys_business_but_a_nameless_one_is_told():
    report = outcome(weekly_text().assign(**{"": "7", "brand": "x"})).report
    assert (report.status, [w.rule for w in report.warnings]) == ("accepted", ["unnamed_column"])
    assert outcome(weekly_text().assign(**{"": ""})).report.warnings == []


def test_launches_growth_and_promotions_are_no_unit_slips():
    frame = weekly_text()
    growth = np.exp(np.linspace(0, 3, 60))  # twenty-fold in a year
    frame["sales"] = [str(v) for v in 100 * growth]
    frame.loc[30, "sales"] = str(3 * float(frame.loc[30, "sales"]))
    frame["tv_spend"] = ["0"] * 45 + ["1"] * 5 + ["900"] * 10
    assert rules(frame) == []


def test_unreadable_file_is_one_fault_with_its_reason_and_remedy():
    report = refuse("m", AS_OF, "csv", "feed.csv", "line 3: is not CSV. Deliver it again.").report
    (fault,) = report.faults
    assert (report.status, fault.where) == ("quarantined", "file feed.csv")
    assert (fault.value, fault.action) == ("line 3: is not CSV", "Deliver it again.")


def test_long_cells_are_cut_in_the_report():
    (fault,) = faults(with_cell(9, "tv_spend", "x" * 5000))
    assert len(fault.value) < 120


def test_page_is_whole_and_escapes_what_the_file_says():
    got = outcome(with_cell(9, "tv_spend", "<script>alert(1)</script>"))
    page = render(got.report, got.grid, got.marks)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 6
    assert "#d64541" in page  # the week is marked
    assert "http" not in page
    assert page == render(got.report, got.grid, got.marks)
