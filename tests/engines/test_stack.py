"""The embedded stack: processes are known again, strangers are left alone, secrets stay private."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from evermix.config import Environment
from evermix.engines import stack
from evermix.engines.stack import services
from evermix.engines.stack.daemons import Daemon, find, spawn, stop, tail
from evermix.errors import ConfigError, ServiceError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)",
]
# A child in a session of its own, as an Airflow task is.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True);"
    "print(child.pid, flush=True); time.sleep(60)",
]


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "project", tmp_path / "home", "", "", "")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Daemon]]:
    daemons: list[Daemon] = []
    yield daemons
    stop(daemons, grace_s=0.0)


def wait_for_line(log: Path) -> str:
    deadline = time.monotonic() + 20
    while not log.exists() or not log.read_text().endswith("\n"):
        assert time.monotonic() < deadline, "the process said nothing"
        time.sleep(0.05)
    return log.read_text().strip()


def test_stop_ends_the_daemon_and_its_children_in_other_sessions(tmp_path: Path, started: list[Daemon]) -> None:
    started.append(spawn("parent", PARENT, {}, tmp_path / "parent.log"))
    child = psutil.Process(int(wait_for_line(tmp_path / "parent.log")))
    assert stop(started, grace_s=1.0) == ["parent"]
    assert find(started[0]) is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_stop_kills_a_daemon_that_does_not_listen(tmp_path: Path, started: list[Daemon]) -> None:
    started.append(spawn("deaf", STUBBORN, {}, tmp_path / "deaf.log"))
    wait_for_line(tmp_path / "deaf.log")
    stop(started, grace_s=0.3)
    assert find(started[0]) is None


def test_a_stranger_that_got_the_same_pid_is_left_alone(tmp_path: Path, started: list[Daemon]) -> None:
    started.append(spawn("ours", SLEEP, {}, tmp_path / "ours.log"))
    stranger = replace(started[0], started=started[0].started - 3600)
    assert find(stranger) is None
    assert stop([stranger]) == []
    assert find(started[0]) is not None


def test_stop_of_what_has_ended_is_no_error(tmp_path: Path, started: list[Daemon]) -> None:
    started.append(spawn("brief", [sys.executable, "-c", ""], {}, tmp_path / "brief.log"))
    psutil.Process(started[0].pid).wait(timeout=20)
    assert stop(started) == []


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("\n".join(map(str, range(50))))
    assert tail(log, 2) == "48\n49"
    assert tail(tmp_path / "none.log") == "(no log)"


def test_secrets_are_private_and_stay_the_same(env: Environment) -> None:
    first, second = services.load_settings(env), services.load_settings(env)
    assert first == second
    for name in ("settings.json", "passwords.json"):
        assert (env.home / "airflow" / name).stat().st_mode & 0o777 == 0o600
    assert json.loads(services.passwords_file(env).read_text()) == {"admin": first.password}


def test_two_homes_have_different_secrets(env: Environment, tmp_path: Path) -> None:
    one, other = services.load_settings(env), services.load_settings(replace(env, home=tmp_path / "other"))
    for name in ("password", "jwt_secret", "secret_key", "fernet_key"):
        assert getattr(one, name) != getattr(other, name)


def test_a_taken_port_is_refused_when_asked_for_and_replaced_when_remembered(env: Environment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}: is taken"):
            services.choose_port(port, 0)
        assert services.choose_port(0, port) != port


def test_airflow_and_its_tasks_agree_on_ports_places_and_the_tracking_server(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "True")
    settings = services.load_settings(env)
    variables = services.variables(env, settings, "scheduler")
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].startswith(f"http://127.0.0.1:{settings.airflow_port}/")
    assert variables["AIRFLOW__API__PORT"] == str(settings.airflow_port)
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert variables["AIRFLOW__CORE__LOAD_EXAMPLES"] == "False"
    assert variables["EVERMIX_TRACKING_URI"] == settings.mlflow_url
    assert variables["EVERMIX_HOME"] == str(env.home)
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))


def test_the_api_server_gives_a_locked_database_up_long_before_the_scheduler_does(env: Environment) -> None:
    settings = services.load_settings(env)

    def wait_s(daemon: str) -> int:
        database = services.variables(env, settings, daemon)["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        return int(database.split("timeout=")[1])

    assert 10 * wait_s("api-server") < wait_s("scheduler") == wait_s("dag-processor")


def test_a_tracking_server_that_is_there_already_is_used_instead_of_our_own(env: Environment) -> None:
    there = replace(env, tracking_uri="http://mlflow.example")
    settings = services.load_settings(there)
    assert "mlflow" not in services.commands(there, settings)
    assert "mlflow" in services.commands(env, settings)
    assert services.variables(there, settings, "scheduler")["EVERMIX_TRACKING_URI"] == "http://mlflow.example"


def test_a_start_that_fails_stops_what_it_had_started_and_shows_the_log(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [sys.executable, "-c", "import sys; sys.exit('no room for the database')"]
    monkeypatch.setattr(services, "commands", lambda *_: {"mlflow": SLEEP, "scheduler": broken})
    with pytest.raises(ServiceError, match="no room for the database"):
        stack.start(env, lambda _: None, timeout_s=30)
    assert stack.describe(env) == {"up": False}
    mine = [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]
    assert [p for p in mine if p.cmdline()[1:] == SLEEP[1:]] == []


def test_down_without_up_stops_nothing(env: Environment) -> None:
    assert stack.stop_all(env, lambda _: None) == []


def test_importing_the_stack_loads_neither_airflow_nor_mlflow() -> None:
    code = "import sys, evermix.engines.stack; print({'airflow', 'mlflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
