"""What must not drift apart: exported metrics, rules and their tests, dashboards, runbook, services."""

import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from evermix.core.health import OVERDUE_KINDS
from evermix.engines.telemetry import METRICS

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
README = (MONITORING / "README.md").read_text()
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "prometheus/rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
CASES = yaml.safe_load((MONITORING / "prometheus/rules_test.yml").read_text())["tests"]
DASHBOARD = json.loads((MONITORING / "grafana/dashboards/evermix.json").read_text())
NAMES = [rule["alert"] for rule in RULES]


def tool(name):
    """Return a tool's path; without it skip, and fail where nothing may be left out."""
    path = shutil.which(name)
    if path is None and (os.environ.get("EVERMIX_REQUIRE_REAL") == "1" or os.environ.get("CI") == "true"):
        pytest.fail(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return path


def table(heading):
    rows = re.search(rf"## {heading}\n(.*?)(\n## |\Z)", README, re.S).group(1)
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| `.*\|$", rows, re.M)]
    return {row[0].strip("`"): row[1:] for row in cells}


def expressions():
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    yield from ((panel["title"], t["expr"]) for panel in DASHBOARD["panels"] for t in panel["targets"])


def test_every_exported_metric_is_in_the_table_and_every_metric_of_the_table_is_exported():
    rows = table("Metrics")
    assert set(rows) == set(METRICS)
    assert {name: tuple(filter(None, re.split(r",\s*", row[0]))) for name, row in rows.items()} == {
        name: labels for name, (_, labels, _) in METRICS.items()
    }


@pytest.mark.parametrize(("where", "expr"), list(expressions()))
def test_every_metric_that_a_rule_or_panel_names_is_exported(where, expr):
    named = set(re.findall(r"\b(?:evermix_\w+|up)\b", re.sub(r'"[^"]*"', "", expr)))
    assert named
    assert named - {"up"} <= set(METRICS)


def test_every_exported_metric_is_looked_at_by_a_rule_or_a_panel():
    text = " ".join(expr for _, expr in expressions())
    assert [name for name in METRICS if not re.search(rf"\b{name}\b", text)] == []


def test_every_kind_of_overdue_has_a_rule():
    text = " ".join(rule["expr"] for rule in RULES)
    assert [kind for kind in OVERDUE_KINDS if f'kind="{kind}"' not in text] == []


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_rule_has_severity_duration_summary_action_and_a_runbook_line(rule):
    assert rule["for"]
    assert set(rule["annotations"]) == {"summary", "action"}
    severity, means, todo = table("Runbook")[rule["alert"]]
    assert severity == rule["labels"]["severity"]
    assert severity in ("warning", "critical")
    assert len(means) > 20
    assert len(todo) > 5


def test_the_runbook_has_no_line_for_a_rule_that_is_not_there():
    assert sorted(table("Runbook")) == sorted(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_has_a_firing_and_a_quiet_case(name):
    alerts = [a for case in CASES for a in case["alert_rule_test"] if a["alertname"] == name]
    assert any(alert["exp_alerts"] for alert in alerts)
    assert any(not alert["exp_alerts"] and alert["eval_time"] != "0m" for alert in alerts)


def test_the_rules_pass_their_cases():
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "rules_test.yml"],
        cwd=MONITORING / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("broken", ["vector(1) < 0", "vector(1) > 0"], ids=["never fires", "always fires"])
def test_the_cases_notice_a_rule_that_never_or_always_fires(name, broken, tmp_path):
    promtool = tool("promtool")
    rules = yaml.safe_load((MONITORING / "prometheus/rules.yml").read_text())
    for rule in itertools.chain.from_iterable(group["rules"] for group in rules["groups"]):
        if rule["alert"] == name:
            rule["expr"] = broken
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    cases = [case for case in CASES if case["alert_rule_test"][0]["alertname"] == name]
    suite = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "rules_test.yml").write_text(yaml.safe_dump(suite))
    command = [promtool, "test", "rules", "rules_test.yml"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


def test_the_configurations_are_accepted_by_the_tools_that_read_them():
    checks = [
        [tool("promtool"), "check", "config", str(MONITORING / "prometheus/prometheus.yml")],
        [tool("amtool"), "check-config", str(MONITORING / "alertmanager/alertmanager.yml")],
    ]
    for command in checks:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_prometheus_scrapes_and_tells_are_services_of_the_compose_file():
    config = yaml.safe_load((MONITORING / "prometheus/prometheus.yml").read_text())
    jobs = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    hosts = {target.split(":")[0] for job in jobs for entry in job["static_configs"] for target in entry["targets"]}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert hosts - {"127.0.0.1"} == {"alertmanager", "evermix-exporter"}
    assert hosts - {"127.0.0.1"} <= set(services)


def test_every_severity_of_a_rule_leads_to_a_receiver():
    config = yaml.safe_load((MONITORING / "alertmanager/alertmanager.yml").read_text())
    matched = {matcher for route in config["route"]["routes"] for matcher in route["matchers"]}
    assert {f'severity="{rule["labels"]["severity"]}"' for rule in RULES} <= matched
    inhibited = " ".join(str(rule) for rule in config["inhibit_rules"])
    assert set(re.findall(r"\b[A-Z]\w+[a-z]\b", inhibited)) <= set(NAMES)


def test_the_dashboards_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["description"]
        assert panel["targets"]


def test_the_dashboard_asks_the_datasource_that_is_provisioned_and_lies_where_grafana_looks():
    sources = yaml.safe_load((MONITORING / "grafana/datasources/prometheus.yml").read_text())
    uid = sources["datasources"][0]["uid"]
    place = yaml.safe_load((MONITORING / "grafana/dashboards/evermix.yml").read_text())["providers"][0]["options"][
        "path"
    ]
    mounts = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]["volumes"]
    assert "./monitoring/grafana:/etc/grafana/provisioning:ro" in mounts
    assert place == "/etc/grafana/provisioning/dashboards"
    asked = [target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    assert set(asked) == {uid}
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$(\w+)", " ".join(expr for _, expr in expressions() if "$model" in expr)))
    assert used <= variables
