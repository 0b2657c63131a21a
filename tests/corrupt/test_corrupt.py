"""Every corrupt delivery is reported with its place and modelled by nobody; the good file heals it."""

from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd
import pytest
from corrupt.corruptions import DAILY, PANEL, PARQUET, WEEKLY, parquet_bytes
from deliveries import AS_OF, csv_bytes, daily_text, model_params, weekly_text

from evermix.config import ModelParams
from evermix.engines.contract import check
from evermix.engines.sources import panel_bytes, read_panel
from evermix.engines.store import Store, write_bytes, write_json
from evermix.records import ValidationReport
from evermix.stages import validate
from evermix.stages.ingest import take_snapshot

WEEK_BEFORE, ARRIVED = AS_OF - timedelta(weeks=1), AS_OF + timedelta(days=8)
CASES = [
    (base, name)
    for base, table in (("weekly", WEEKLY), ("panel", PANEL), ("daily", DAILY), ("parquet", PARQUET))
    for name in table
]


@dataclass(frozen=True)
class Base:
    """A clean delivery with its params, and the panel that was accepted a week before."""

    params: ModelParams
    clean: pd.DataFrame
    accepted: bytes

    def file(self, told: pd.DataFrame | bytes) -> bytes:
        if isinstance(told, bytes):
            return told
        return parquet_bytes(told) if self.params.source.format == "parquet" else csv_bytes(told)


@pytest.fixture(scope="module")
def bases():
    daily = daily_text(date(2024, 1, 1), 60 * 7)
    made = {
        "weekly": (model_params(), weekly_text()),
        "panel": (model_params(geo="geo"), weekly_text(geos=("north", "south"))),
        "daily": (model_params(frequency="daily"), daily),
        "parquet": (model_params(format="parquet"), weekly_text()),
    }
    out = {}
    for name, (params, frame) in made.items():
        days = pd.to_datetime(frame["week"])
        before = check(frame[days < pd.Timestamp(AS_OF)], "m", params, WEEK_BEFORE, None)
        assert before.report.faults == []
        out[name] = Base(params, frame, panel_bytes(before.panel))
    return out


def run_week(store: Store, base: Base, data: bytes) -> ValidationReport:
    """Take the delivery of the week and hold it against the contract, as the weekly loop does."""
    feed = store.root / "feed"
    feed.write_bytes(data)
    write_bytes(store.before / "panel.parquet", base.accepted)
    accepted = read_panel(store.before / "panel.parquet")
    taken = take_snapshot(base.params, str(feed), AS_OF, store.snapshot, today=ARRIVED, accepted=accepted)
    assert taken.status == "taken"
    write_json(store.week, {"model": "m", "as_of": AS_OF.isoformat(), "reconstructed": False})
    return validate.run(store, base.params)


@pytest.mark.parametrize(("base", "name"), CASES, ids=[f"{base}: {name}" for base, name in CASES])
def test_corrupt_delivery_is_reported_and_not_modelled(bases, tmp_path, base, name):
    corruption = {"weekly": WEEKLY, "panel": PANEL, "daily": DAILY, "parquet": PARQUET}[base][name]
    broken = bases[base].file(corruption.change(bases[base].clean.copy()))
    store = Store(tmp_path, "m")
    report = run_week(store, bases[base], broken)
    assert report.status == "quarantined"
    places = [fault.where for fault in report.faults if fault.rule == corruption.rule]
    assert any(corruption.where in place for place in places), [(f.rule, f.where) for f in report.faults]
    assert all(fault.what and fault.value and fault.expected and fault.action for fault in report.faults)
    assert max(len(fault.model_dump_json()) for fault in report.faults) < 2000
    assert not (store.validated / "panel.parquet").exists()
    page = (store.validated / "report.html").read_text()
    assert "<script" not in page
    assert len(page) < 200_000


@pytest.mark.parametrize("base", ["weekly", "panel", "daily", "parquet"])
def test_the_good_file_heals_and_keeps_all_weeks(bases, tmp_path, base):
    store = Store(tmp_path, "m")
    assert run_week(store, bases[base], b"\x1f\x8b broken").status == "quarantined"
    report = run_week(store, bases[base], bases[base].file(bases[base].clean))
    assert (report.status, report.faults, report.warnings) == ("accepted", [], [])
    assert len(pd.read_parquet(store.validated / "panel.parquet")["week"].unique()) == 60


def test_there_are_more_than_a_hundred_of_them():
    assert len(CASES) >= 150
