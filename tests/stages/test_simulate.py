"""The publisher: same seed, same bytes, and a feed that changes as a real one would."""

import json

import pytest

from evermix.core.simulate import simulate
from evermix.core.simulate_scenarios import SCENARIOS
from evermix.errors import ConfigError
from evermix.stages.simulate import publish, run


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("scenario", ["demo", "regions", "demand", "corrupt", "student_t"])
def test_same_seed_same_bytes(tmp_path, scenario):
    one = run(11, tmp_path / "a", scenario, 6)
    two = run(11, tmp_path / "b", scenario, 6)
    assert one == two
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    run(12, tmp_path / "c", scenario, 6)
    assert contents(tmp_path / "a")["feed.csv"] != contents(tmp_path / "c")["feed.csv"]


def test_the_demo_folder_holds_feed_truth_and_one_delivery_per_week_and_correction(tmp_path):
    summary = run(1, tmp_path, "demo")
    files = contents(tmp_path)
    played = [d["file"] for d in summary["deliveries"]]
    assert set(files) == {"feed.csv", "truth.json", "deliveries/2025-12-22.csv", *played}
    assert played == [
        "deliveries/2025-12-29.csv",
        "deliveries/2026-01-05.csv",
        "deliveries/2026-01-05.2.csv",
        "deliveries/2026-01-12.csv",
        "deliveries/2026-01-19.csv",
        "deliveries/2026-01-26.csv",
        "deliveries/2026-02-02.csv",
    ]
    assert files["feed.csv"] == files["deliveries/2026-02-02.csv"]
    assert {k: v for k, v in summary.items() if k != "deliveries"} == {
        "scenario": "demo",
        "model": "brand",
        "seed": 1,
        "first_week": "2023-01-02",
        "last_week": "2026-02-02",
        "history_through": "2025-12-22",
    }
    assert [[p["kind"] for p in d["planted"]] for d in summary["deliveries"]] == [
        [],
        ["corrupt"],
        [],
        [],
        ["new_channel"],
        ["level_shift"],
        ["restated"],
    ]


def test_the_demo_launch_told_by_the_truth_is_the_week_whose_delivery_brings_the_column(tmp_path):
    run(1, tmp_path, "demo")
    truth = json.loads((tmp_path / "truth.json").read_text())
    (launch,) = [e for e in truth["events"] if e["kind"] == "new_channel"]
    shown = [p.name for p in sorted((tmp_path / "deliveries").glob("*.csv")) if launch["column"] in p.read_text()]
    assert shown[0] == f"{launch['week']}.csv"


def test_a_second_run_leaves_no_delivery_of_the_first_and_no_other_file_touched(tmp_path):
    run(1, tmp_path, "demo")
    (tmp_path / "deliveries" / "notes.csv").write_text("mine")
    run(2, tmp_path, "demo", 1)
    names = sorted(p.name for p in (tmp_path / "deliveries").iterdir())
    assert names == ["2025-12-22.csv", "2025-12-29.csv", "notes.csv"]


def test_publish_replaces_the_feed_week_after_week(tmp_path):
    simulation = simulate(SCENARIOS["demo"], 1)
    first = publish(simulation, tmp_path / "brand", "2025-12-22")
    before = first.read_bytes()
    assert first == tmp_path / "brand" / "feed.csv"
    publish(simulation, tmp_path / "brand", "2026-01-05", attempt=2)
    assert first.read_bytes().startswith(before)
    assert [p.name for p in first.parent.iterdir()] == ["feed.csv"]


def test_no_weeks_to_play_leaves_the_history(tmp_path):
    summary = run(1, tmp_path, "quiet", 0)
    assert summary["deliveries"] == []
    assert summary["last_week"] == summary["history_through"] == "2025-12-22"
    assert len((tmp_path / "feed.csv").read_text().splitlines()) == 157


def test_an_unknown_scenario_writes_nothing(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'regions'"):
        run(1, tmp_path, "region")
    assert list(tmp_path.iterdir()) == []
