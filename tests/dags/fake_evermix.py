"""A stand-in for the ``evermix`` command: same words, same exit codes and JSON, no model.

``$EVERMIX_HOME/fake/plan.json`` says what happens, ``calls.jsonl`` beside it what was called:

``waiting``  weeks for which the source has no row yet, as ``"model week"``
``ask``      weeks that end with a question, as ``"model week"``
``fail``     exit codes of a step, used up one by one: ``{"fit brand 2026-01-05": [6]}``
``sleep_s``  how long a step takes: ``{"fit brand 2026-01-05": 30}``
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
import time
from datetime import date, timedelta
from pathlib import Path

FOLDER = Path(os.environ["EVERMIX_HOME"]) / "fake"
# After a backfill Airflow also runs the latest week by the clock; its data are not there yet.
SOURCE_ENDS = "2026-06-29"
STEPS = ("open", "validate", "monitor", "decide", "fit", "evaluate", "gate")


def read(name: str, default: object) -> object:
    path = FOLDER / name
    return json.loads(path.read_text()) if path.exists() else default


def record(args: argparse.Namespace) -> None:
    said = {k: v for k, v in vars(args).items() if v is not None and k != "json"}
    with (FOLDER / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps(said) + "\n")


def exit_code(command: str, model: str, as_of: str) -> int:
    plan = read("plan.json", {})
    codes = plan.get("fail", {}).get(f"{command} {model} {as_of}", [])
    if not codes:
        return 0
    code = codes.pop(0)
    (FOLDER / "plan.json").write_text(json.dumps(plan))
    return code


def close(state: dict, plan: dict, model: str, as_of: str) -> dict:
    if as_of in state["closed"]:
        return {"status": "already closed", "as_of": as_of, "approval": None}
    if state["closed"] and as_of < max(state["closed"]):
        sys.exit(5)
    state["closed"].append(as_of)
    if f"{model} {as_of}" in plan.get("ask", []):
        state["question"] = {"as_of": as_of, "version": f"{model}/{as_of}/0badcafe", "reasons": ["as planned"]}
    return {"status": "closed", "as_of": as_of, "approval": state["question"]}


def pending(state: dict, through: str) -> list[str]:
    """Return every Monday after the last closed one, ingested or not, as evermix does."""
    if state["closed"]:
        day = date.fromisoformat(max(state["closed"])) + timedelta(weeks=1)
    else:
        day = date.fromisoformat(min([*state["ingested"], through]))
    weeks = []
    while day <= date.fromisoformat(through):
        weeks.append(day.isoformat())
        day += timedelta(weeks=1)
    return weeks


def review(state: dict, args: argparse.Namespace) -> dict:
    question = state["question"]
    if args.answer is None:
        body = f"### The evidence\n\nweek {question['as_of']}" if question else None
        return {"model": args.model, "question": question, "body": body}
    if question is None or question["as_of"] != args.as_of:
        return {"as_of": args.as_of, "status": "superseded"}
    if args.answer == "hold":
        return {"as_of": args.as_of, "status": "held", "by": args.by}
    state["question"] = None
    return {"as_of": args.as_of, "status": "approved" if args.answer == "approve" else "rejected", "by": args.by}


def answer(state: dict, plan: dict, args: argparse.Namespace) -> object:
    model, as_of = args.model, args.as_of
    if args.command == "ingest":
        if as_of > SOURCE_ENDS or f"{model} {as_of}" in plan.get("waiting", []):
            return {"status": "waiting"}
        if as_of in state["closed"]:
            return {"status": "closed"}
        state["ingested"] = sorted({*state["ingested"], as_of})
        return {"status": "stored"}
    if args.command == "pending":
        return pending(state, args.through)
    if args.command in ("week", "close"):
        return close(state, plan, model, as_of)
    if args.command == "review":
        return review(state, args)
    print(f"{args.command}: 50 %", file=sys.stderr)
    return {"status": "done", "stage": args.command}


def main() -> None:
    parser = argparse.ArgumentParser()
    commands = ["ingest", "pending", "week", "close", "report", "review", "refit", "watchdog"]
    parser.add_argument("command", choices=[*STEPS, *commands])
    words = ("--model", "--as-of", "--through", "--answer", "--by", "--run-overdue", "--reason", "--upstream", "--ref")
    for word in words:
        parser.add_argument(word)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.command == "watchdog" and args.run_overdue is None:
        # The hourly look; it comes whenever the clock says, so that no test counts it.
        print(json.dumps({"overdue": []}))
        return
    args.model = args.model or args.run_overdue
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record(args)
        if code := exit_code(args.command, args.model, args.as_of or ""):
            print(f"evermix: planned failure {code}", file=sys.stderr)
            sys.exit(code)
        states = read("state.json", {})
        state = states.setdefault(args.model, {"ingested": [], "closed": [], "question": None})
        result = answer(state, read("plan.json", {}), args)
        (FOLDER / "state.json").write_text(json.dumps(states))
    time.sleep(read("plan.json", {}).get("sleep_s", {}).get(f"{args.command} {args.model} {args.as_of}", 0))
    print(json.dumps(result, indent=2) if args.json else result)


if __name__ == "__main__":
    main()
