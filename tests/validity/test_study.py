"""The study resumes, loses no row, refuses rows of other rules, and what is published comes out again."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evermix.config import load_params
from evermix.errors import ConfigError
from evermix.validity import rows
from evermix.validity.publish import write_page
from evermix.validity.replicate import study_params
from evermix.validity.rows import surrogate_row
from evermix.validity.study import Job, measured, merge_shards, read_rows, run_job

ROOT = Path(__file__).resolve().parents[2]
PARAMS = study_params(load_params(ROOT / "params.yaml").models["brand"])
PUBLISHED = ROOT / "docs" / "validity"
SLICE = (("nothing", 401), ("level_shift", 7), ("effect_halves", 12))
"""Three replicates; seeds over 400 have no drift test, which is slow."""


@pytest.fixture
def counted(monkeypatch):
    """Rows that cost nothing, and the seeds that were computed."""
    seeds = []

    def row(scenario, seed, params):
        seeds.append(seed)
        return {"seed": seed}

    monkeypatch.setitem(rows.ROWS, "surrogate", row)
    return seeds


def job(shard=0, shards=1, last=6):
    return Job("surrogate", "nothing", range(1, last + 1), shard, shards)


def test_a_replicate_that_is_there_is_not_computed_again(tmp_path, counted):
    run_job(tmp_path, job(last=3), PARAMS, str)
    run_job(tmp_path, job(last=6), PARAMS, str)
    assert counted == [1, 2, 3, 4, 5, 6]
    assert [row["seed"] for row in read_rows(tmp_path, "surrogate", "nothing", None)] == [1, 2, 3, 4, 5, 6]


def test_a_run_killed_in_the_middle_of_a_line_loses_that_replicate_alone(tmp_path, counted):
    run_job(tmp_path, job(last=3), PARAMS, str)
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:-4])
    run_job(tmp_path, job(last=4), PARAMS, str)
    assert counted == [1, 2, 3, 3, 4]
    assert [row["seed"] for row in read_rows(tmp_path, "surrogate", "nothing", None)] == [1, 2, 3, 4]


def test_shards_share_the_seeds_and_merge_into_one_file(tmp_path, counted):
    for shard in range(2):
        run_job(tmp_path, job(shard, 2), PARAMS, str)
    assert sorted(counted) == [1, 2, 3, 4, 5, 6]
    merge_shards(tmp_path, job(), PARAMS)
    (path,) = tmp_path.iterdir()
    head, *rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    assert head["params"] == measured("surrogate", PARAMS)
    assert [row["seed"] for row in rows] == [1, 2, 3, 4, 5, 6]
    run_job(tmp_path, job(), PARAMS, str)
    assert len(counted) == 6


def test_rows_of_other_params_are_refused_and_not_mixed_in(tmp_path, counted):
    run_job(tmp_path, job(), PARAMS, str)
    other = PARAMS.model_copy(update={"monitor": PARAMS.monitor.model_copy(update={"cusum_slack": 0.6})})
    with pytest.raises(ConfigError, match=r"nothing\.0-of-1\.jsonl: measured with params"):
        run_job(tmp_path, job(), other, str)


def with_rule(name, **update):
    rules = [rule.model_copy(update=update) if rule.name == name else rule for rule in PARAMS.rules]
    return PARAMS.model_copy(update={"rules": rules})


def test_what_was_measured_are_the_rules_that_ask_for_refits_and_not_their_wording():
    assert measured("mcmc", with_rule("backstop", value=26.0)) != measured("mcmc", PARAMS)
    assert measured("mcmc", with_rule("backstop", why="in other words")) == measured("mcmc", PARAMS)


def test_the_params_that_ship_are_the_ones_measured_and_the_page_is_what_the_rows_say(tmp_path):
    folder = tmp_path / "validity"
    shutil.copytree(PUBLISHED, folder)
    write_page(folder, PARAMS)
    assert (tmp_path / "validity.md").read_text() == (ROOT / "docs" / "validity.md").read_text()


@pytest.mark.parametrize(("scenario", "seed"), SLICE)
def test_a_published_row_comes_out_again(scenario, seed):
    rows = {row["seed"]: row for row in read_rows(PUBLISHED, "surrogate", scenario, None)}
    again = json.loads(json.dumps(surrogate_row(scenario, seed, PARAMS)))
    assert again.keys() == rows[seed].keys()
    assert again["change"] == rows[seed]["change"]
    for name, record in rows[seed]["records"].items():
        # Another processor may round otherwise in the last digits.
        assert np.array(again["records"][name]) == pytest.approx(np.array(record), rel=2e-3)
