"""`scripts/stage` finds the right Python however DVC was started."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BARE = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}


@pytest.fixture
def clone(tmp_path):
    """Return a folder with the script and nothing else: no environment of its own."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "stage").write_bytes((ROOT / "scripts" / "stage").read_bytes())
    (tmp_path / "src").symlink_to(ROOT / "src")
    return tmp_path


def started_by_dvc(clone, shell):
    """Return what the stage says when a Python starts a shell that starts the script, as DVC does."""
    command = "sh scripts/stage nostage brand; exit $?"
    call = f"import subprocess; subprocess.run({command!r}, shell=True, executable={shell!r})"
    return subprocess.run([sys.executable, "-c", call], cwd=clone, env=BARE, capture_output=True, text=True, check=True)


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_the_environment_that_runs_dvc_is_used_when_none_is_active(clone, shell):
    # Only evermix's own code, run by a Python that has its packages, can answer so.
    assert "expected STAGE MODEL with STAGE one of validate" in started_by_dvc(clone, shell).stderr


def test_without_any_python_it_says_what_to_do(clone):
    # An orphan: its parent is gone long before it starts, so this test's Python is not among its parents.
    orphan = "sleep 2; sh scripts/stage fit brand >said 2>&1; mv said out"
    subprocess.run(["sh", "-c", f"setsid sh -c '{orphan}' &"], cwd=clone, env=BARE, check=True)
    for _ in range(300):
        if (clone / "out").exists():
            break
        time.sleep(0.1)
    assert "Activate the project's environment" in (clone / "out").read_text()
