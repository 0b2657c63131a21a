"""A real brand as delivered (daily rows, 50 columns): onboarded by init, first fit on 130 weeks, twelve more weeks."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from reference import reference_file

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
FIRST_WEEK = date(2019, 12, 30)
FIRST_FIT = (FIRST_WEEK + timedelta(weeks=129)).isoformat()
LAST = (FIRST_WEEK + timedelta(weeks=141)).isoformat()


@pytest.fixture(scope="module")
def evermix(tmp_path_factory):
    place = tmp_path_factory.mktemp("brand")
    (place / "scripts").mkdir()
    for name in ("params.yaml", "dvc.yaml", "scripts/stage", "requirements.lock"):
        shutil.copyfile(ROOT / name, place / name)
    env = {k: v for k, v in os.environ.items() if not k.startswith("EVERMIX_")}
    env |= {"EVERMIX_HOME": str(place / "home"), "EVERMIX_PROJECT": str(place)}

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "evermix", *words, "--json"], env=env, stdout=subprocess.PIPE, text=True, check=False
        )
        assert done.returncode == 0, f"evermix {' '.join(words)} left with {done.returncode}"
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def onboarded(evermix):
    return evermix(
        "init",
        "--source",
        str(reference_file("conjura/home_appliances_gbp_daily.csv")),
        "--name",
        "appliances",
        "--yes",
    )


@pytest.fixture(scope="module")
def replayed(evermix, onboarded):
    return evermix("replay", "--model", "appliances", "--from", FIRST_FIT, "--to", LAST)


def test_init_names_what_it_took_and_what_it_left_out(onboarded):
    taken = onboarded["recognised"]
    assert "date" in taken["DATE_DAY"]
    assert "target" in taken["ALL_PURCHASES_ORIGINAL_PRICE"]
    assert "channel" in taken["GOOGLE_SHOPPING_SPEND"]
    assert "leak" in onboarded["left_out"]["ALL_PURCHASES_GROSS_DISCOUNT"]


def test_thirteen_weeks_come_out_one_by_one(evermix, replayed):
    weeks = evermix("history", "--model", "appliances")
    assert [week["as_of"] for week in weeks] == [
        (FIRST_WEEK + timedelta(weeks=number)).isoformat() for number in range(129, 142)
    ]
    assert weeks[0]["decision"] == "first_fit"
    assert weeks[0]["verdict"] == "promote"
    assert {week["decision"] for week in weeks[1:]} <= {"keep", "update", "refit", "review"}
    assert all(week["evidence"]["surprise.weeks_scored"] == 1 for week in weeks[1:])
    # The file holds all weeks from the start, so every week but the last of the file is rebuilt from later data.
    assert all(week["reconstructed"] for week in weeks)


def test_the_ledger_is_whole_and_the_registry_agrees(evermix, replayed):
    (status,) = evermix("status", "--model", "appliances")
    assert status["ledger"]["faults"] == []
    assert status["registry"] == []
    assert status["champion"]["version"].startswith("appliances/")
