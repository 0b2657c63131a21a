"""A real MLflow server, a real `mlflow models serve`: what was published one way is read the other way."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from engines.version_files import make_version, write_version

from evermix.engines.registry import Registry

pytestmark = [
    pytest.mark.slow,
    # mlflow 3.17 uses loader strategies that SQLAlchemy 2.1 is about to drop.
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PATIENCE_S = 120.0
LOAD = """
import sys, mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(pd.DataFrame({"week": pd.to_datetime(["2026-01-12"]), "spend.tv": [100.0]}))["mean"].tolist())
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
        "EVERMIX_KINDS": "engines.",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **more,
    }


@contextmanager
def running(command: list[str], health: str, log: Path, **more: str) -> Iterator[None]:
    """Run a server until the block ends; its own child processes end with it."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=log.parent, env=environment(**more), stdout=out, stderr=out)
        try:
            end = time.monotonic() + PATIENCE_S
            while not is_up(health):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.5)
            yield
        finally:
            process.terminate()
            process.wait(30)


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def direct(home: Path) -> Registry:
    """The registry without a server, and one champion in it."""
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}", home / "mlartifacts")
    publish(registry, home / "files", "direct")
    return registry


@pytest.fixture(scope="module")
def server(home: Path, direct: Registry) -> Iterator[Registry]:
    """The registry behind a server on the same files."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", direct.tracking_uri, "--artifacts-destination", str(home / "mlartifacts")),
        *("--default-artifact-root", (home / "mlartifacts").as_uri()),
    ]
    with running(command, f"{url}/health", home / "server.log"):
        yield Registry(url)


def publish(registry: Registry, folder: Path, model: str) -> None:
    version = make_version(model)
    registry.publish(version, write_version(folder, version), {"rhat_max": 1.0}, {}, {"verdict": "promote"})
    registry.set_alias(model, "champion", version.id)


def loaded(registry: Registry, model: str) -> str:
    """Return what a fresh process says that a model's champion predicts."""
    command = [sys.executable, "-c", LOAD, f"models:/{model}@champion"]
    env = environment(MLFLOW_TRACKING_URI=registry.tracking_uri)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_versions_published_directly_load_through_the_server_and_the_other_way_round(home, direct, server):
    publish(server, home / "files", "served")
    assert loaded(server, "direct") == "[240.0]"
    assert loaded(direct, "served") == "[240.0]"
    assert direct.state("served") == server.state("served")


def test_publishing_through_the_server_what_was_published_directly_changes_nothing(home, direct, server):
    before = direct.state("direct")
    publish(server, home / "files", "direct")
    assert direct.state("direct") == before


def test_mlflow_models_serve_answers_by_alias(home, server):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(str(BIN / "mlflow"), "models", "serve", "-m", "models:/direct@champion", "--env-manager", "local"),
        *("-h", "127.0.0.1", "-p", str(port)),
    ]
    with running(command, f"{url}/ping", home / "serve.log", MLFLOW_TRACKING_URI=server.tracking_uri):
        rows = [{"week": "2026-01-12", "spend.tv": 100}, {"week": "2026-01-19", "spend.tv": 0.0}]
        good = requests.post(
            f"{url}/invocations", json={"dataframe_records": rows, "params": {"level": 0.5}}, timeout=30
        )
        assert good.ok, good.text
        answer = json.loads(good.text)["predictions"]
        assert [(row["week"][:10], row["geo"], row["mean"]) for row in answer] == [
            ("2026-01-12", "all", 240.0),
            ("2026-01-19", "all", 100.0),
        ]
        assert answer[0]["high"] - answer[0]["low"] == pytest.approx(2 * 0.67449, abs=1e-4)
        gap = requests.post(f"{url}/invocations", json={"dataframe_records": rows[1:]}, timeout=30)
        assert gap.status_code == 400
        assert "2026-01-12 of all is not there" in gap.text
