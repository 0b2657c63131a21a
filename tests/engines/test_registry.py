import json
import time

import pandas as pd
import pytest
from engines.version_files import make_version, write_version

from evermix.engines.registry import Registry
from evermix.errors import ServiceError, StoreError

pytestmark = [
    # mlflow 3.17 uses loader strategies that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One SQLite registry for the whole file (its tables take seconds to make); each test has its own model."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def registry(home, monkeypatch):
    monkeypatch.setenv("EVERMIX_KINDS", "engines.")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")


def publish(registry, folder, version, **tags):
    files = write_version(folder, version)
    metrics = {"rhat_max": 1.003, "ess_bulk_min": 812.0}
    return registry.publish(version, files, metrics, {"sampler.chains": 4}, {"git_commit": "c0ffee", **tags})


def run_of(registry, model, place=0):
    state = registry.state(model)
    with registry._talking("reading a run") as client:
        return client.get_run(state["versions"][place]["run_id"])


def test_publishing_makes_one_run_and_one_version_with_diagnostics_tags_and_plots(registry, tmp_path):
    version = make_version("first")
    assert publish(registry, tmp_path, version, verdict="promote") == 1
    (known,) = registry.state("first")["versions"]
    assert known["id"] == version.id
    assert known["tags"] == {"evermix_version": version.id, "git_commit": "c0ffee", "verdict": "promote"}
    run = run_of(registry, "first")
    assert run.data.metrics == {"rhat_max": 1.003, "ess_bulk_min": 812.0}
    assert run.data.params == {"sampler.chains": "4"}
    assert run.info.status == "FINISHED"
    with registry._talking("listing artifacts") as client:
        assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == ["plots/roas.png"]


def test_a_version_that_two_workers_publish_at_the_same_moment_keeps_its_first_number(registry, tmp_path, monkeypatch):
    version = make_version("twice")
    publish(registry, tmp_path, version)
    # The second worker looked before the first one was done.
    with monkeypatch.context() as late:
        late.setattr("evermix.engines.registry.client._find_version", lambda *_: None)
        assert publish(registry, tmp_path, version) == 1
    assert [known["number"] for known in registry.state("twice")["versions"]] == [1]


def test_publishing_a_version_again_changes_nothing(registry, tmp_path):
    version = make_version("again")
    publish(registry, tmp_path, version, verdict="promote")
    before, run = registry.state("again"), run_of(registry, "again").to_dictionary()
    assert publish(registry, tmp_path, version, verdict="reject") == 1
    assert registry.state("again") == before
    assert run_of(registry, "again").to_dictionary() == run


def test_a_publication_that_broke_off_is_completed_in_the_same_run(registry, tmp_path, monkeypatch):
    from evermix.engines.registry import publish as steps

    version = make_version("halfway")
    with monkeypatch.context() as patch:
        patch.setattr(steps, "save_model", lambda *_, **__: (_ for _ in ()).throw(OSError("disk is full")))
        with pytest.raises(StoreError, match="disk is full"):
            publish(registry, tmp_path, version)
    assert registry.state("halfway")["versions"] == []
    assert publish(registry, tmp_path, version) == 1
    with registry._talking("counting") as client:
        experiment = client.get_experiment_by_name("halfway").experiment_id
        assert [run.info.status for run in client.search_runs([experiment])] == ["FINISHED"]
        assert [model.status for model in client.search_logged_models([experiment])] == ["READY"]


def test_aliases_move_roll_back_and_go(registry, tmp_path):
    old, new = make_version("moves", "2026-01-05"), make_version("moves", "2026-01-12")
    publish(registry, tmp_path / "old", old)
    publish(registry, tmp_path / "new", new)
    registry.set_alias("moves", "champion", old.id)
    registry.set_alias("moves", "challenger", new.id)
    assert (registry.get_alias("moves", "champion"), registry.get_alias("moves", "challenger")) == (old.id, new.id)
    registry.set_alias("moves", "champion", new.id)
    registry.set_alias("moves", "champion", old.id)
    registry.set_alias("moves", "challenger", None)
    registry.set_alias("moves", "challenger", None)
    state = registry.state("moves")
    assert (state["champion"], state["challenger"]) == (old.id, None)
    assert [version["id"] for version in state["versions"]] == [old.id, new.id]
    registry.tag("moves", new.id, {"verdict": "reject"})
    assert registry.state("moves")["versions"][1]["tags"]["verdict"] == "reject"


def test_disagreements_are_named_and_reconciled(registry, tmp_path):
    known, lost = make_version("drifted", "2026-01-05"), make_version("drifted", "2026-01-12")
    publish(registry, tmp_path, known)
    registry.set_alias("drifted", "champion", known.id)
    truth = {"champion": lost.id, "challenger": known.id}
    assert registry.missing("drifted", truth) == [lost.id]
    assert registry.disagreements("drifted", truth) == [
        f"drifted: the registry lacks version {lost.id}",
        f"drifted: champion is {lost.id} in the history, {known.id} in the registry",
        f"drifted: challenger is {known.id} in the history, nobody in the registry",
    ]
    assert registry.reconcile("drifted", truth) == [f"drifted: challenger now points at {known.id} (was nobody)"]
    publish(registry, tmp_path, lost)
    assert len(registry.reconcile("drifted", truth)) == 1
    assert registry.disagreements("drifted", truth) == []
    assert registry.reconcile("drifted", truth) == []


def test_a_version_published_by_hand_is_reported_and_left_alone(registry, tmp_path):
    publish(registry, tmp_path, make_version("shared"))
    with registry._talking("publishing by hand") as client:
        client.create_model_version("shared", str(tmp_path))
        client.set_registered_model_alias("shared", "champion", "2")
    truth = {"champion": None, "challenger": None}
    assert registry.disagreements("shared", truth) == [
        "shared: champion is nobody in the history, number 2 in the registry",
        "shared: version number 2 was not published by evermix",
    ]


def test_a_model_that_was_never_published_has_an_empty_state(registry):
    assert registry.state("nobody") == {"champion": None, "challenger": None, "versions": []}


def test_a_published_version_loads_by_alias_and_predicts(registry, tmp_path):
    import mlflow

    version = make_version("loads")
    publish(registry, tmp_path, version)
    registry.set_alias("loads", "champion", version.id)
    mlflow.set_tracking_uri(registry.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/loads@champion")
    answer = model.predict(pd.DataFrame({"week": pd.to_datetime(["2026-01-12"]), "spend.tv": [100.0]}))
    assert answer["mean"].tolist() == [240.0]
    assert [column.name for column in model.metadata.signature.inputs] == ["week", "geo", "spend.tv"]
    assert model.input_example["spend.tv"].tolist() == [40.0]
    assert model.metadata.metadata == {"evermix_version": version.id}


def test_what_is_stored_names_no_place_and_no_person_and_pickles_nothing(registry, home, tmp_path):
    publish(registry, tmp_path, make_version("clean"))
    model = next((home / "mlartifacts" / "clean" / "models").rglob("MLmodel"))
    assert str(tmp_path) not in model.read_text() and str(home) not in model.read_text()
    assert not [file.name for file in model.parent.rglob("*") if file.suffix in (".pkl", ".pickle", ".py")]
    assert (model.parent / "requirements.txt").read_text().split() == [
        f"mlflow=={pytest.importorskip('mlflow').__version__}",
        "evermix==0.1.0",
    ]
    tags = run_of(registry, "clean").data.tags
    assert "mlflow.user" not in tags and tags["mlflow.source.name"] == "evermix"


def test_an_absent_server_is_a_service_error_in_less_than_30_seconds():
    began = time.monotonic()
    with pytest.raises(ServiceError, match="Is the MLflow server up"):
        Registry("http://127.0.0.1:9").state("brand")
    assert time.monotonic() - began < 30


def test_what_cannot_be_published_is_refused_before_mlflow_is_asked(registry, tmp_path):
    files = write_version(tmp_path, make_version())
    with pytest.raises(StoreError, match="expected brand/YYYY-MM-DD/8 hex digits"):
        registry.publish(make_version(digest="latest"), files, {}, {}, {})
    lacking = {name: path for name, path in files.items() if name != "base.nc"}
    with pytest.raises(StoreError, match=r"lacks base\.nc"):
        registry.publish(make_version(), lacking, {}, {}, {})
    with pytest.raises(StoreError, match="expected sqlite:////ABSOLUTE/FILE"):
        Registry("mlruns")
    with pytest.raises(StoreError, match="expected one of champion, challenger"):
        registry.set_alias("brand", "production", None)
    with pytest.raises(StoreError, match="no version 'unseen/2026-01-05/0123abcd'"):
        registry.set_alias("unseen", "champion", "unseen/2026-01-05/0123abcd")


def test_the_stored_input_example_is_what_the_server_takes(registry, home, tmp_path):
    publish(registry, tmp_path, make_version("example"))
    path = next((home / "mlartifacts" / "example" / "models").rglob("serving_input_example.json"))
    split = json.loads(path.read_text())["dataframe_split"]
    assert split == {"columns": ["week", "geo", "spend.tv"], "data": [["2026-01-05T00:00:00", "all", 40.0]]}
