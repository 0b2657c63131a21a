"""What each command of the command line does: calls one verb and hands its result to the printer."""

from __future__ import annotations

import argparse
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evermix import cli_print as out
from evermix.errors import ConfigError, DataError, StoreError

if TYPE_CHECKING:
    from evermix.config import Environment
    from evermix.stages.week import Loop


def _env() -> Environment:
    from evermix.config import Environment

    return Environment.read()


def _loop(args: argparse.Namespace) -> Loop:
    from evermix.stages.week import Loop

    return Loop(_env(), args.model, out.progress)


def _by(args: argparse.Namespace) -> str:
    if args.by:
        return str(args.by)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ConfigError("--by: this user has no name here. Say who does it with --by NAME.") from None


def _week_of(args: argparse.Namespace) -> str:
    from evermix.stages.week import parse_week

    return parse_week(args.as_of)


def _models(args: argparse.Namespace) -> tuple[Environment, Any, list[str]]:
    from evermix.config import load_params

    env = _env()
    params = load_params(env.project / "params.yaml")
    if args.model:
        params.model(args.model)
    return env, params, [args.model] if args.model else list(params.models)


def init(args: argparse.Namespace) -> None:
    """Write a model entry for a file or a query."""
    from evermix.stages import init as verb

    origin = verb.Origin(args.source, args.query, args.label)
    summary = verb.run(_env(), origin, args.name, args.yes, out.ask, args.force)
    if summary["written"]:
        _write_manifest()
    out.show(args, summary, out.init_text)


def simulate(args: argparse.Namespace) -> None:
    """Write a simulated feed."""
    from evermix.stages import simulate as verb

    out.show(args, verb.run(args.seed, Path(args.out), args.scenario, args.weeks), out.simulate_text)


def up(args: argparse.Namespace) -> None:
    """Start the embedded stack."""
    from evermix.stages import up as verb

    out.show(args, verb.up(_env(), out.progress), out.fields_text)


def down(args: argparse.Namespace) -> None:
    """Stop the embedded stack."""
    from evermix.stages import down as verb

    out.show(args, verb.down(_env(), out.progress), out.fields_text)


def manifest(args: argparse.Namespace) -> None:
    """Write the list of models that the DAG files read."""
    out.show(args, _write_manifest(), out.fields_text)


def _write_manifest() -> dict[str, Any]:
    from evermix.config import load_params
    from evermix.stages.up import write_manifest

    env = _env()
    params = load_params(env.project / "params.yaml")
    write_manifest(env, params)
    return {"models": list(params.models), "file": str(env.home / "models.json")}


def demo(args: argparse.Namespace) -> None:
    """Play the demo."""
    from evermix.stages import demo as verb

    out.show(args, verb.run(_env(), args.keep, out.progress), out.demo_text)


def week(args: argparse.Namespace) -> None:
    """Close a week and the pending ones before it, or say what that would do."""
    if args.dry_run:
        from evermix.stages.rehearse import rehearse

        out.show(args, rehearse(_loop(args), _week_of(args)), out.rehearsal_text)
        return
    *caught_up, outcome = _loop(args).week(_week_of(args))
    out.show(args, {**outcome, "caught_up": caught_up}, lambda _: out.weeks_text([*caught_up, outcome]))


def replay(args: argparse.Namespace) -> None:
    """Close a range of weeks."""
    from evermix.stages.week import parse_week
    from evermix.stages.week import replay as verb

    first, last = parse_week(args.first, "--from"), parse_week(args.last, "--to")
    out.show(args, out.bar_over_weeks(verb(_loop(args), first, last), first, last), out.weeks_text)


def ingest(args: argparse.Namespace) -> None:
    """Store a week's snapshot."""
    out.show(args, _loop(args).ingest(_week_of(args)), out.fields_text)


def stage(args: argparse.Namespace) -> None:
    """Bring a week up to one stage, or check the source as it is now."""
    if args.as_of is None:
        _check_source(args)
        return
    done = _loop(args).step(args.command, _week_of(args))
    out.show(args, done, out.check_text if args.command == "validate" and "faults" in done else out.fields_text)


def _check_source(args: argparse.Namespace) -> None:
    from evermix.stages.check import check_source

    report = check_source(_env(), args.model)
    out.show(args, report, out.check_text)
    if report["faults"]:
        raise DataError(
            f"{args.model}: the source breaks its contract in {len(report['faults'])} place(s), listed above."
        )


def close(args: argparse.Namespace) -> None:
    """Close a computed week."""
    out.show(args, _loop(args).close(_week_of(args)), lambda outcome: out.weeks_text([outcome]))


def report(args: argparse.Namespace) -> None:
    """Write a week's page."""
    from evermix.stages import report as verb

    loop = _loop(args)
    out.show(args, verb.write(loop, _week_of(args) if args.as_of else None, args.evidently), out.fields_text)


def pending(args: argparse.Namespace) -> None:
    """List the weeks that are not closed."""
    from evermix.stages.week import parse_week

    out.show(args, _loop(args).pending(parse_week(args.through, "--through")), "\n".join)


def history(args: argparse.Namespace) -> None:
    """Show the decided weeks."""
    from evermix.stages.status import history as verb

    env, _, models = _models(args)
    out.show(args, verb(env, models), out.history_text)


def status(args: argparse.Namespace) -> None:
    """Show where the models stand."""
    from evermix.stages.status import status as verb

    env, params, models = _models(args)
    today = datetime.now(UTC).date()
    out.show(args, verb(env, params, models, today, not args.no_registry), out.status_text)


def review(args: argparse.Namespace) -> None:
    """Show or answer the pending question."""
    from evermix.stages import answer as verb

    loop = _loop(args)
    question = verb.pending_question(loop)
    if args.answer is None:
        body = verb.question_body(loop, question) if question else None
        out.show(args, {"model": args.model, "question": question, "body": body}, out.question_text)
        return
    as_of = args.as_of or (question["as_of"] if question else None)
    if as_of is None:
        raise ConfigError(f"{args.model}: no question is pending. See `evermix status`.")
    out.show(args, verb.answer(loop, as_of, args.answer == "approve", _by(args)), out.fields_text)


def promote(args: argparse.Namespace) -> None:
    """Promote a version, or repair the registry."""
    from evermix.stages import answer as verb
    from evermix.stages.publish import reconcile

    if args.reconcile == bool(args.version):
        raise ConfigError("promote: give either --version ID or --reconcile.")
    if args.reconcile:
        out.show(args, reconcile(_loop(args)), out.fields_text)
        return
    out.show(args, verb.promote(_loop(args), args.version, _by(args), args.reason), out.fields_text)


def rollback(args: argparse.Namespace) -> None:
    """Go back to an earlier champion."""
    from evermix.stages import answer as verb

    out.show(args, verb.rollback(_loop(args), args.to, _by(args), args.reason), out.fields_text)


def accept(args: argparse.Namespace) -> None:
    """Waive faults of a quarantined week."""
    from evermix.stages import order as verb

    out.show(args, verb.accept(_loop(args), _week_of(args), args.fault, _by(args), args.reason), out.fields_text)


def freeze(args: argparse.Namespace) -> None:
    """Freeze a model."""
    from evermix.stages import order as verb

    out.show(args, verb.freeze(_loop(args), True, _by(args), args.reason), out.fields_text)


def unfreeze(args: argparse.Namespace) -> None:
    """End a freeze."""
    from evermix.stages import order as verb

    out.show(args, verb.freeze(_loop(args), False, _by(args), args.reason), out.fields_text)


def refit(args: argparse.Namespace) -> None:
    """Ask for a refit."""
    from evermix.stages import order as verb

    out.show(args, verb.request_refit(_loop(args), _by(args), args.reason), out.fields_text)


def verify(args: argparse.Namespace) -> None:
    """Check that what was recorded is unchanged."""
    from evermix.stages.verify import run as verb

    env, _, models = _models(args)
    report = verb(env, models, not args.no_registry, out.progress)
    out.show(args, report, out.verify_text)
    if not report["clean"]:
        # The report is the answer already: a second JSON document after it could not be parsed.
        args.json = False
        count = sum(len(model["findings"]) for model in report["models"])
        raise StoreError(f"verify: {count} finding(s), listed above: something is changed, cut or missing.")


def notify(args: argparse.Namespace) -> None:
    """Send what is due."""
    from evermix.stages import notify as verb

    env, _, models = _models(args)
    told = verb.run(env, models, out.progress, dry_run=args.dry_run)
    out.show(args, told, out.told_text)
    verb.raise_failures(told)


def watchdog(args: argparse.Namespace) -> None:
    """Notice what is overdue."""
    from evermix.config import load_params
    from evermix.stages import notify as sender
    from evermix.stages import watchdog as verb

    if (args.run_overdue is None) != (args.as_of is None):
        raise ConfigError("watchdog: --run-overdue MODEL and --as-of WEEK go together.")
    env = _env()
    params = load_params(env.project / "params.yaml")
    late_run = None
    if args.run_overdue is not None:
        params.model(args.run_overdue)
        late_run = (args.run_overdue, _week_of(args))
    told = verb.run(env, list(params.models), verb.parse_moment(args.now), out.progress, late_run)
    out.show(args, told, out.told_text)
    sender.raise_failures(told)


def metrics(args: argparse.Namespace) -> None:
    """Print the metrics."""
    from evermix.stages import metrics as verb

    env, _, models = _models(args)
    if args.json:
        out.show(args, [vars(sample) for sample in verb.read(env, models, datetime.now(UTC))], str)
    else:
        out.show(args, verb.text(env, models), str)


def exporter(args: argparse.Namespace) -> None:
    """Serve the metrics."""
    from evermix.config import load_params
    from evermix.stages import metrics as verb

    env = _env()
    verb.serve(env, lambda: list(load_params(env.project / "params.yaml").models), args.host, args.port, out.progress)


def export(args: argparse.Namespace) -> None:
    """Write tables for BI."""
    from evermix.stages import export as verb

    # `--model all` says what leaving it out says.
    args.model = None if args.model == "all" else args.model
    env, _, models = _models(args)
    out.show(args, verb.run(env, models, args.to, _week_of(args) if args.as_of else None), out.export_text)


def adopt(args: argparse.Namespace) -> None:
    """Make draws from elsewhere the first champion."""
    from evermix.stages.adopt import run as verb

    draws = Path(args.draws).expanduser().resolve()
    out.show(args, verb(_loop(args), draws, _week_of(args), args.reason, _by(args)), out.fields_text)
