"""A model that was fitted before evermix came: its draws become the first champion, and the weeks go on from there."""

import shutil

import pytest
from project import FIRST, MODEL, Project, monday
from stages.world import make_panel, make_params, write_fit

from evermix.engines.sources import panel_bytes
from evermix.engines.store import Store, read_json, write_bytes, write_json
from evermix.stages import evaluate


def write_request(store, **more):
    params = make_params()
    request = {
        "id": "0" * 16,
        "kind": params.kind,
        "spec": params.spec,
        "columns": params.columns.model_dump(),
        "evaluation": params.evaluation.model_dump() | {"draws": 100},
        "champion": None,
        "suspects": [],
    }
    write_json(store.request / "request.json", request | more)
    write_bytes(store.request / "panel.parquet", panel_bytes(make_panel(120)))
    write_fit(store, request)
    (store.fit / "holdout.nc").unlink()


def test_adopted_draws_have_no_holdout_and_the_evaluation_says_whose_word_stands_for_it(tmp_path):
    store = Store(tmp_path, "brand")
    write_request(store, adopted={"by": "ada", "reason": "r"})
    record = evaluate.run(store, make_params())
    assert "adopted by ada" in record["not_applicable"]["holdout_crps_ratio"]
    assert "holdout_crps_ratio" not in record["metrics"]
    assert record["values"]["coverage_90"] > 0.5


def test_a_holdout_that_is_missing_otherwise_stays_missing_evidence(tmp_path):
    store = Store(tmp_path, "brand")
    write_request(store)
    record = evaluate.run(store, make_params())
    assert "holdout_crps_ratio" not in record["not_applicable"]
    assert record["values"].get("holdout_crps_ratio") is None


@pytest.fixture(scope="module")
def draws(tmp_path_factory):
    """Return a fit that a project of its own made of the same feed."""
    source = Project(tmp_path_factory.mktemp("source"))
    source.week(FIRST)
    path = tmp_path_factory.mktemp("draws") / "fitted.nc"
    shutil.copyfile(source.home / "work" / MODEL / "live" / MODEL / "base.nc", path)
    return path, read_json(source.home / "work" / MODEL / "live" / MODEL / "champion.json")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("adopts"))


def adopt(project, path, expect=0):
    words = ("--draws", str(path), "--as-of", FIRST, "--reason", "fitted by hand", "--by", "ada")
    return project.run("adopt", "--model", MODEL, *words, expect=expect)


@pytest.mark.slow
def test_a_file_of_another_season_is_refused_and_nothing_is_recorded(project, draws):
    params = project.params()
    good = (project.root / "params.yaml").read_text()
    params["models"][MODEL]["spec"]["yearly_seasonality"] = 1
    project.write(params)
    said = adopt(project, draws[0], expect=3)
    (project.root / "params.yaml").write_text(good)
    assert "feature of coefficient is" in said["message"]
    assert project.history() == []


@pytest.mark.slow
def test_a_fit_is_adopted_and_the_week_after_goes_on_from_it(project, draws):
    path, version = draws
    adopted = adopt(project, path)
    assert (adopted["decision"], adopted["verdict"]) == ("first_fit", "promote")
    assert adopted["reasons"][0] == "adopted by ada: fitted by hand"
    assert adopted["adopted"]["mape"] < 0.1
    # The draws of a week carry no record of their data, and the answer says so.
    assert adopted["adopted"]["compared"] == []
    champion = read_json(project.home / "work" / MODEL / "live" / MODEL / "champion.json")
    assert (champion["draws_hash"], champion["basis"]) == (version["draws_hash"], version["basis"])
    project.week(monday(1))
    after = project.history()[-1]
    assert after["decision"] == "update"
    updated = read_json(project.home / "work" / MODEL / "live" / MODEL / "champion.json")
    assert (updated["id"], updated["parent"]) == (after["version"], champion["id"])
    assert after["evidence"]["surprise.weeks_scored"] == 1
    assert after["evidence"]["structure.spec_changed"] is False
    assert project.run("verify")["clean"] is True
    said = adopt(project, path, expect=2)
    assert "only a model without one can adopt" in said["message"]
