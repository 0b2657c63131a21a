"""The client of Airflow's REST API, against a small server that answers as Airflow does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from evermix.engines import airflow_api
from evermix.engines.airflow_api import AirflowClient, wait
from evermix.errors import ConfigError, ServiceError


class FakeAirflow(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, str, Any]]] = []
    tokens = 0

    def _serve(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"null")
        type(self).asked.append((self.command, self.path, body))
        code, answer = self._answer()
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def _answer(self) -> tuple[int, Any]:
        if self.path == "/auth/token":
            type(self).tokens += 1
            return 201, {"access_token": f"token-{self.tokens}"}
        if self.path.endswith("expired") and self.headers["Authorization"] == "Bearer token-1":
            return 401, {"detail": "expired"}
        if "busy" in self.path:
            seen = sum("busy" in path for _, path, _ in self.asked)
            return (200, {"dag_run_id": "run-2"}) if seen > 2 else (500, {"detail": {"reason": "Database error"}})
        if "broken" in self.path:
            return 500, {"detail": "on fire"}
        if "hitlDetails?" in self.path:
            task = {"dag_id": "approval_brand", "dag_run_id": "q__a/b", "task_id": "ask", "state": "awaiting_input"}
            row = {"task_instance": task, "subject": "s", "body": "b", "options": ["Approve"]}
            return 200, {"hitl_details": [row, {**row, "task_instance": {**task, "state": "removed"}}]}
        if "unknown" in self.path:
            return 404, {"detail": "no such DAG"}
        return 200, {"dag_run_id": "run-1"}

    do_GET = do_POST = do_PATCH = _serve

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def airflow() -> Iterator[AirflowClient]:
    FakeAirflow.asked, FakeAirflow.tokens = [], 0
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeAirflow) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield AirflowClient(f"http://127.0.0.1:{server.server_port}/", "admin", "secret")
        server.shutdown()
        thread.join()


def test_a_week_is_triggered_by_its_partition_without_a_logical_date(airflow: AirflowClient) -> None:
    assert airflow.trigger("ingest", "2026-01-05", {"models": ["brand"]}) == "run-1"
    login, call = FakeAirflow.asked
    assert login == ("POST", "/auth/token", {"username": "admin", "password": "secret"})
    body = {"logical_date": None, "conf": {"models": ["brand"]}, "partition_key": "2026-01-05"}
    assert call == ("POST", "/api/v2/dags/ingest/dagRuns", body)


def test_an_expired_login_is_renewed_once(airflow: AirflowClient) -> None:
    assert airflow.dag_run("d", "expired") == {"dag_run_id": "run-1"}
    assert FakeAirflow.tokens == 2


def test_run_ids_are_quoted_whole(airflow: AirflowClient) -> None:
    question = airflow.pending_approvals()[0]
    airflow.answer(question, "Approve")
    assert "/dagRuns/q__a%2Fb/taskInstances/ask/-1/hitlDetails" in FakeAirflow.asked[-1][1]
    assert question["url"].endswith("/dags/approval_brand/runs/q__a%2Fb/tasks/ask/required_actions")


def test_only_questions_that_still_wait_are_pending(airflow: AirflowClient) -> None:
    assert len(airflow.pending_approvals()) == 1


def test_a_wrong_request_is_a_config_error_and_a_broken_server_a_service_error(airflow: AirflowClient) -> None:
    with pytest.raises(ConfigError, match="no such DAG"):
        airflow.dag_run("unknown", "r")
    with pytest.raises(ServiceError, match="on fire"):
        airflow.dag_run("broken", "r")


def test_a_request_that_the_database_refused_is_made_again(airflow: AirflowClient, monkeypatch) -> None:
    monkeypatch.setattr(airflow_api, "_BUSY_PAUSE_S", 0.0)
    assert airflow.trigger("busy") == "run-2"
    assert sum("busy" in path for _, path, _ in FakeAirflow.asked) == 3


def test_a_database_that_stays_busy_is_a_service_error(airflow: AirflowClient, monkeypatch) -> None:
    monkeypatch.setattr(airflow_api, "_BUSY_PAUSE_S", 0.0)
    monkeypatch.setattr(airflow_api, "_BUSY_TRIES", 2)
    with pytest.raises(ServiceError, match="Database error"):
        airflow.trigger("busy")
    assert sum("busy" in path for _, path, _ in FakeAirflow.asked) == 2


def test_no_server_is_a_service_error_that_says_what_to_do() -> None:
    with pytest.raises(ServiceError, match="evermix up"):
        AirflowClient("http://127.0.0.1:9", "a", "b").dags()


def test_waiting_ends_with_an_error_that_says_what_was_waited_for() -> None:
    with pytest.raises(ServiceError, match="waited 0 s for the moon"):
        wait(lambda: None, "the moon", timeout_s=0.01, pause_s=0.01)
