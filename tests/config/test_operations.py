"""alerts.yaml: the shipped one is valid and tells nobody; a fault names key and rule, and never a secret."""

import os
from pathlib import Path

import pytest
import yaml

from evermix.config import Environment, Route, airflow_url, load_operations, parse_operations
from evermix.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "deadlines": {"data_hours": 30, "decision_hours": 54.5, "approval_days": 3},
    "routes": [{"name": "x", "to": ["json://h"], "severities": ["critical"], "models": ["bra*", "demand"]}],
}


def env_of(project):
    return Environment(project=project, home=project, tracking_uri="", history_url="", dvc_remote_url="")


def changed(**route):
    return {**GOOD, "routes": [GOOD["routes"][0] | route]}


def test_the_shipped_file_is_valid_and_has_no_route():
    operations = load_operations(env_of(ROOT))
    assert operations.routes == []
    assert operations.deadlines.data_hours < operations.deadlines.decision_hours


def test_the_examples_in_the_shipped_file_are_valid_once_their_comment_signs_go():
    text = (ROOT / "alerts.yaml").read_text()
    examples = "\n".join(line[2:] for line in text[text.index("# routes:") :].splitlines())
    data = yaml.safe_load(text) | yaml.safe_load(examples)
    assert [route.name for route in parse_operations(data, "alerts.yaml").routes] == [
        "on-call",
        "brand-team",
        "webhook",
    ]


def test_apprise_knows_the_service_of_every_example(monkeypatch):
    import apprise

    text = (ROOT / "alerts.yaml").read_text()
    values = {"EVERMIX_SLACK_TOKEN": "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"}
    for line in text[text.index("# routes:") :].splitlines():
        if "to: [" in line:
            (url,) = yaml.safe_load(line.strip("# ").removeprefix("to: "))
            for name in ("EVERMIX_SLACK_TOKEN", "EVERMIX_SMTP_USER", "EVERMIX_SMTP_PASSWORD", "EVERMIX_WEBHOOK_TOKEN"):
                url = url.replace(f"${{{name}}}", values.get(name, "x"))
            assert apprise.Apprise.instantiate(url) is not None, line


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({**GOOD, "rutes": []}, "rutes"),
        ({"deadlines": GOOD["deadlines"]}, "routes"),
        ({**GOOD, "deadlines": {**GOOD["deadlines"], "data_hours": 0}}, "deadlines.data_hours, got 0.0"),
        (changed(severities=["fatal"]), "routes.0.severities.0, got 'fatal'"),
        (changed(name="On Call"), "routes.0.name"),
        (changed(models=[]), "routes.0.models"),
        ({**GOOD, "routes": GOOD["routes"] * 2}, "route 'x' is there twice"),
        ([], "got list"),
    ],
)
def test_a_fault_names_key_and_rule(data, said):
    with pytest.raises(ConfigError) as caught:
        parse_operations(data, "alerts.yaml")
    assert said in str(caught.value)


def test_a_fault_below_to_never_shows_what_stands_there(tmp_path):
    with pytest.raises(ConfigError) as caught:
        parse_operations(changed(to=[271828]), "alerts.yaml")
    assert "routes.0.to.0" in str(caught.value)
    assert "271828" not in str(caught.value)
    (tmp_path / "alerts.yaml").write_text("routes:\n  - to: [s3cret\n    name: }")
    with pytest.raises(ConfigError, match="line 3") as caught:
        load_operations(env_of(tmp_path))
    assert "s3cret" not in str(caught.value)


def test_a_project_without_the_file_is_told_what_to_copy(tmp_path):
    with pytest.raises(ConfigError, match=r"Copy alerts\.yaml"):
        load_operations(env_of(tmp_path))


def test_a_variable_names_another_place(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(GOOD))
    monkeypatch.setenv("EVERMIX_ALERTS", str(tmp_path / "mine.yaml"))
    assert load_operations(env_of(ROOT)).routes[0].name == "x"


def test_a_route_takes_the_severities_and_models_that_it_names():
    route = Route(**GOOD["routes"][0])
    assert route.takes("brand", "critical")
    assert not route.takes("brand", "warning")
    assert not route.takes("regions", "critical")


def test_the_address_of_airflow_is_read_without_its_last_slash(monkeypatch):
    monkeypatch.setenv("EVERMIX_AIRFLOW_URL", "http://airflow:8080/")
    assert airflow_url() == "http://airflow:8080"
    monkeypatch.delenv("EVERMIX_AIRFLOW_URL")
    assert airflow_url() == ""
    assert "EVERMIX_AIRFLOW_URL" not in os.environ
