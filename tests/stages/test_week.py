"""The loop without Airflow: real source file, DVC, PyMC, git and MLflow, on a small regression and short chains."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from project import FIRST, MODEL, Project, monday


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("loop"))


@pytest.fixture(scope="module")
def first(project):
    return project.week(FIRST)


def test_the_source_is_checked_as_far_as_it_goes_before_any_week(project):
    report = project.run("validate", "--model", MODEL)
    assert (report["status"], report["last_week"]) == ("accepted", FIRST)


def test_a_first_week_before_the_data_is_refused_and_leaves_nothing(project):
    said = project.run("week", "--model", MODEL, "--as-of", "1990-01-01", expect=2)
    assert "Expected a Monday from 2023-01-02" in said["message"]
    assert project.history() == []


def test_a_kind_that_may_not_load_is_refused_before_anything_runs(project):
    params = project.params()
    params["models"][MODEL]["kind"] = "os:system"
    good = (project.root / "params.yaml").read_text()
    project.write(params)
    said = project.run("week", "--model", MODEL, "--as-of", FIRST, expect=2)
    (project.root / "params.yaml").write_text(good)
    assert said["error"] == "ConfigError"
    assert project.history() == []


def test_the_first_week_makes_the_first_champion(project, first):
    assert (first["decision"], first["verdict"]) == ("first_fit", "promote")
    assert first["version"].startswith(f"{MODEL}/{FIRST}/")
    (status,) = project.run("status", "--model", MODEL)
    assert status["champion"]["version"] == first["version"]
    assert status["champion"]["fitted_through"] == FIRST
    assert status["registry"] == []
    assert status["ledger"]["faults"] == []


def test_closing_a_week_again_changes_nothing(project, first):
    before = head(project)
    again = project.week(FIRST)
    assert again["status"] == "already closed"
    assert again["version"] == first["version"]
    assert head(project) == before


def head(project):
    return subprocess.run(
        ["git", "rev-parse", f"weeks/{MODEL}"],
        cwd=project.home / "history.git",
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.fixture(scope="module")
def quiet(project, first):
    return project.week(monday(1))


def test_a_quiet_week_updates_the_champion_and_fits_nothing(project, first, quiet):
    assert quiet["decision"] == "update"
    assert quiet["version"] != first["version"]
    assert quiet["version"].startswith(f"{MODEL}/{monday(1)}/")
    week = project.history()[-1]
    assert week["evidence"]["surprise.weeks_scored"] == 1
    assert week["evidence"]["update.new_weeks"] == 1
    assert week["verdict"] is None
    live = project.home / "work" / MODEL / "live" / MODEL
    champion = json.loads((live / "champion.json").read_text())
    assert (champion["parent"], champion["fitted_through"], champion["updated_through"]) == (
        first["version"],
        FIRST,
        monday(1),
    )
    assert (live / "weights.npy").is_file()
    (status,) = project.run("status", "--model", MODEL)
    assert status["champion"]["version"] == quiet["version"]
    assert status["registry"] == []


def test_the_registry_serves_the_updated_posterior(project, quiet):
    script = f"""
from evermix.engines.registry.session import import_mlflow
mlflow = import_mlflow()
mlflow.set_tracking_uri("sqlite:///{project.home}/mlflow.db")
model = mlflow.pyfunc.load_model("models:/{MODEL}@champion")
inner = model._model_impl
sigma = inner.draws["sigma"].to_numpy().tolist()
print(inner.version.id, inner.version.parent, len(set(sigma)), len(sigma))
"""
    env = os.environ | {"PYTHONPATH": project.environment()["PYTHONPATH"]}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, parent, different, draws = done.stdout.split()
    assert version == quiet["version"]
    assert parent != version
    # Draws that weigh much come several times.
    assert int(different) < int(draws)


def test_the_source_is_checked_against_what_was_accepted_before(project, quiet):
    feed = pd.read_csv(project.feed)
    feed["units"] *= 1.05
    good = project.feed.read_bytes()
    feed.to_csv(project.feed, index=False)
    try:
        report = project.run("validate", "--model", MODEL, expect=3)
    finally:
        project.feed.write_bytes(good)
    assert "rewritten_history" in {fault["rule"] for fault in report["faults"]}
    assert project.run("validate", "--model", MODEL)["faults"] == []


def test_a_spec_that_no_fit_could_take_is_refused_by_the_rehearsal_too(project, quiet):
    good = (project.root / "params.yaml").read_text()
    params = project.params()
    params["models"][MODEL]["spec"]["yearly_seasonalty"] = 3
    project.write(params)
    project.deliver(monday(2))
    try:
        said = project.run("week", "--model", MODEL, "--as-of", monday(2), "--dry-run", expect=2)
    finally:
        (project.root / "params.yaml").write_text(good)
        project.deliver(monday(1))
    assert "yearly_seasonalty" in said["message"]


def test_a_week_that_has_not_come_waits_and_decides_nothing(project, quiet):
    outcome = project.week(monday(2), deliver=False)
    assert outcome["status"] == "waiting"
    assert [w["as_of"] for w in project.history()] == [FIRST, monday(1)]


@pytest.fixture(scope="module")
def healed(project, quiet):
    project.deliver(monday(2))
    good = project.feed.read_text()
    project.feed.write_text(good.rsplit("\n", 2)[0] + "\n" + "2026-01-05,many,9.9,3.0,0,0\n")
    broken = project.week(monday(2), deliver=False)
    page = project.run("report", "--model", MODEL)
    assert "quarantine" in Path(page["path"]).read_text()
    same = project.week(monday(2), deliver=False)
    project.feed.write_text(good)
    return broken, same, project.week(monday(2), deliver=False)


def test_a_broken_delivery_is_quarantined_and_the_corrected_one_heals_it(project, healed):
    broken, same, good = healed
    assert broken["decision"] == "quarantine"
    assert any("many" in reason for reason in broken["reasons"])
    assert same["status"] == "already closed"
    assert good["decision"] == "update"
    week = project.history()[-1]
    assert (week["as_of"], week["decision"], week["healed"]) == (monday(2), "update", True)


def test_weeks_that_were_left_out_are_closed_first_and_in_order(project, healed):
    outcome = project.week(monday(5))
    assert [w["as_of"] for w in outcome["caught_up"]] == [monday(3), monday(4)]
    weeks = project.history()
    assert [w["as_of"] for w in weeks] == [monday(i) for i in range(6)]
    assert [w["reconstructed"] for w in weeks] == [False, False, False, True, True, False]


def test_an_earlier_week_than_the_first_is_refused_with_what_to_do(project, healed):
    said = project.run("week", "--model", MODEL, "--as-of", monday(-1), expect=2)
    assert "weeks are closed in order" in said["message"]


@pytest.fixture(scope="module")
def refitted(project, first):
    project.week(monday(5))
    data = project.params()
    data["models"][MODEL]["spec"]["yearly_seasonality"] = 1
    project.write(data)
    return project.week(monday(6))


def test_a_changed_spec_asks_for_a_refit_and_says_why(project, first, refitted):
    assert refitted["decision"] == "refit"
    assert any("spec_changed" in reason for reason in refitted["reasons"])
    assert refitted["verdict"] in {"promote", "hold"}


def test_a_rollback_brings_the_former_champion_back_everywhere(project, first, refitted):
    if refitted["verdict"] == "hold":
        project.run("review", "--model", MODEL, "--answer", "approve", "--by", "ada")
    (before,) = project.run("status", "--model", MODEL)
    assert before["champion"]["base"] != first["version"]
    project.run("rollback", "--model", MODEL, "--by", "ada", "--reason", "test")
    (after,) = project.run("status", "--model", MODEL)
    # Back to the former fit as it was last in use, with the weeks that it had taken in.
    assert after["champion"]["base"] == first["version"]
    assert after["champion"]["updated_through"] == monday(5)
    assert after["registry"] == []
    assert after["ledger"]["faults"] == []


def test_a_fit_is_promoted_without_the_weights_of_its_updates_and_an_update_with_its_own(
    project, first, refitted, quiet
):
    live = project.home / "work" / MODEL / "live" / MODEL
    project.run("promote", "--model", MODEL, "--version", first["version"], "--by", "ada", "--reason", "test")
    assert not (live / "weights.npy").exists()
    project.run("promote", "--model", MODEL, "--version", quiet["version"], "--by", "ada", "--reason", "test")
    assert (live / "weights.npy").is_file()
    (status,) = project.run("status", "--model", MODEL)
    assert (status["champion"]["version"], status["champion"]["base"]) == (quiet["version"], first["version"])
    assert project.run("verify", "--model", MODEL)["clean"] is True


def test_a_registry_that_was_lost_is_rebuilt_from_the_history(project, refitted):
    shutil.rmtree(project.home / "mlartifacts")
    (project.home / "mlflow.db").unlink()
    (lost,) = project.run("status", "--model", MODEL)
    assert any("lacks version" in text for text in lost["registry"])
    repaired = project.run("promote", "--model", MODEL, "--reconcile")
    assert repaired["left"] == []
    (after,) = project.run("status", "--model", MODEL)
    assert after["registry"] == []


@pytest.fixture(scope="module")
def clone(project, refitted, tmp_path_factory):
    """Return a clone of the history on another path, with its data pulled."""
    place = tmp_path_factory.mktemp("elsewhere") / "clone"
    subprocess.run(
        ["git", "clone", "-q", "-b", f"weeks/{MODEL}", str(project.home / "history.git"), str(place)], check=True
    )
    dvc(place, "pull", "-q")
    return place


def dvc(place, *words):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("EVERMIX_", "VIRTUAL_ENV", "PYTHONPATH"))}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=place, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_in_a_clone_elsewhere_nothing_is_left_to_compute_at_any_commit(clone):
    commits = subprocess.run(
        ["git", "log", "--format=%H"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout
    for commit in commits.split()[:4]:
        subprocess.run(["git", "checkout", "-q", commit], cwd=clone, check=True)
        dvc(clone, "pull", "-q")
        assert "Running stage" not in dvc(clone, "repro")
    subprocess.run(["git", "checkout", "-q", f"weeks/{MODEL}"], cwd=clone, check=True)
    dvc(clone, "pull", "-q")


def test_without_output_and_cache_the_refit_gives_the_same_draws(clone):
    import xarray as xr

    path = clone / "fit" / MODEL / "posterior.nc"
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        before = tree["posterior"].to_dataset().load()
    shutil.rmtree(clone / "fit")
    shutil.rmtree(clone / ".dvc" / "cache")
    dvc(clone, "repro", "--force", "--single-item", f"fit@{MODEL}")
    with xr.open_datatree(path, engine="h5netcdf") as tree:
        after = tree["posterior"].to_dataset().load()
    xr.testing.assert_equal(before, after)


def test_a_data_scientist_compares_weeks_with_dvc(clone):
    shown = json.loads(dvc(clone, "metrics", "diff", "HEAD~6", "--json"))
    assert f"out/{MODEL}/monitor.json" in shown
    drawn = json.loads(dvc(clone, "plots", "show", "--json"))
    assert set(drawn["data"]) == {"forecasts", "cusum", "holdout", "fitted"}
    assert not drawn.get("errors")
    assert "holdout_crps" in dvc(clone, "exp", "show", "--csv")
