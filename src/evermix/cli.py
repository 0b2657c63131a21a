"""The command line: parses, calls one verb, prints.  No arithmetic, and no heavy import before a command needs it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from evermix.errors import EvermixError, StoreError

STAGE_HELP = {
    "open": "write the inputs of a week into the model's work clone",
    "validate": "hold a week's snapshot against the contract (without --as-of: check the source as it is now)",
    "monitor": "score the new weeks with the live version; measure drift and restatements",
    "decide": "turn the evidence into one decision by the rules in params",
    "fit": "sample what the decision asks for; nothing to do in a quiet week",
    "evaluate": "measure the challenger against data, baselines and champion",
    "gate": "give the verdict: promote, hold or reject",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="evermix",
        description="Keep Bayesian models true from week to week: decide, refit, compare, explain, reproduce.",
        epilog="Exit codes: 0 the week came out; 2 configuration, 3 data, 4 fit, 5 store, 6 service; 130 interrupted; "
        "1 is a bug. EVERMIX_HOME holds all state (default .evermix in the project).",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, help_text: str, run: Callable[[argparse.Namespace], Any], model: str = "") -> Any:
        command = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        command.add_argument("--json", action="store_true", help="print JSON for a program to read")
        if model:
            command.add_argument("--model", required=model == "one", help="the model's name in params.yaml")
        command.set_defaults(run=run)
        return command

    _add_start(add)
    _add_week(add)
    _add_look(add)
    _add_person(add)
    return parser


def _add_start(add: Callable[..., Any]) -> None:
    from evermix import commands as do

    c = add("init", "write a model entry for a file or a database query into params.yaml", do.init)
    c.add_argument(
        "--source", required=True, help="path, glob, fsspec URL or, with --query, SQLAlchemy URL of the data"
    )
    c.add_argument("--query", help="what to ask a database: select ...")
    c.add_argument("--label", choices=["start", "end"], help="weekly rows are dated by this day of their week")
    c.add_argument("--name", required=True, help="name of the new model: a-z, 0-9 and _")
    c.add_argument("--yes", action="store_true", help="ask nothing")
    c.add_argument("--force", action="store_true", help="replace an entry of that name, with all that was edited in it")
    c = add("simulate", "write a simulated feed with its known truth beside it", do.simulate)
    c.add_argument("--seed", type=int, required=True, help="same seed, same bytes")
    c.add_argument("--out", required=True, help="folder to write to")
    c.add_argument("--scenario", default="demo", help="what happens to the brand (default: demo)")
    c.add_argument("--weeks", type=int, help="weeks after the history (default: the scenario's own)")
    add("up", "start the embedded Airflow and MLflow on loopback", do.up)
    add("down", "stop what `up` started, and nothing else", do.down)
    add("manifest", "write the list of models that the DAG files read", do.manifest)
    c = add("demo", "play a simulated brand through the whole stack", do.demo)
    c.add_argument("--keep", action=argparse.BooleanOptionalAction, default=True, help="leave the stack running")


def _add_week(add: Callable[..., Any]) -> None:
    from evermix import commands as do

    def as_of(command: Any, required: bool = True) -> None:
        command.add_argument("--as-of", required=required, help="Monday of the week to close, YYYY-MM-DD")

    about = "close a week, and the pending ones before it: the whole loop without Airflow"
    c = add(
        "week",
        f"{about}; a quarantine, a hold and a week that waits for its data are outcomes (exit code 0)",
        do.week,
        "one",
    )
    as_of(c)
    c.add_argument(
        "--dry-run", action="store_true", help="say what would happen and how long it would take, do nothing"
    )
    c = add("replay", "close every week of a range in order", do.replay, "one")
    c.add_argument("--from", dest="first", required=True, help="first Monday, YYYY-MM-DD")
    c.add_argument("--to", dest="last", required=True, help="last Monday, YYYY-MM-DD")
    as_of(add("ingest", "store what the source says for a week as an immutable snapshot", do.ingest, "one"))
    for name, text in STAGE_HELP.items():
        as_of(add(name, text, do.stage, "one"), required=name != "validate")
    as_of(add("close", "record a computed week: version, ledger, pointer, aliases", do.close, "one"))
    c = add("report", "write the HTML report of a closed week", do.report, "one")
    as_of(c, required=False)
    c.add_argument(
        "--evidently",
        action=argparse.BooleanOptionalAction,
        help="write Evidently's drift tables beside it (default: for a refit or review)",
    )
    c = add("pending", "list the weeks up to one that are not closed yet", do.pending, "one")
    c.add_argument("--through", required=True, help="last Monday to look at, YYYY-MM-DD")


def _add_look(add: Callable[..., Any]) -> None:
    from evermix import commands as do

    add("history", "show what every decided week did and why", do.history, "any")
    add("rules", "show how often each rule fired, what it decided, and how many fits a year it costs", do.rules, "any")
    add("evidence", "list the evidence that a rule in params may ask, with unit and meaning", do.evidence)
    c = add(
        "quality", "show each quality series of a delivery, its limits and what lies outside them", do.quality, "any"
    )
    c.add_argument("--as-of", help="Monday of a closed week (default: the last one)")
    add(
        "plan",
        "show the present spend, the best allowed plan, what keeping costs, and which channel to test",
        do.plan,
        "one",
    )
    c = add("drift", "compare two large tables, thousands of independent rows each, by plain PSI", do.drift)
    c.add_argument("--table", required=True, help="CSV or Parquet of the reference: path, glob or fsspec URL")
    c.add_argument("--current", required=True, help="the same of the rows to compare with it")
    c = add("status", "show champion, freshness and pending approval of every model", do.status, "any")
    c.add_argument("--no-registry", action="store_true", help="do not compare with MLflow, which saves its import")
    add("metrics", "print the health of every model and of the platform as Prometheus reads it", do.metrics, "any")
    c = add("exporter", "serve these metrics to Prometheus until it is stopped", do.exporter)
    c.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    c.add_argument("--port", type=int, default=9187, help="port to listen on, 0 for any free one (default: 9187)")
    c = add("export", "write contributions, ROAS, forecasts and decisions as tables for BI", do.export, "any")
    c.add_argument("--to", required=True, help="folder for Parquet files, or SQLAlchemy URL of a database")
    c.add_argument("--as-of", help="Monday of a closed week (default: the last one)")
    _add_alerts(add)
    c = add("verify", "check that ledger, draws, snapshots and caches still are what was recorded", do.verify, "any")
    c.add_argument("--no-registry", action="store_true", help="do not compare with MLflow, which saves its import")


def _add_alerts(add: Callable[..., Any]) -> None:
    from evermix import commands as do

    c = add("notify", "send the alerts that the ledgers call for and no route has taken yet", do.notify, "any")
    c.add_argument("--dry-run", action="store_true", help="say what is due, send nothing")
    c = add("watchdog", "notice weeks, corrections and answers that are overdue, and send all that is due", do.watchdog)
    c.add_argument("--now", help="ISO time to look from (default: now)")
    c.add_argument("--run-overdue", metavar="MODEL", help="report that this model's run has not ended in time")
    c.add_argument("--as-of", help="Monday of the week of that run, YYYY-MM-DD")


def _add_person(add: Callable[..., Any]) -> None:
    from evermix import commands as do

    c = add("review", "show the question that waits for a person, or answer it", do.review, "one")
    c.add_argument("--as-of", help="week of the question (default: the pending one)")
    c.add_argument("--answer", choices=["approve", "reject", "hold"], help="carry out this answer")
    c.add_argument("--by", help="who answers (default: you)")
    c.add_argument("--reason", default="", help="why, for the ledger")
    c = add("adopt", "make draws that were fitted elsewhere the first champion", do.adopt, "one")
    c.add_argument("--draws", required=True, help="netCDF of ArviZ or of pymc-marketing's MMM.save")
    c.add_argument("--as-of", required=True, help="Monday of the last week that was fitted, YYYY-MM-DD")
    c.add_argument("--reason", required=True, help="why, for the ledger")
    c.add_argument("--by", help="who does it (default: you)")
    c = add("promote", "make an earlier version champion, or repair the registry with --reconcile", do.promote, "one")
    c.add_argument("--version", help="id model/as_of/hash8, see `evermix history`")
    c.add_argument("--reconcile", action="store_true", help="make MLflow say what the history says")
    c.add_argument("--by", help="who does it (default: you)")
    c.add_argument("--reason", default="", help="why, for the ledger")
    orders = {
        "accept": ("waive faults of a quarantined week, so that it is computed all the same", do.accept),
        "freeze": ("stop fits and questions of a model; its weeks are scored and its champion serves", do.freeze),
        "unfreeze": ("end a freeze", do.unfreeze),
        "refit": ("ask for a refit with the next week, as a person or for a data team's system", do.refit),
    }
    for name, (text, run) in orders.items():
        c = add(name, text, run, "one")
        c.add_argument("--reason", required=True, help="why, for the ledger")
        c.add_argument("--by", help="who orders it (default: you)")
        if name == "refit":
            c.add_argument("--upstream", metavar="NAME", help="the system that asks; a rule of params decides then")
            c.add_argument("--ref", default="", help="the system's own id of its request: the same one counts once")
            c.add_argument("--drop-amendments", action="store_true", help="go back to the plain spec of params")
        if name == "accept":
            c.add_argument("--as-of", required=True, help="Monday of the quarantined week, YYYY-MM-DD")
            c.add_argument(
                "--fault", required=True, action="append", help="a rule named in its report; may be repeated"
            )
    c = add("rollback", "go back to the champion before the present one", do.rollback, "one")
    c.add_argument("--to", help="version id to go back to (default: the previous champion)")
    c.add_argument("--by", help="who does it (default: you)")
    c.add_argument("--reason", default="", help="why, for the ledger")


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit code."""
    args = build_parser().parse_args(argv)
    try:
        args.run(args)
    except EvermixError as err:
        return _fail(args, err)
    except BrokenPipeError:
        # Whoever read has enough, as `head` has; a flush at exit must not fail on the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as err:
        place = err.filename or "a file"
        return _fail(args, StoreError(f"{place}: {err.strerror or err}. Check that it exists, is yours and has room."))
    except KeyboardInterrupt:
        print("evermix: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except Exception:
        traceback.print_exc()
        print("evermix: this is a bug in evermix; nothing was recorded that a re-run does not finish", file=sys.stderr)
        return 1
    return 0


def _fail(args: argparse.Namespace, err: EvermixError) -> int:
    if args.json:
        print(json.dumps({"error": type(err).__name__, "message": str(err), "exit_code": err.exit_code}))
    print(f"evermix: {type(err).__name__}: {err}", file=sys.stderr)
    return err.exit_code
