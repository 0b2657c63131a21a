import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from engines.version_files import make_version, write_version
from scipy import stats

from evermix.errors import DataError
from evermix.served_model import ServedVersion, _load_pyfunc


@pytest.fixture(autouse=True)
def _allow_the_kind(monkeypatch):
    monkeypatch.setenv("EVERMIX_KINDS", "engines.")


def served(tmp_path, geos=("all",)) -> ServedVersion:
    write_version(tmp_path, make_version(), geos)
    return _load_pyfunc(str(tmp_path))


def week(day, spend, **more):
    return pd.DataFrame({"week": pd.to_datetime([day]), "spend.tv": [float(spend)], **more})


def test_next_week_carries_over_from_the_stored_panel(tmp_path):
    answer = served(tmp_path).predict(week("2026-01-12", 100))
    # 2 * (100 + 40 / 2), and the Normal quantiles of sd 1 since all draws agree.
    assert list(answer.columns) == ["week", "geo", "mean", "low", "high"]
    assert answer.loc[0, "mean"] == 240.0
    half = stats.norm.ppf(0.95)
    np.testing.assert_allclose(answer.loc[0, ["low", "high"]].astype(float), [240 - half, 240 + half], atol=1e-9)


def test_a_week_of_the_panel_asked_anew_takes_its_place_and_leaves_the_stored_panel_alone(tmp_path):
    model = served(tmp_path)
    before = model.panel.copy()
    assert model.predict(week("2025-12-29", 0))["mean"].tolist() == [2 * (0 + 10 / 2)]
    pd.testing.assert_frame_equal(model.panel, before)
    assert model.predict(week("2025-12-29", 20))["mean"].tolist() == [2 * (20 + 10 / 2)]


def test_rows_come_back_in_the_order_asked(tmp_path):
    rows = pd.concat([week("2026-01-19", 0), week("2026-01-12", 100)])
    answer = served(tmp_path).predict(rows)
    assert answer["week"].dt.strftime("%Y-%m-%d").tolist() == ["2026-01-19", "2026-01-12"]
    assert answer["mean"].tolist() == [2 * (0 + 100 / 2), 2 * (100 + 40 / 2)]


def test_wider_level_gives_the_wider_interval(tmp_path):
    model, rows = served(tmp_path), week("2026-01-12", 1)
    narrow, wide = (model.predict(rows, {"level": level}) for level in (0.5, 0.99))
    assert wide.loc[0, "low"] < narrow.loc[0, "low"] < narrow.loc[0, "high"] < wide.loc[0, "high"]


def test_each_geo_carries_over_from_itself(tmp_path):
    rows = week("2026-01-12", 0, geo=["north"])
    both = pd.concat([rows, rows.assign(geo="south")])
    assert served(tmp_path, ("north", "south")).predict(both)["mean"].tolist() == [40.0, 400.0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (week("2026-01-13", 1), "2026-01-13, expected a Monday"),
        (week("2026-01-19", 1), "2026-01-12 of all is not there"),
        (week("2025-12-15", 1), "2025-12-15, expected 2025-12-22 or later"),
        (pd.concat([week("2026-01-12", 1)] * 2), "2026-01-12 of all twice"),
        (week("2026-01-12", float("nan")), "spend.tv: got 1 empty cells"),
        (week("2026-01-12", 1, geo=["east"]), "geo: got 'east'"),
        (week("2026-01-12", 1).drop(columns="spend.tv"), "without ['spend.tv']"),
        (week("2026-01-12", 1).iloc[:0], "got 0 rows"),
    ],
)
def test_rows_that_would_be_answered_wrongly_are_refused_by_name(tmp_path, rows, message):
    with pytest.raises(DataError) as caught:
        served(tmp_path).predict(rows)
    assert message in str(caught.value)


def test_a_level_outside_0_and_1_is_refused(tmp_path):
    with pytest.raises(DataError, match="level: got 1"):
        served(tmp_path).predict(week("2026-01-12", 1), {"level": 1.0})


def test_loading_the_door_imports_no_sampler_and_no_mlflow():
    code = "import sys, evermix.served_model; print([m for m in ('pymc', 'mlflow', 'arviz') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
