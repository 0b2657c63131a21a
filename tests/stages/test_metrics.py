"""The metrics of a real home: all that the table promises, services by their answer, a server that stops when told."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from core import ledgers
from receiver import receiver
from stages.histories import ROOT, keep_delivery, keep_ledger, make_env, quality_point

from evermix.core.quality_record import append_points, to_text
from evermix.engines.telemetry import METRICS
from evermix.errors import ConfigError
from evermix.stages import metrics

CHAMPION = {"id": ledgers.CHAMPION, "fitted_through": "2025-12-29"}
NOW = datetime(2026, 1, 27, 7, tzinfo=UTC)
ROUTES = "deadlines: {data_hours: 30, decision_hours: 54, approval_days: 3}\nroutes:\n"
ROUTE = '  - {name: x, to: ["json://127.0.0.1:9"], severities: [critical], models: ["*"]}\n'


def by_labels(samples):
    return {(s.name, *s.labels.values()): s.value for s in samples}


@contextmanager
def answering(answers):
    """Serve bodies by path; any other path is a 500."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path)
            self.send_response(500 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def home(tmp_path):
    env = make_env(tmp_path, ROUTES + ROUTE)
    rules = [ledgers.rule("broken_contract", "critical", decision="quarantine")]
    events = ledgers.decision(ledgers.first_weeks(), "2026-01-19", "quarantine", rules=rules)
    record = append_points(to_text([quality_point("2026-01-12", True)]), to_text([quality_point("2026-01-19", False)]))
    keep_ledger(env, "brand", events, CHAMPION, record)
    keep_delivery(env, "brand", "2026-01-05", "2026-01-12", "2026-01-19")
    return env


def test_every_metric_of_the_table_is_exported_and_no_other(home, monkeypatch):
    health = {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "dag_processor")}
    with answering({"/api/v2/monitor/health": json.dumps(health).encode()}) as airflow:
        monkeypatch.setenv("EVERMIX_AIRFLOW_URL", airflow)
        samples = metrics.read(home, ["brand"], NOW)
    names = {sample.name for sample in samples}
    assert names == {name for name in METRICS if not name.startswith("evermix_exporter_")}


def test_a_models_numbers_come_from_its_history(home):
    seen = by_labels(metrics.read(home, ["brand", "demand"], NOW))
    assert seen["evermix_model_quarantined", "brand"] == 1.0
    assert seen["evermix_model_last_data_week_seconds", "brand"] == datetime(2026, 1, 19, tzinfo=UTC).timestamp()
    assert seen["evermix_model_overdue", "brand", "quarantine_overdue"] == 0.0
    assert seen["evermix_model_quality", "brand", "freshness_days", "all"] == 9.0
    assert seen["evermix_model_quality_outside", "brand", "freshness_days", "all"] == 0.0
    # The quarantine is critical, and nobody listens at the route's port.
    assert seen["evermix_model_alerts_undelivered", "brand"] == 1.0
    assert seen["evermix_model_ledger_events", "demand"] == 0.0
    assert seen["evermix_model_alerts_undelivered", "demand"] == 0.0
    later = by_labels(metrics.read(home, ["brand"], datetime(2026, 1, 28, 6, tzinfo=UTC)))
    assert later["evermix_model_overdue", "brand", "quarantine_overdue"] == 1.0


def test_services_are_up_by_what_they_answer_and_unnamed_ones_have_no_sample(tmp_path, monkeypatch):
    def services(env):
        return {s.labels["service"]: s.value for s in metrics.read(env, [], NOW) if s.name == "evermix_service_up"}

    monkeypatch.delenv("EVERMIX_AIRFLOW_URL", raising=False)
    assert services(make_env(tmp_path / "a")) == {}
    health = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}, "dag_processor": None}
    with answering({"/health": b"OK", "/api/v2/monitor/health": json.dumps(health).encode()}) as url:
        monkeypatch.setenv("EVERMIX_AIRFLOW_URL", url)
        assert services(make_env(tmp_path / "b", tracking_uri=url)) == {
            "mlflow": 1.0,
            "airflow_api": 1.0,
            "airflow_metadatabase": 1.0,
            "airflow_scheduler": 0.0,
            "airflow_dag_processor": 0.0,
        }
    assert services(make_env(tmp_path / "c", tracking_uri=url)) == {"mlflow": 0.0, "airflow_api": 0.0}
    with answering({"/api/v2/monitor/health": b"<html>"}) as url:
        monkeypatch.setenv("EVERMIX_AIRFLOW_URL", url)
        assert services(make_env(tmp_path / "d")) == {"airflow_api": 0.0}


def test_a_port_that_is_taken_is_a_config_error(home):
    with receiver() as taken, pytest.raises(ConfigError, match="--port"):
        metrics.serve(home, lambda: ["brand"], "127.0.0.1", taken.port, print)


def test_the_exporter_serves_until_it_is_told_to_stop(home):
    variables = {"EVERMIX_HOME": str(home.home), "EVERMIX_PROJECT": str(home.project), "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "evermix", "exporter", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | variables) as process:
        url = re.search(r"http://\S+", process.stderr.readline()).group()
        with urllib.request.urlopen(url, timeout=15) as answer:
            text = answer.read().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert 'evermix_model_quarantined{model="brand"} 1.0' in text
    assert "evermix_exporter_read_errors_total 0.0" in text
    assert set(re.findall(r"^# TYPE (\w+)", text, re.M)) == set(METRICS) - {"evermix_service_up"}
