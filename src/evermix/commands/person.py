"""Commands of people, and those that tell people something."""

from __future__ import annotations

import argparse

from evermix import cli_print as out
from evermix.commands.given import environment, loop_of, models_of, person_of, tell_people, week_of
from evermix.errors import ConfigError


def review(args: argparse.Namespace) -> None:
    """Show or answer the pending question."""
    from evermix.stages import answer as verb

    if args.reason and args.answer is None:
        raise ConfigError("review: --reason is that of an answer. Give --answer as well.")
    loop = loop_of(args)
    question = verb.pending_question(loop)
    if args.answer is None:
        body = verb.question_body(loop, question) if question else None
        out.show(args, {"model": args.model, "question": question, "body": body}, out.question_text)
        return
    as_of = args.as_of or (question["as_of"] if question else None)
    if as_of is None:
        raise ConfigError(f"{args.model}: no question is pending. See `evermix status`.")
    out.show(args, verb.answer(loop, as_of, args.answer, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def promote(args: argparse.Namespace) -> None:
    """Promote a version, or repair the registry."""
    from evermix.stages import answer as verb
    from evermix.stages.publish import reconcile

    if args.reconcile == bool(args.version):
        raise ConfigError("promote: give either --version ID or --reconcile.")
    if args.reconcile:
        out.show(args, reconcile(loop_of(args)), out.fields_text)
        return
    out.show(args, verb.promote(loop_of(args), args.version, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def rollback(args: argparse.Namespace) -> None:
    """Go back to an earlier champion."""
    from evermix.stages import answer as verb

    out.show(args, verb.rollback(loop_of(args), args.to, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def accept(args: argparse.Namespace) -> None:
    """Waive faults of a quarantined week."""
    from evermix.stages import order as verb

    out.show(args, verb.accept(loop_of(args), week_of(args), args.fault, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def freeze(args: argparse.Namespace) -> None:
    """Freeze a model."""
    from evermix.stages import order as verb

    out.show(args, verb.freeze(loop_of(args), True, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def unfreeze(args: argparse.Namespace) -> None:
    """End a freeze."""
    from evermix.stages import order as verb

    out.show(args, verb.freeze(loop_of(args), False, person_of(args), args.reason), out.fields_text)
    tell_people(args)


def refit(args: argparse.Namespace) -> None:
    """Ask for a refit."""
    from evermix.stages import order as verb

    if args.ref and not args.upstream:
        raise ConfigError("refit: --ref goes with --upstream NAME.")
    upstream = verb.Upstream(args.upstream, args.ref) if args.upstream else None
    asked = verb.request_refit(loop_of(args), person_of(args), args.reason, upstream, plain=args.drop_amendments)
    out.show(args, asked, out.fields_text)
    tell_people(args)


def notify(args: argparse.Namespace) -> None:
    """Send what is due."""
    from evermix.stages import notify as verb

    env, _, models = models_of(args)
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
    env = environment()
    params = load_params(env.project / "params.yaml")
    late_run = None
    if args.run_overdue is not None:
        params.model(args.run_overdue)
        late_run = (args.run_overdue, week_of(args))
    told = verb.run(env, list(params.models), verb.parse_moment(args.now), out.progress, late_run)
    out.show(args, told, out.told_text)
    sender.raise_failures(told)
