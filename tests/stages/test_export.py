"""Tables for BI from a small history whose truth is known: two closed weeks of a regression, and a plan."""

import hashlib
import sqlite3
from datetime import date

import numpy as np
import pandas as pd
import psycopg2
import pytest
import yaml
from servers import PASSWORD, postgres
from stages.world import COLUMNS, FITTED_WEEKS, make_draws, make_panel, make_params, version_file, week_of

from evermix.config import Environment
from evermix.core import ledger
from evermix.engines.history import History
from evermix.engines.models.drawsfile import save_tree
from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, write_bytes, write_json, write_text
from evermix.errors import ConfigError, ServiceError
from evermix.stages import export

FIRST, LAST = week_of(FITTED_WEEKS - 1), week_of(FITTED_WEEKS)
VERSION = f"brand/{FIRST}/0123abcd"
PLAN = "week,tv_spend,search_spend,price\n" + "".join(f"{week_of(FITTED_WEEKS + i)},150,{150 * i},10\n" for i in (1, 2))
TABLES = ("contributions", "roas", "forecasts", "decisions")


def score(number):
    bounds = {"mean": 1000.0, "low_50": 990.0, "high_50": 1010.0, "low_90": 970.0, "high_90": 1030.0}
    numbers = {"log_score": -4.0, "crps": 5.0, "pit": 0.5, "z": 0.0, "observed": 1005.0}
    return {"week": week_of(number), "geo": "all", "as_of": week_of(number), "version": VERSION, **bounds, **numbers}


def decide(events, as_of, decision, champion):
    return ledger.append(
        events,
        *("decision", as_of, f"{as_of}T06:00:00+00:00", "evermix"),
        decision=decision,
        reasons=["as planned", "twice"],
        evidence={},
        rules=[],
        champion=champion,
        snapshot="0" * 64,
        reconstructed=False,
        code={},
    )


def close(history, weeks, events, log, plan=None, champion=True):
    store = Store(history.root, history.model)
    write_text(store.live / "ledger.jsonl", ledger.to_lines(events))
    write_json(store.live / "prequential.json", {"rows": log, "reset_after": None})
    write_text(history.root / "params.yaml", yaml.safe_dump({"models": {"brand": make_params().model_dump()}}))
    write_bytes(store.live / "panel.parquet", panel_bytes(make_panel(weeks)))
    if plan is not None:
        write_text(store.snapshot / "plan.csv", plan)
    if champion:
        write_json(store.live / "champion.json", version_file())
        save_tree(make_draws(), store.live / "base.nc")
    history.commit(f"closed {history.model} {ledger.last_decided(events)}\n\nOutcome: as said")


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    root = tmp_path_factory.mktemp("export")
    env = Environment(root, root / "home", "", str(root / "home" / "history.git"), str(root / "home" / "dvc-remote"))
    history = History(env, "brand")
    history.sync()
    events = decide([], FIRST, "first_fit", VERSION)
    close(history, FITTED_WEEKS, events, [])
    close(history, FITTED_WEEKS + 1, decide(events, LAST, "keep", VERSION), [score(FITTED_WEEKS)], PLAN)
    write_text(history.root / "in" / "brand" / "snapshot" / "plan.csv", "of a week that is computed, not closed")
    history.commit(f"computed brand {week_of(FITTED_WEEKS + 1)}")
    return env


@pytest.fixture
def exported(env, tmp_path):
    summary = export.run(env, ["brand"], str(tmp_path), None)
    return summary, {name: pd.read_parquet(tmp_path / name / "brand.parquet") for name in TABLES}


def test_every_row_says_its_model_version_and_week(exported):
    summary, tables = exported
    assert summary["rows"] == {name: len(table) for name, table in tables.items()}
    assert summary["models"][0]["notes"] == []
    for table in tables.values():
        assert list(table)[:3] == ["model", "version", "as_of"]
        assert set(table["model"]) == {"brand"}
        assert set(table["version"]) == {VERSION}
    assert set(tables["contributions"]["as_of"]) == {date.fromisoformat(LAST)}


def test_contributions_of_a_week_add_up_to_the_mean_and_name_their_role(exported):
    table = exported[1]["contributions"]
    assert len(table) == (FITTED_WEEKS + 1) * 5
    roles = table.groupby("component")["role"].first().to_dict()
    base = {"intercept": "base", "seasonality": "base"}
    assert roles == {"tv": "channel", "search": "channel", "price": "control", **base}
    panel = make_panel(FITTED_WEEKS + 1)
    total = table.groupby("week")["mean"].sum()
    # The world's noise is 20; the mean lies that close to what was observed.
    assert np.abs(total.to_numpy() - panel["target"].to_numpy()).std() < 25
    assert (table["low_90"] <= table["mean"]).all()
    assert (table["mean"] <= table["high_90"]).all()


def test_roas_is_the_last_years_contribution_over_its_spend(exported):
    tables = exported[1]
    row = tables["roas"].set_index("channel").loc["tv"]
    recent = make_panel(FITTED_WEEKS + 1).tail(52)
    weeks = [day.date() for day in recent["week"]]
    tv = tables["contributions"].query("component == 'tv'")
    by_hand = tv[tv["week"].isin(weeks)]["mean"].sum() / recent["spend.tv"].sum()
    assert row["mean"] == pytest.approx(by_hand)
    assert (row["first_week"], row["last_week"], row["weeks"]) == (weeks[0], weeks[-1], 52)
    assert row["spend"] == pytest.approx(recent["spend.tv"].sum())
    assert row["low_90"] < row["median"] < row["high_90"]
    # The truth: 100 * 0.8 * log(1 + spend / 300) a week.
    truth = (80 * np.log1p(recent["spend.tv"] / 300)).sum() / recent["spend.tv"].sum()
    assert row["low_90"] < truth < row["high_90"]


def test_forecasts_hold_what_was_said_before_a_week_came_and_what_is_planned(exported):
    table = exported[1]["forecasts"].set_index("kind")
    past = table.loc["one_step"]
    assert (past["week"], past["observed"], past["mean"]) == (date.fromisoformat(LAST), 1005.0, 1000.0)
    plan = table.loc["plan"]
    assert [str(week) for week in plan["week"]] == [week_of(FITTED_WEEKS + i) for i in (1, 2)]
    assert plan["observed"].isna().all()
    # More search spend, more sales: 100 * 1.2 * (log 2 - log 1.5), and the season moves a little.
    gain = plan["mean"].iloc[1] - plan["mean"].iloc[0]
    assert gain == pytest.approx(120 * np.log(2 / 1.5), abs=8)
    assert (plan["low_90"] < plan["low_50"]).all()
    assert (plan["high_50"] < plan["high_90"]).all()


def test_decisions_are_one_row_a_week(exported):
    table = exported[1]["decisions"]
    assert table["decision"].tolist() == ["first_fit", "keep"]
    assert table["reasons"].tolist() == ["as planned; twice"] * 2
    assert table["approval"].isna().all()
    assert table["healed"].tolist() == [False, False]


def test_the_same_history_gives_the_same_bytes(env, tmp_path):
    def digest(folder):
        export.run(env, ["brand"], str(folder), None)
        return {name: hashlib.sha256((folder / name / "brand.parquet").read_bytes()).hexdigest() for name in TABLES}

    assert digest(tmp_path / "a") == digest(tmp_path / "b") == digest(tmp_path / "a")


def test_a_past_week_is_exported_as_it_was_closed_and_one_that_is_not_closed_is_refused(env, tmp_path):
    summary = export.run(env, ["brand"], str(tmp_path), FIRST)
    assert summary["models"][0]["as_of"] == FIRST
    assert summary["rows"]["decisions"] == 1
    assert summary["rows"]["forecasts"] == 0
    with pytest.raises(ConfigError, match="is not closed"):
        export.run(env, ["brand"], str(tmp_path), week_of(FITTED_WEEKS + 1))


def test_a_model_without_a_closed_week_is_passed_over_and_none_at_all_is_an_error(env, tmp_path):
    summary = export.run(env, ["brand", "nobody"], str(tmp_path), None)
    assert [m["model"] for m in summary["models"]] == ["brand"]
    with pytest.raises(ConfigError, match="no week is closed"):
        export.run(env, ["nobody"], str(tmp_path), None)


def test_what_cannot_be_told_is_noted(tmp_path):
    env = Environment(tmp_path, tmp_path / "home", "", str(tmp_path / "home" / "history.git"), "")
    history = History(env, "brand")
    history.sync()
    close(history, FITTED_WEEKS, decide([], FIRST, "quarantine", None), [], champion=False)
    first = export.run(env, ["brand"], str(tmp_path / "out"), None)["models"][0]
    assert first["notes"] == ["no version is in use yet: no contributions, ROAS or forecasts of planned weeks"]
    assert first["rows"] == {"contributions": 0, "roas": 0, "forecasts": 0, "decisions": 1}
    empty = pd.read_parquet(tmp_path / "out" / "roas" / "brand.parquet")
    assert "median" in empty
    bad = PLAN.replace(",10\n", ",\n")
    close(history, FITTED_WEEKS + 1, decide([], LAST, "first_fit", VERSION), [], bad)
    second = export.run(env, ["brand"], str(tmp_path / "out"), None)["models"][0]
    assert second["notes"][0] == "plan, row 2, column price: blank, got '', expected a number in every row"
    assert (second["rows"]["roas"], second["rows"]["forecasts"]) == (len(COLUMNS["channels"]), 0)


def rows_of(connection, table):
    cursor = connection.cursor()
    cursor.execute(f"select * from evermix_{table}")
    return cursor.fetchall()


def test_a_database_gets_the_same_rows_and_an_export_again_changes_nothing(env, tmp_path):
    url = f"sqlite:///{tmp_path}/bi.db"
    for _ in range(2):
        summary = export.run(env, ["brand"], url, None)
    with sqlite3.connect(tmp_path / "bi.db") as connection:
        assert {name: len(rows_of(connection, name)) for name in TABLES} == summary["rows"]
    export.run(env, ["brand"], url, FIRST)
    with sqlite3.connect(tmp_path / "bi.db") as connection:
        weeks = {row[2] for row in rows_of(connection, "contributions")}
        assert weeks == {FIRST, LAST}
        assert len(rows_of(connection, "decisions")) == 2
        assert len(rows_of(connection, "forecasts")) == summary["rows"]["forecasts"]
    connection.close()


def test_postgres_gets_typed_columns_and_nothing_half_written(env, tmp_path, monkeypatch):
    monkeypatch.setenv("EVERMIX_BI_PASSWORD", PASSWORD)
    export.run(env, ["brand"], str(tmp_path), None)
    with postgres() as port:
        url = f"postgresql://evermix:${{EVERMIX_BI_PASSWORD}}@127.0.0.1:{port}/evermix"
        summary = export.run(env, ["brand"], url, None)
        assert summary["to"] == f"postgresql://***@127.0.0.1:{port}/evermix"
        export.run(env, ["brand"], url, None)
        connection = psycopg2.connect(host="127.0.0.1", port=port, user="evermix", dbname="evermix", password=PASSWORD)
        connection.autocommit = True
        for name in TABLES:
            kept = pd.read_parquet(tmp_path / name / "brand.parquet").astype(object)
            kept = kept.where(kept.notna(), None)
            assert sorted(map(repr, rows_of(connection, name))) == sorted(
                repr(tuple(row)) for row in kept.itertuples(index=False)
            )
        connection.cursor().execute("alter table evermix_decisions drop column healed")
        with pytest.raises(ConfigError, match="Nothing was written"):
            export.run(env, ["brand"], url, FIRST)
        assert {row[2] for row in rows_of(connection, "contributions")} == {date.fromisoformat(LAST)}
        connection.close()
    with pytest.raises(ServiceError, match="run the export again") as caught:
        export.run(env, ["brand"], url, None)
    assert PASSWORD not in str(caught.value)


def test_a_target_that_is_no_database_is_a_config_error(env):
    with pytest.raises(ConfigError, match="Expected a folder"):
        export.run(env, ["brand"], "nosuch://x", None)
