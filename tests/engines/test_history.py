import subprocess

import pytest

from evermix.config import Environment
from evermix.engines.history import History, configure_dvc, pull_outputs, push_outputs, read_branch_file
from evermix.errors import FitError, ServiceError, StoreError


@pytest.fixture
def env(tmp_path):
    home = tmp_path / "home"
    return Environment(tmp_path, home, "", str(home / "history.git"), str(home / "dvc-remote"))


@pytest.fixture
def history(env):
    history = History(env, "brand")
    history.sync()
    return history


def commit(history, name, text):
    (history.root / name).write_text(text)
    return history.commit(f"write {name}")


def test_a_first_commit_makes_the_branch_in_a_new_bare_history(env, history):
    assert history.tip() is None
    head = commit(history, "a.txt", "one")
    listed = subprocess.run(
        ["git", "ls-remote", env.history_url, "refs/heads/weeks/brand"], capture_output=True, text=True, check=True
    ).stdout
    assert listed.split()[0] == head
    assert read_branch_file(env, "brand", "a.txt") == b"one"
    assert read_branch_file(env, "brand", "b.txt") is None


def test_models_have_branches_of_their_own(env, history):
    commit(history, "a.txt", "one")
    other = History(env, "regions")
    other.sync()
    assert other.tip() is None
    commit(other, "b.txt", "two")
    assert read_branch_file(env, "brand", "b.txt") is None


def test_a_removed_clone_comes_back_as_the_branch_has_it(env, history):
    commit(history, "a.txt", "one")
    subprocess.run(["rm", "-rf", str(history.root)], check=True)
    again = History(env, "brand")
    again.sync()
    assert (again.root / "a.txt").read_text() == "one"


def test_a_commit_that_was_not_pushed_is_pushed_by_the_next_sync(env, history):
    commit(history, "a.txt", "one")
    (history.root / "a.txt").write_text("two")
    history.git("commit", "-q", "-am", "cut off before its push")
    history.sync()
    assert read_branch_file(env, "brand", "a.txt") == b"two"


def test_the_faster_worker_wins_and_the_slower_one_is_told(env, history, tmp_path):
    commit(history, "a.txt", "one")
    elsewhere = Environment(tmp_path, tmp_path / "other", "", env.history_url, env.dvc_remote_url)
    other = History(elsewhere, "brand")
    other.sync()
    commit(history, "a.txt", "two")
    with pytest.raises(ServiceError, match="run the week again"):
        commit(other, "a.txt", "three")
    other.sync()
    assert (other.root / "a.txt").read_text() == "two"


def test_nothing_changed_makes_no_commit(history):
    first = commit(history, "a.txt", "one")
    assert history.commit("again") == first


def test_a_persons_git_configuration_has_no_say(history, tmp_path, monkeypatch):
    (tmp_path / "gitconfig").write_text("[commit]\n\tgpgsign = true\n[core]\n\thooksPath = /nowhere\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    commit(history, "a.txt", "one")
    assert history.git("log", "-1", "--format=%an") == "evermix"


def test_a_lock_that_is_held_is_a_service_error(history):
    with history.locked(), pytest.raises(ServiceError, match="held by another process"), history.locked(timeout_s=0.1):
        pass


DVC_YAML = """
stages:
  {stage}:
    foreach: ${{models}}
    do:
      cmd: >-
        {cmd}
      outs:
        - out/${{key}}.txt
"""


def pipeline(history, cmd):
    (history.root / "params.yaml").write_text("models: {brand: {x: 1}}\n")
    (history.root / "dvc.yaml").write_text(DVC_YAML.format(stage="fit", cmd=cmd))
    configure_dvc(history)


def test_a_stage_that_ran_is_not_run_again_and_its_output_comes_back_elsewhere(env, history, tmp_path):
    pipeline(history, "echo ran >> log && mkdir -p out && echo data > out/brand.txt")
    history.repro("fit")
    history.repro("fit")
    assert (history.root / "log").read_text() == "ran\n"
    history.commit("computed brand 2026-01-05")
    push_outputs(history)
    other = History(Environment(tmp_path, tmp_path / "other", "", env.history_url, env.dvc_remote_url), "brand")
    other.sync()
    configure_dvc(other)
    pull_outputs(other)
    assert (other.root / "out" / "brand.txt").read_text() == "data\n"


def test_the_error_of_a_stage_keeps_its_kind_and_words(history):
    pipeline(history, "mkdir -p out; echo 'FitError: brand: no draws. Look at the priors.' >&2; exit 4")
    with pytest.raises(FitError, match=r"brand: no draws. Look at the priors."):
        history.repro("fit")


def test_a_stage_that_dies_without_words_is_a_store_error_with_the_end_of_its_log(history):
    pipeline(history, "mkdir -p out; echo last words; exit 9")
    with pytest.raises(StoreError, match="last words"):
        history.repro("fit")


def test_a_stage_that_was_killed_is_worth_another_try(history):
    pipeline(history, "mkdir -p out; kill -9 $$")
    with pytest.raises(ServiceError, match="killed from outside"):
        history.repro("fit")
