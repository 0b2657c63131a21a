"""A team's own project on a small regression with short chains, for tests that run the real loop."""

import json
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SCENARIO, MODEL = "demand", "demand"
FIRST = "2025-12-22"


def monday(weeks: int) -> str:
    """Return the Monday so many weeks after the first week."""
    return (date.fromisoformat(FIRST) + timedelta(weeks=weeks)).isoformat()


class Project:
    """A team's own project: params and pipeline in a folder, state in a home, driven by the command line.

    ``variables`` are more ``EVERMIX_*`` variables for every command; ``weeks`` how many are simulated.
    """

    def __init__(self, root: Path, weeks: int = 8, variables: dict[str, str] | None = None) -> None:
        self.root, self.home = root / "project", root / "home"
        self.variables = variables or {}
        (self.root / "scripts").mkdir(parents=True)
        for name in ("dvc.yaml", "scripts/stage", "requirements.lock"):
            shutil.copyfile(ROOT / name, self.root / name)
        data = yaml.safe_load((ROOT / "params.yaml").read_text())
        entry = data["models"][MODEL]
        # Short chains: what is tested is the loop, and limits of the gate that short chains can meet.
        entry["sampler"] |= {"chains": 2, "draws": 300, "tune": 200, "fallback_tune": 200}
        entry["evaluation"]["draws"] = entry["monitor"]["draws"] = 200
        for check in entry["gate"]["checks"]:
            if check["metric"].startswith("ess"):
                check["low"] = 50.0
            if check["metric"] == "rhat_max":
                check["high"] = 1.1
        for rule in entry["rules"]:
            if rule["evidence"] == "update.ess":
                rule["value"] = 20.0
        self.write({"models": {MODEL: entry}})
        self.run(
            "simulate", "--seed", "5", "--out", str(self.feed.parent), "--scenario", SCENARIO, "--weeks", str(weeks)
        )
        self.deliver(FIRST)

    @property
    def feed(self) -> Path:
        return self.home / "feeds" / MODEL / "feed.csv"

    def params(self):
        return yaml.safe_load((self.root / "params.yaml").read_text())

    def write(self, data) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(data, sort_keys=False))

    def deliver(self, as_of: str) -> None:
        shutil.copyfile(self.feed.parent / "deliveries" / f"{as_of}.csv", self.feed)

    def environment(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith("EVERMIX_")}
        env |= {"EVERMIX_HOME": str(self.home), "EVERMIX_PROJECT": str(self.root), "PYTHONPATH": str(ROOT / "src")}
        return env | self.variables

    def run(self, *words: str, expect: int = 0):
        command = [sys.executable, "-m", "evermix", *words, "--json"]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == expect, done.stderr
        return json.loads(done.stdout)

    def week(self, as_of: str, deliver: bool = True):
        if deliver:
            self.deliver(as_of)
        return self.run("week", "--model", MODEL, "--as-of", as_of)

    def history(self):
        return self.run("history", "--model", MODEL)
