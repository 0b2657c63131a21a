"""A real Prometheus scrapes the real exporter: every query of the dashboard has an answer, every rule is evaluated."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from core import ledgers
from stages.histories import keep_delivery, keep_ledger, make_env, quality_point
from stages.test_metrics import answering

from evermix.core.quality_record import to_text

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "monitoring"
PATIENCE_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, path: str, **query: str) -> dict:
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
        return json.load(answer)["data"]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("prometheus")
    if binary is None and (os.environ.get("EVERMIX_REQUIRE_REAL") == "1" or os.environ.get("CI") == "true"):
        pytest.fail("prometheus is not installed (Debian: prometheus)")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: prometheus)")
    folder = tmp_path_factory.mktemp("live")
    env = make_env(folder)
    asked = ledgers.question(ledgers.first_weeks(), "2026-01-12", "review", "hold")
    quality = [quality_point("2026-01-12", False), quality_point("2026-01-12", False, measure="label_delay_weeks")]
    champion = {"id": ledgers.CHAMPION, "fitted_through": "2025-12-29"}
    keep_ledger(env, "brand", asked, champion, to_text(quality))
    keep_delivery(env, "brand", "2026-01-12")
    ports = {"evermix-exporter:9187": free_port(), "127.0.0.1:9090": free_port()}
    config = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    del config["alerting"]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] != "alertmanager"]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['static_configs'][0]['targets'][0]]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(MONITORING / "prometheus/rules.yml", folder)
    healthy = {part: {"status": "healthy"} for part in ("metadatabase", "scheduler", "dag_processor")}
    with answering({"/health": b"OK", "/api/v2/monitor/health": json.dumps(healthy).encode()}) as services:
        variables = os.environ | {
            "EVERMIX_HOME": str(env.home),
            "EVERMIX_PROJECT": str(env.project),
            "EVERMIX_TRACKING_URI": services,
            "EVERMIX_AIRFLOW_URL": services,
            "PYTHONPATH": str(ROOT / "src"),
        }
        port = str(ports["evermix-exporter:9187"])
        url = f"http://127.0.0.1:{ports['127.0.0.1:9090']}"
        watching = [binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        commands = [
            ([sys.executable, "-m", "evermix", "exporter", "--port", port], folder / "exporter.log"),
            ([*watching, f"--web.listen-address={url.removeprefix('http://')}"], folder / "prometheus.log"),
        ]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command, log in commands:
                with log.open("wb") as out:
                    running.append(subprocess.Popen(command, env=variables, stdout=out, stderr=out))
            wait_for_scrapes(url)
            yield url
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(20)


def wait_for_scrapes(url: str) -> None:
    """Wait until the exporter was scraped twice and the rules were evaluated."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            scraped = ask(url, "query", query='count_over_time(up{job="evermix"}[1m]) >= 2')["result"]
            rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
            if scraped and rules and all(rule["lastEvaluation"] > "0001-02" for rule in rules):
                return
        except OSError:
            pass
        time.sleep(0.5)
    pytest.fail(f"{url}: no two scrapes and evaluations within {PATIENCE_S:.0f} s")


def test_the_exporter_is_scraped(prometheus: str) -> None:
    targets = {t["labels"]["job"]: t["health"] for t in ask(prometheus, "targets")["activeTargets"]}
    assert targets == {"prometheus": "up", "evermix": "up"}


def test_every_query_of_the_dashboard_has_an_answer(prometheus: str) -> None:
    dashboard = json.loads((MONITORING / "grafana/dashboards/evermix.json").read_text())
    empty = []
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expr = target["expr"].replace("$model", ".*")
            if not ask(prometheus, "query", query=expr)["result"]:
                empty.append((panel["title"], expr))
    assert empty == []
    (variable,) = dashboard["templating"]["list"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
    assert "brand" in ask(prometheus, f"label/{label}/values", **{"match[]": metric})


def test_every_rule_is_evaluated_without_an_error_and_sees_what_is_wrong(prometheus: str) -> None:
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    # The ledger of this home ends in January 2026, with a question open: overdue by any later clock.
    wrong = {rule["name"] for rule in rules if rule["state"] in ("pending", "firing")}
    assert {"DataOverdue", "DecisionOverdue", "ApprovalWaiting", "PoorConvergence"} <= wrong
    assert not wrong & {"TargetDown", "ServiceDown", "LedgerBroken", "ExporterStale", "WeekQuarantined"}
