"""A disk that is full, or read-only: exit 5 that says so; with room again the same command finishes."""

import os
import subprocess
import sys

import pytest
from faults.lab import QUIET, REFIT, REPEATS, Done, compare, observe
from project import MODEL, monday

pytestmark = pytest.mark.fault

# The home's copy on a small file system of its own, in a mount namespace that ends with the script.
SCRIPT = """
set -u
home=$1 size_kb=$2 free_kb=$3 mode=$4; shift 4
mkdir -p "$home.kept" && cp -a "$home/." "$home.kept/" || exit 90
mount -t tmpfs -o size=${size_kb}k tmpfs "$home" && cp -a "$home.kept/." "$home/" || exit 91
if [ "$mode" = ro ]; then
  mount -o remount,ro "$home" || exit 92
else
  left=$(df -k --output=avail "$home" | tail -1)
  dd if=/dev/zero of="$home/ballast" bs=1k count=$((left - free_kb)) status=none || exit 93
fi
"$@"; first=$?
if [ "$mode" = ro ]; then mount -o remount,rw "$home"; else rm "$home/ballast"; fi
"$@"; second=$?
rm -rf "$home.kept" && mkdir "$home.kept" && cp -a "$home/." "$home.kept/" || exit 94
umount "$home" && rm -rf "$home" && mv "$home.kept" "$home" || exit 95
echo "codes $first $second" >&2
"""


@pytest.fixture(scope="module")
def may_mount():
    tried = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    if tried.returncode:
        if os.environ.get("EVERMIX_REQUIRE_REAL") == "1":
            pytest.fail(f"no file system can be mounted here: {tried.stderr.decode()}")
        pytest.skip(f"no file system can be mounted here: {tried.stderr.decode()}")


def on_a_small_disk(lab, number, free_kb, mode="rw"):
    """Run a week twice, first on the bad disk and then on the good one; return both exit codes and what was said."""
    week = [sys.executable, "-m", "evermix", "week", "--model", MODEL, "--as-of", monday(number)]
    command = ["unshare", "-rm", "sh", "-c", SCRIPT, "sh", str(lab.project.home), "200000", str(free_kb), mode, *week]
    done = subprocess.run(command, env=lab.variables(), capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("codes "), done.stderr[-2000:]
    first, second = map(int, last.split()[1:])
    return Done(first, "", done.stderr), second


def judged(lab, number, second):
    harm = compare(observe(lab.project.home), lab.reference[str(number)])
    if second:
        harm.differences.append(f"with a good disk again the week exited {second}")
    return harm


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("free_kb", [0, 8, 40, 150, 400, 700, 900] if REPEATS > 1 else [0, 60, 400])
def test_a_full_disk_is_told_and_the_week_is_finished_when_there_is_room(lab, judge, may_mount, free_kb, repeat):
    lab.before(QUIET[0])
    first, second = on_a_small_disk(lab, QUIET[0], free_kb)
    if first.code or free_kb == 0:
        assert first.code == 5, first.said
        assert "No space left" in first.said or "room" in first.said, first.said
    judge("disk full in a quiet week", judged(lab, QUIET[0], second))


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("free_kb", [60, 200, 500, 1000] if REPEATS > 1 else [200])
def test_a_disk_that_fills_up_while_a_version_is_published_doubles_nothing(lab, judge, may_mount, free_kb, repeat):
    lab.before(REFIT, "computed")
    first, second = on_a_small_disk(lab, REFIT, free_kb)
    if first.code:
        assert first.code == 5, first.said
        assert "No space left" in first.said or "room" in first.said, first.said
    judge("disk full while a version is published", judged(lab, REFIT, second))


@pytest.mark.parametrize("repeat", range(REPEATS))
def test_a_read_only_home_is_told_and_the_week_is_finished_when_it_can_be_written(lab, judge, may_mount, repeat):
    lab.before(QUIET[0])
    first, second = on_a_small_disk(lab, QUIET[0], 0, mode="ro")
    assert first.code == 5, first.said
    assert "Read-only file system" in first.said
    judge("read-only home", judged(lab, QUIET[0], second))
