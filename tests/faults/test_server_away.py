"""An MLflow server that is killed, and away for long: exit 6 each time; once it is back, the week is finished once."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from faults.lab import REFIT, REPEATS, compare, observe

pytestmark = pytest.mark.fault


class Server:
    """A real MLflow server on a database of its own."""

    def __init__(self, root):
        self.root = root
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        artifacts = str(self.root / "mlartifacts")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.root / 'mlflow.db'}"),
                *("--default-artifact-root", artifacts, "--artifacts-destination", artifacts),
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self.answers():
            assert time.monotonic() < deadline and self.process.poll() is None
            time.sleep(0.3)

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def kill(self):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def server(lab):
    """A server on the database that the home had, before the week of the refit is published."""
    lab.before(REFIT, "computed")
    root = lab.root / "server"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name in ("mlflow.db", "mlartifacts"):
        (lab.project.home / name).rename(root / name)
    made = Server(root)
    yield made
    made.kill()


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_week_waits_for_a_server_that_is_away_for_many_attempts_and_is_closed_once(lab, judge, server, repeat):
    extra = {"EVERMIX_TRACKING_URI": server.url}
    attempts = 20 if REPEATS > 1 else 2
    for _ in range(attempts):
        away = lab.week(REFIT, extra=extra)
        assert away.code == 6, away.said
        assert server.url in away.err
    server.start()
    # Killed in the middle of the publication too: the client's next step meets nobody.
    fault = {"at": "evermix.engines.registry.publish:complete_run", "when": "after", "role": "cli"}
    assert lab.week(REFIT, extra=extra, fault=fault).code == -signal.SIGKILL
    server.kill()
    assert lab.week(REFIT, extra=extra).code == 6
    server.start()
    again = lab.week(REFIT, extra=extra)
    harm = compare(observe(lab.project.home, server.root / "mlflow.db"), lab.reference[str(REFIT)])
    if again.code:
        harm.differences.append(again.err)
    judge("MLflow server killed, and away for many attempts", harm, faults=attempts + 2)


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_server_killed_while_a_version_is_published_doubles_nothing(lab, judge, server, repeat):
    extra = {"EVERMIX_TRACKING_URI": server.url}
    server.start()

    def kill_the_server(process):
        # The first sign of the publication is its run in the database.
        artifacts = server.root / "mlartifacts"
        before = len(list(artifacts.rglob("*")))
        while process.poll() is None and len(list(artifacts.rglob("*"))) == before:
            time.sleep(0.005)
        server.kill()

    first = lab.week(REFIT, extra=extra, meanwhile=kill_the_server)
    assert first.code in (0, 6), first.said
    server.start()
    again = lab.week(REFIT, extra=extra)
    harm = compare(observe(lab.project.home, server.root / "mlflow.db"), lab.reference[str(REFIT)])
    if again.code:
        harm.differences.append(again.err)
    judge("MLflow server killed while a version is published", harm)
