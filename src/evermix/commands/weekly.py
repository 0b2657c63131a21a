"""Commands of the weekly loop, and its steps one by one."""

from __future__ import annotations

import argparse

from evermix import cli_print as out
from evermix.commands.given import environment, loop_of, tell_people, week_of
from evermix.errors import DataError


def week(args: argparse.Namespace) -> None:
    """Close a week and the pending ones before it, or say what that would do."""
    if args.dry_run:
        from evermix.stages.rehearse import rehearse

        out.show(args, rehearse(loop_of(args), week_of(args)), out.rehearsal_text)
        return
    *caught_up, outcome = loop_of(args).week(week_of(args))
    out.show(args, {**outcome, "caught_up": caught_up}, lambda _: out.weeks_text([*caught_up, outcome]))
    tell_people(args)


def replay(args: argparse.Namespace) -> None:
    """Close a range of weeks."""
    from evermix.stages.week import parse_week
    from evermix.stages.week import replay as verb

    first, last = parse_week(args.first, "--from"), parse_week(args.last, "--to")
    out.show(args, out.bar_over_weeks(verb(loop_of(args), first, last), first, last), out.weeks_text)
    tell_people(args)


def ingest(args: argparse.Namespace) -> None:
    """Store a week's snapshot."""
    out.show(args, loop_of(args).ingest(week_of(args)), out.fields_text)


def stage(args: argparse.Namespace) -> None:
    """Bring a week up to one stage, or check the source as it is now."""
    if args.as_of is None:
        _check_source(args)
        return
    done = loop_of(args).step(args.command, week_of(args))
    out.show(args, done, out.check_text if args.command == "validate" and "faults" in done else out.fields_text)


def _check_source(args: argparse.Namespace) -> None:
    from evermix.stages.check import check_source

    report = check_source(environment(), args.model)
    out.show(args, report, out.check_text)
    if report["faults"]:
        # The report is the answer already: a second JSON document after it could not be parsed.
        args.json = False
        raise DataError(
            f"{args.model}: the source breaks its contract in {len(report['faults'])} place(s), listed above."
        )


def close(args: argparse.Namespace) -> None:
    """Close a computed week."""
    out.show(args, loop_of(args).close(week_of(args)), lambda outcome: out.weeks_text([outcome]))
    tell_people(args)


def report(args: argparse.Namespace) -> None:
    """Write a week's page."""
    from evermix.stages import report as verb

    loop = loop_of(args)
    out.show(args, verb.write(loop, week_of(args) if args.as_of else None, args.evidently), out.fields_text)


def pending(args: argparse.Namespace) -> None:
    """List the weeks that are not closed."""
    from evermix.stages.week import parse_week

    out.show(args, loop_of(args).pending(parse_week(args.through, "--through")), "\n".join)
