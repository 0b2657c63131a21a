from datetime import date

import numpy as np
import pandas as pd
import pytest
from deliveries import model_params, weekly_text

from evermix.core.panel import to_panel
from evermix.engines.calendars import add_holidays, check_calendars
from evermix.engines.models import load_kind
from evermix.engines.models.design import make_design, pin_basis
from evermix.errors import ConfigError

GB = {"calendar": "GB", "subdivision": None}
ENGLAND = {"calendar": "GB", "subdivision": "ENG"}


def columns(**events):
    return model_params(events=events).columns


def weeks(*mondays):
    return pd.DataFrame({"week": pd.to_datetime(list(mondays)).astype("datetime64[s]"), "geo": "all", "target": 1.0})


def counts(calendar, week_start, *mondays):
    return add_holidays(weeks(*mondays), columns(h=calendar), week_start)["event.h"].tolist()


def test_a_week_counts_the_holidays_from_its_first_to_its_last_day():
    # Good Friday 3 April, Easter Monday 6 April 2026; Christmas on Friday, Boxing Day on Saturday, observed on Monday.
    assert counts(ENGLAND, "MON", "2026-03-30", "2026-04-06", "2026-04-13", "2026-12-21", "2026-12-28") == [
        1,
        1,
        0,
        2,
        2,
    ]


def test_a_week_that_starts_on_another_day_has_that_weeks_holidays():
    # The week from Sunday to Saturday that holds Monday 25 May 2026 (spring bank holiday), and one from Tuesday.
    assert counts(ENGLAND, "SUN", "2026-05-25") == [1]
    assert counts(ENGLAND, "TUE", "2026-05-25", "2026-06-01") == [1, 0]


def test_a_week_across_two_years_sees_both():
    assert counts({"calendar": "DE", "subdivision": None}, "MON", "2025-12-22", "2025-12-29") == [2, 1]


def test_a_subdivision_has_holidays_of_its_own():
    # 2 January is a holiday in Scotland alone.
    scotland = {"calendar": "GB", "subdivision": "SCT"}
    assert counts(scotland, "MON", "2025-12-29")[0] == counts(ENGLAND, "MON", "2025-12-29")[0] + 1


def test_columns_stand_in_the_order_of_events():
    promo = {"column": "promo", "aggregate": "max"}
    params = model_params(events={"bank": GB, "promo": promo, "xmas": ENGLAND})
    panel = to_panel(weekly_text(), params.columns, params.source, date(2025, 2, 17))
    got = add_holidays(panel, params.columns, "MON")
    assert list(got)[-4:] == ["control.price", "event.bank", "event.promo", "event.xmas"]
    assert got["event.bank"].dtype == np.float64
    pd.testing.assert_frame_equal(got.drop(columns=["event.bank", "event.xmas"]), panel)


def test_without_calendars_the_panel_is_left_alone():
    panel = weeks("2026-01-05")
    assert add_holidays(panel, columns(), "MON") is panel


@pytest.mark.parametrize(
    ("calendar", "words"),
    [
        (
            {"calendar": "gb", "subdivision": None},
            r"events\.h\.calendar: got 'gb', expected a country code, such as GB",
        ),
        ({"calendar": "GB", "subdivision": "SCO"}, r"subdivision: got 'SCO' of GB, .* such as SCT"),
        ({"calendar": "AD", "subdivision": "x"}, r"subdivision: got 'x' of AD"),
    ],
)
def test_an_unknown_calendar_is_named_with_the_nearest_known(calendar, words):
    with pytest.raises(ConfigError, match=words):
        check_calendars(columns(h=calendar))


def test_all_unknown_calendars_are_named_at_once_and_known_ones_pass():
    with pytest.raises(ConfigError, match=r"(?s)events\.a\..*events\.b\."):
        check_calendars(
            columns(a={"calendar": "ZZZ", "subdivision": None}, b={"calendar": "Q", "subdivision": None}, c=GB)
        )
    check_calendars(columns(c=GB, d=ENGLAND))


@pytest.mark.parametrize("kind", ["mmm", "regression"])
def test_a_calendar_is_an_event_to_every_kind(kind):
    params = model_params(events={"bank": GB})
    panel = add_holidays(
        to_panel(weekly_text(), params.columns, params.source, date(2025, 2, 17)), params.columns, "MON"
    )
    dumped = params.columns.model_dump()
    basis = pin_basis(panel, dumped, None)
    design = make_design(panel, dumped, basis, {"trend": False})
    assert design.control_names == ("price", "bank")
    np.testing.assert_allclose(design.controls[:, 0, 1], panel["event.bank"] / panel["event.bank"].max())
    spec = {"yearly_seasonality": None, "trend": False}
    spec |= (
        {
            "adstock": {"class": "GeometricAdstock", "kwargs": {"l_max": 2}},
            "saturation": {"class": "LogisticSaturation", "kwargs": {}},
            "model_config": {},
        }
        if kind == "mmm"
        else {
            "media": "linear",
            "likelihood": "Normal",
            "priors": {"intercept_sd": 1.0, "coefficient_sd": 1.0, "noise_sd": 1.0},
        }
    )
    load_kind(kind).check(spec, dumped)
    model = load_kind(kind).build(panel, dumped, spec, basis)
    assert "bank" in {*model.coords.get("control", ()), *model.coords.get("feature", ())}
