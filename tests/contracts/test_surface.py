"""What must not drift apart: pipeline and stages, commands and docs, params and code, lock and project."""

import argparse
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evermix.cli import build_parser
from evermix.config import load_params, parse_params
from evermix.errors import ConfigError
from evermix.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands():
    parser = build_parser()
    (action,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return action.choices


def test_the_stages_of_dvc_yaml_are_the_stages_of_the_code_in_the_same_order():
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    assert tuple(pipeline["stages"]) == STAGES
    for stage, entry in pipeline["stages"].items():
        assert entry["foreach"] == "${models}"
        assert entry["do"]["cmd"] == f"sh scripts/stage {stage} ${{key}}"


def test_fit_depends_on_the_request_alone_so_that_a_quiet_week_skips_it():
    fit = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["fit"]["do"]
    assert fit["deps"] == ["request/${key}"]
    assert "params" not in fit


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_json_and_a_line_in_the_docs(name):
    command = commands()[name]
    assert command.description
    assert "--json" in command.format_help()
    assert any(
        re.search(rf"`(?:\.venv/bin/)?evermix {name}\b|^(?:\.venv/bin/)?evermix {name}\b", d.read_text(), re.M)
        for d in DOCS
    )


def loaded_by(code, libraries):
    code = f"import sys; {code}; print(*[name for name in {libraries!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_help_loads_no_heavy_library():
    code = "from evermix.cli import build_parser; build_parser().format_help()"
    assert loaded_by(code, ["numpy", "pandas", "pydantic", "pymc", "mlflow", "dvc", "airflow", "yaml"]) == []


def test_a_step_of_a_week_loads_no_library_of_tables_or_models():
    # Airflow runs ten of them a week, and only what DVC runs inside needs those: loading them costs two seconds.
    code = "import evermix.stages.week"
    assert loaded_by(code, ["numpy", "pandas", "scipy", "xarray", "pymc", "mlflow", "dvc"]) == []
    assert loaded_by("import evermix.stages.horizons", ["pandas", "xarray"]) == ["pandas", "xarray"]


def leaves(data, path=()):
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    else:
        yield path


def test_every_params_key_is_used_by_the_code():
    source = "\n".join(p.read_text() for p in (ROOT / "src").rglob("*.py") if p.parent.name != "config")
    entry = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]["brand"]
    named_by_user = {"channels", "controls", "events"}
    keys = {part for path in leaves(entry) if not named_by_user & set(path) for part in path if isinstance(part, str)}
    unused = sorted(key for key in keys if not re.search(rf"\b{key}\b", source))
    assert unused == []


def test_the_shipped_params_are_valid_and_their_kinds_accept_them():
    from evermix.engines.models import load_kind

    for entry in load_params(ROOT / "params.yaml").models.values():
        load_kind(entry.kind).check(entry.spec, entry.columns.model_dump())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sampler": {"draws": "1e3"}}, "models.brand.sampler.draws, got '1e3'"),
        ({"recipee": 1}, "models.brand.recipee"),
        ({"label_delay_weeks": -1}, "models.brand.label_delay_weeks, got -1"),
        ({"source": {"format": "xlsx"}}, "models.brand.source.format, got 'xlsx'"),
    ],
)
def test_a_fault_in_params_names_key_value_and_rule(change, said):
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in change.items():
        entry = data["models"]["brand"]
        entry[key] = {**entry[key], **value} if isinstance(value, dict) else value
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_params(data, "params.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"evidence": "surprise.cusm"}, "no evidence is named 'surprise.cusm'. Did you mean 'surprise.cusum'?"),
        ({"value": True}, "expected a number of faults"),
        ({"also": [{"evidence": "structure.spec_changed", "op": "==", "value": 1}]}, "expected true or false"),
        ({"also": [{"evidence": "structure.spec_changed", "op": ">", "value": True}]}, "expected '==' or '!='"),
        ({"name": "no_champion"}, "rule 'no_champion' is there twice"),
        ({"name": "person"}, "rule 'person' has the name of a person's order"),
    ],
)
def test_a_rule_that_cannot_be_asked_is_refused_at_load(change, said):
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    entry = data["models"]["brand"]
    entry["rules"] = [entry["rules"][0] | change, *entry["rules"][1:]]
    with pytest.raises(ConfigError, match=re.escape(said)):
        parse_params(data, "params.yaml")


def test_all_faults_of_params_come_in_one_go():
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    data["models"]["brand"]["recipe"] = 0
    data["models"]["demand"]["kind"] = 3
    with pytest.raises(ConfigError) as caught:
        parse_params(data, "params.yaml")
    assert "models.brand.recipe" in str(caught.value)
    assert "models.demand.kind" in str(caught.value)


def test_a_column_that_plays_two_roles_is_refused():
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    data["models"]["brand"]["columns"]["controls"]["price"]["column"] = "tv_spend"
    with pytest.raises(ConfigError, match="a column plays one role"):
        parse_params(data, "params.yaml")


def test_amendments_are_for_reviews_and_no_key_of_params():
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    data["models"]["brand"]["spec"]["amendments"] = {}
    with pytest.raises(ConfigError, match="amendments is what a review may add"):
        parse_params(data, "params.yaml")


def test_the_lock_is_hash_pinned_and_holds_no_address():
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|index-url|find-links", text)
    pins = re.findall(r"^[\w.-]+==\S+", text, re.M)
    blocks = text.split("\n")
    unhashed = [line for line, following in itertools.pairwise(blocks) if "==" in line and "--hash" not in following]
    assert len(pins) > 100
    assert unhashed == []


def test_every_entry_of_the_readmes_tree_exists():
    tree = re.search(r"## What is where\n(.*?)\n## ", (ROOT / "README.md").read_text(), re.S).group(1)
    for cell in re.findall(r"^\| (`[^|]+) \|", tree, re.M):
        for name in re.findall(r"`([^`]+)`", cell):
            assert (ROOT / name).exists(), name


def test_links_between_documents_lead_somewhere():
    for doc in DOCS:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", doc.read_text()):
            assert (doc.parent / target).exists(), f"{doc.name}: {target}"


def test_ci_runs_the_targets_that_people_run():
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    script = (ROOT / ".ci" / "run").read_text()
    for target in ("lint", "test", "slow"):
        assert f"make {target}" in workflow
        assert f"make {target}" in script
    assert "make real" in script


def test_errors_have_the_exit_codes_that_the_readme_promises():
    from evermix import errors

    codes = [
        c.exit_code
        for c in (errors.ConfigError, errors.DataError, errors.FitError, errors.StoreError, errors.ServiceError)
    ]
    assert codes == [2, 3, 4, 5, 6]


def test_a_users_mistake_prints_one_message_and_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "evermix", "week", "--model", "brnd", "--as-of", "2026-01-05", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"EVERMIX_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert done.returncode == 2
    assert "Did you mean 'brand'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 2
