"""How a task runs a command: what it returns, what is retried, what is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DAGS = Path(__file__).parents[2] / "dags"

# In a process of its own: importing Airflow changes logging and warnings for everything after it.
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import logging; logging.disable(logging.CRITICAL)
from airflow.sdk.exceptions import AirflowFailException, AirflowException
import evermix_cli
answers = []
for words in json.loads(sys.argv[2]):
    try:
        answers.append(["returned", evermix_cli.run_evermix(*words)])
    except AirflowFailException as err:
        answers.append(["failed", str(err)])
    except AirflowException as err:
        answers.append(["retried", str(err)])
print("ANSWER" + json.dumps(answers))
"""

STAND_IN = """
import json, os, signal, sys
word = sys.argv[1]
if word == "json":
    print("line one of a stream", file=sys.stderr)
    print(json.dumps({"status": "stored"}, indent=2))
elif word == "flood":
    sys.stderr.write("x" * 300_000 + "\\n"); sys.stdout.write("y" * 300_000 + "\\n")
elif word == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
else:
    sys.exit(int(word))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("stand-in")
    (folder / "stand_in.py").write_text(STAND_IN)
    words = [["json", "--json"], ["flood"], ["killed"], *[[str(code)] for code in (0, 1, 2, 3, 4, 5, 6, 77)]]
    variables = os.environ | {
        "EVERMIX_COMMAND": f"{sys.executable} {folder / 'stand_in.py'}",
        "AIRFLOW_HOME": str(folder / "airflow"),
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", RUN, str(DAGS), json.dumps(words)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.split("ANSWER")[1])
    return {word[0]: answer for word, answer in zip(words, answers, strict=True)}


def test_json_on_stdout_comes_back_parsed_and_progress_does_not_disturb_it(outcomes: dict[str, list[Any]]) -> None:
    assert outcomes["json"] == ["returned", {"status": "stored"}]


def test_more_output_than_a_pipe_holds_does_not_stop_the_command(outcomes: dict[str, list[Any]]) -> None:
    assert outcomes["flood"] == ["returned", None]


@pytest.mark.parametrize("code", ["1", "2", "3", "4", "5", "77"])
def test_an_error_that_a_retry_would_repeat_fails_at_once(outcomes: dict[str, list[Any]], code: str) -> None:
    assert outcomes[code][0] == "failed"
    assert f"exit code {code}" in outcomes[code][1]


@pytest.mark.parametrize("word", ["6", "killed"])
def test_a_service_error_or_a_killed_process_is_retried(outcomes: dict[str, list[Any]], word: str) -> None:
    assert outcomes[word][0] == "retried"


def test_success_without_json_returns_nothing(outcomes: dict[str, list[Any]]) -> None:
    assert outcomes["0"] == ["returned", None]
