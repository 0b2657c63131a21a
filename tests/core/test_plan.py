from datetime import date

import numpy as np
import pandas as pd
import pytest
from deliveries import AS_OF, CHANNELS, daily_text, model_params, weekly_text

from evermix.core.plan import plan_panel

GEOS = ("all",)


def planned(weeks=3, geos=("",)):
    """Weeks after AS_OF, as the source would tell them, without a target."""
    rows = [(AS_OF + pd.Timedelta(weeks=i + 1), geo) for i in range(weeks) for geo in geos]
    frame = pd.DataFrame(
        {
            "week": [str(day) for day, _ in rows],
            "tv_spend": "100",
            "search_spend": "50",
            "search_clicks": "150",
            "price": "9.5",
            "promo": "1",
        },
        index=pd.RangeIndex(2, 2 + len(rows)),
        dtype="str",
    )
    return frame if geos == ("",) else frame.assign(geo=[geo for _, geo in rows])


def read(frame, geos=GEOS, **changes):
    return plan_panel(frame, model_params(**changes), AS_OF, geos)


def told(frame, geos=GEOS, **changes):
    panel, faults = read(frame, geos, **changes)
    assert panel is None
    return [f"{f.where}: {f.what}, {f.value}" for f in faults]


def test_a_plan_is_a_panel_of_the_weeks_after_as_of_without_a_target():
    panel, faults = read(planned())
    assert faults == []
    assert list(panel) == [
        *("week", "geo", "target", "spend.tv", "spend.search", "exposure.search", "control.price", "event.promo")
    ]
    assert [str(w.date()) for w in panel["week"]] == ["2025-02-24", "2025-03-03", "2025-03-10"]
    assert panel["target"].isna().all()
    assert panel["spend.tv"].tolist() == [100.0] * 3


def test_past_rows_are_left_alone_whatever_they_say():
    past = weekly_text(2).drop(columns="sales").assign(tv_spend="what?")
    panel, faults = read(pd.concat([past, planned()], ignore_index=True))
    assert faults == []
    assert len(panel) == 3


def test_blank_planned_spend_is_zero():
    assert read(planned().assign(tv_spend=""))[0]["spend.tv"].tolist() == [0.0] * 3


def test_a_daily_plan_is_summed_to_whole_weeks():
    days = daily_text(date(2025, 2, 24), 10).drop(columns="sales")
    panel, faults = read(days, frequency="daily")
    assert faults == []
    assert panel[["spend.tv", "control.price"]].to_numpy().tolist() == [[14.0, np.mean([24, 25, 26, 27, 28, 1, 2])]]


def test_a_plan_of_geos_has_each_in_every_week():
    panel, faults = read(planned(2, ("n", "s")), ("n", "s"), geo="geo")
    assert (len(panel), faults) == (4, [])
    assert told(planned(2, ("n", "s")).iloc[:-1], ("n", "s"), geo="geo") == [
        "plan, week 2025-03-03, geo s: missing or repeated, 0 row(s)"
    ]
    assert "other geos than the data, n, s" in told(planned(2, ("n", "s")), ("n", "w"), geo="geo")[0]


def test_a_retired_channel_may_be_absent_and_is_zero():
    channels = CHANNELS | {"tv": CHANNELS["tv"] | {"retired": "2025-01-06"}}
    panel, faults = read(planned().drop(columns="tv_spend"), channels=channels)
    assert faults == []
    assert panel["spend.tv"].tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (planned().assign(week="2025-02-25"), "a weekly row on another day"),
        (planned().assign(week="soon"), "row 2, column week: not a date, 'soon'"),
        (planned().drop(columns="week"), "header: no column week"),
        (planned().drop(columns="price"), "header: no column price (control.price)"),
        (planned().assign(price=""), "row 2, column price: blank"),
        (planned().assign(tv_spend="-1"), "a negative amount, '-1'"),
        (planned().assign(tv_spend="1,000"), "not a plain finite number, '1,000'"),
        (planned().assign(tv_spend="inf"), "not a plain finite number, 'inf'"),
        (planned().iloc[1:], "the first planned week does not follow as_of, 2025-03-03"),
        (planned().iloc[[0, 2]], "week 2025-03-03, geo all: missing or repeated, 0 row(s)"),
        (pd.concat([planned(), planned()], ignore_index=True), "missing or repeated, 2 row(s)"),
        (weekly_text().drop(columns="sales"), "no week after as_of, 60 row(s)"),
        (pd.concat([planned(), planned()[["price"]]], axis=1), "a column name stands twice"),
    ],
)
def test_what_is_wrong_with_a_plan_is_told_and_it_is_not_used(frame, words):
    assert words in told(frame)[0]


def test_many_faults_of_a_plan_are_counted():
    faults = told(planned(9).assign(price=""))
    assert len(faults) == 6
    assert faults[-1].startswith("plan, 4 more places")
