from datetime import date

import pandas as pd
import pytest
from deliveries import daily_text, weekly_text
from reference import reference_file

from evermix.core.roles import channel_name, exposure_stem, role_by_name, target_rank, words_of
from evermix.engines.onboard import recognise
from evermix.engines.sources import read_table
from evermix.errors import ConfigError, DataError


def found(frame):
    return recognise(frame, "feed.csv", "csv")


def reference(name):
    return read_table(reference_file(name).read_bytes(), "csv").frame


@pytest.mark.parametrize(
    ("column", "role"),
    [
        ("TV_Spend", "spend"),
        ("tvSpend", "spend"),
        ("facebook_investment", "spend"),
        ("tv_S", "spend"),
        ("facebook_I", "exposure"),
        ("google_shopping_clicks", "exposure"),
        ("ORGANIC_SEARCH_CLICKS", "mediator"),
        ("branded_search_clicks", "mediator"),
        ("direct_mail", "media"),
        ("x1", "media"),
        ("radio", "media"),
        ("competitor_sales_B", "competitor"),
        ("competitor_spend", "competitor"),
        ("total_spend", "total"),
        ("all_purchases_gross_discount", "outcome"),
        ("discount_rate", "outcome"),
        ("price", "price"),
        ("temperature", "input"),
        ("dayofyear", "derived"),
        ("t", "derived"),
        ("event_1", "event"),
        ("holiday", "event"),
        ("zzz", "unknown"),
    ],
)
def test_role_that_a_name_tells(column, role):
    assert role_by_name(column) == role


@pytest.mark.parametrize(
    ("count", "spend"),
    [
        ("google_shopping_clicks", "google_shopping_spend"),
        ("GOOGLE_PMAX_IMPRESSIONS", "GOOGLE_PMAX_SPEND"),
        ("facebook_I", "facebook_S"),
        ("tvGrps", "tv_cost"),
    ],
)
def test_a_count_and_the_spend_of_its_channel_have_one_stem(count, spend):
    assert exposure_stem(count) == channel_name(spend, set())


def test_target_names_are_ranked_revenue_before_counts():
    names = [
        "orders",
        "sales",
        "net_revenue",
        "y",
        "revenue_gbp",
        "first_purchases",
        "competitor_sales",
        "discount_rate",
    ]
    ranks = {name: target_rank(name) for name in names}
    assert sorted((r, n) for n, r in ranks.items() if r is not None) == [
        (0, "net_revenue"),
        (1, "revenue_gbp"),
        (2, "sales"),
        (3, "y"),
        (6, "orders"),
    ]


def test_names_become_snake_case_short_and_unique():
    assert words_of("netRevenue (GBP)") == "net_revenue_gbp"
    taken = set()
    assert [channel_name(c, taken) for c in ("TV Spend", "tv_S", "2nd_tv_cost")] == ["tv", "tv_2", "nd_tv"]


def test_clean_weekly_file_is_recognised_whole():
    got = found(weekly_text())
    assert got.source == {
        "path": "feed.csv",
        "format": "csv",
        "frequency": "weekly",
        "label": "start",
        "week_start": "MON",
    }
    columns = got.columns
    assert (columns["date"], columns["geo"], columns["target"]["column"]) == ("week", None, "sales")
    assert {name: c["spend"] for name, c in columns["channels"].items()} == {"tv": "tv_spend", "search": "search_spend"}
    assert columns["controls"] == {"price": {"column": "price", "aggregate": "mean"}}
    assert columns["events"] == {"promo": {"column": "promo", "aggregate": "max"}}
    assert got.left_out == {}
    assert got.tracked == {"search": ["search_clicks"]}
    assert (got.weeks[0], got.weeks[-1], got.label_delay_weeks) == ("2024-01-01", "2025-02-17", 0)


def test_every_column_is_spoken_of_once():
    got = found(weekly_text().assign(id="7", note="hello", t="1", zzz=[str(i % 7) for i in range(60)]))
    assert set(got.roles) | set(got.left_out) == {*weekly_text(), "id", "note", "t", "zzz"}
    assert not set(got.roles) & set(got.left_out)


def test_daily_file_is_told_by_its_spacing():
    frame = daily_text(date(2024, 1, 3), 100)
    frame["tv_spend"] = [str(i % 5) for i in range(100)]
    frame["sales"] = [str(i % 7) for i in range(100)]
    got = found(frame)
    assert got.source["frequency"] == "daily"
    assert (got.weeks[0], got.weeks[-1]) == ("2024-01-08", "2024-04-01")


def test_weekday_and_name_of_the_date_tell_the_label():
    def dated(weekday_shift, name):
        frame = weekly_text()
        days = [(pd.Timestamp(d) + pd.Timedelta(days=weekday_shift)).date().isoformat() for d in frame["week"]]
        got = found(frame.assign(week=days).rename(columns={"week": name})).source
        return got["label"], got["week_start"]

    assert dated(0, "week") == ("start", "MON")
    assert dated(-1, "week") == ("end", "MON")
    assert dated(-2, "week") == ("end", "SUN")
    assert dated(-1, "week_start") == ("start", "SUN")
    assert dated(6, "week_ending") == ("end", "MON")
    assert dated(4, "week_ending") == ("end", "SAT")


def test_a_label_that_is_given_overrides_name_and_weekday_and_is_refused_for_days():
    got = recognise(weekly_text().rename(columns={"week": "week_start"}), "feed.csv", "csv", label="end").source
    assert (got["label"], got["week_start"]) == ("end", "TUE")
    with pytest.raises(ConfigError, match="rows are daily"):
        recognise(daily_text(date(2024, 1, 3), 100), "feed.csv", "csv", label="end")


def test_geo_is_a_column_that_tells_equal_dates_apart():
    got = found(weekly_text(geos=("north", "south")).rename(columns={"geo": "Sales Region"}))
    assert got.columns["geo"] == "Sales Region"


def test_blank_targets_at_the_end_become_the_label_delay():
    frame = weekly_text()
    frame.loc[[60, 61], "sales"] = ""
    assert found(frame).label_delay_weeks == 2


def test_unused_faint_and_negative_channels_are_left_out_with_the_reason():
    frame = weekly_text().assign(
        off_spend="0",
        rare_spend=["0"] * 55 + ["9"] * 5,
        faint_spend="0.01",
        credit_spend=["5"] * 59 + ["-5"],
    )
    frame.loc[2, "faint_spend"] = "0.02"
    why = found(frame).left_out
    assert "always '0'" in why["off_spend"]
    assert "5 of 60 weeks" in why["rare_spend"]
    assert "too little" in why["faint_spend"]
    assert "negative" in why["credit_spend"]


def test_channel_that_begins_late_has_its_launch_week():
    frame = weekly_text().assign(audio_spend=["0"] * 40 + ["60"] * 20)
    assert found(frame).columns["channels"]["audio"]["launched"] == "2024-10-07"


def test_control_that_is_the_target_in_disguise_is_left_out():
    frame = weekly_text()
    frame["stock_index"] = [str(float(v) / 2) for v in frame["sales"]]
    assert "likely a part of it" in found(frame).left_out["stock_index"]


def test_without_media_inputs_are_enough():
    frame = weekly_text().drop(columns=["tv_spend", "search_spend", "search_clicks"])
    assert found(frame).columns["channels"] == {}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (weekly_text().head(0), "got 0 rows"),
        (weekly_text().drop(columns="week"), "no column holds dates; tried sales"),
        (weekly_text().drop(columns="sales"), "no column is named like a target; numeric columns: tv_spend"),
        (weekly_text()[["week", "sales"]], "nothing but date and target"),
        (weekly_text().iloc[::4], "usually 28 days apart"),
        (weekly_text(geos=("n", "s")).drop(columns="geo"), "several rows share a date"),
        (weekly_text(geos=("n", "s")).iloc[1:], "expected 120"),
        (pd.concat([weekly_text(), weekly_text()[["sales"]]], axis=1), "sales stand twice"),
    ],
)
def test_file_that_cannot_be_recognised_is_a_data_error_that_says_why(frame, words):
    with pytest.raises(DataError, match=words):
        found(frame)


@pytest.mark.real
def test_daily_brand_has_its_revenue_and_five_channels():
    got = found(reference("conjura/home_appliances_gbp_daily.csv"))
    assert got.columns["date"] == "DATE_DAY"
    assert got.columns["target"]["column"] == "ALL_PURCHASES_ORIGINAL_PRICE"
    assert set(got.columns["channels"]) == {
        "google_paid_search",
        "google_shopping",
        "google_pmax",
        "google_video",
        "meta_facebook",
    }
    assert got.columns["controls"] == {}
    assert "leak" in got.left_out["ALL_PURCHASES_GROSS_DISCOUNT"]
    assert "mediator" in got.left_out["ORGANIC_SEARCH_CLICKS"]


@pytest.mark.real
def test_robyn_suffixes_and_text_events_are_understood():
    got = found(reference("robyn/dt_simulated_weekly.csv"))
    assert set(got.columns["channels"]) == {"tv", "ooh", "print", "search", "facebook"}
    assert {c["column"] for c in got.columns["controls"].values()} == {"competitor_sales_B", "newsletter"}
    assert "'na'" in got.left_out["events"]


@pytest.mark.real
def test_panel_and_bare_media_names_are_understood():
    got = found(reference("pymc_marketing/mmm_multidimensional_example.csv"))
    assert got.columns["geo"] == "geo"
    assert set(got.columns["channels"]) == {"x1", "x2"}
    assert set(found(reference("pymc_marketing/mmm_example.csv")).left_out) == {"dayofyear", "t"}
