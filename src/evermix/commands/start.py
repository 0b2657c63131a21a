"""Commands that bring a model or a stack to life."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from evermix import cli_print as out
from evermix.commands.given import environment, loop_of, person_of, tell_people, week_of


def init(args: argparse.Namespace) -> None:
    """Write a model entry for a file or a query."""
    from evermix.stages import init as verb

    origin = verb.Origin(args.source, args.query, args.label)
    summary = verb.run(environment(), origin, args.name, args.yes, out.ask, args.force)
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

    out.show(args, verb.up(environment(), out.progress), out.fields_text)


def down(args: argparse.Namespace) -> None:
    """Stop the embedded stack."""
    from evermix.stages import down as verb

    out.show(args, verb.down(environment(), out.progress), out.fields_text)


def manifest(args: argparse.Namespace) -> None:
    """Write the list of models that the DAG files read."""
    out.show(args, _write_manifest(), out.fields_text)


def _write_manifest() -> dict[str, Any]:
    from evermix.config import load_params
    from evermix.stages.up import write_manifest

    env = environment()
    params = load_params(env.project / "params.yaml")
    write_manifest(env, params)
    return {"models": list(params.models), "file": str(env.home / "models.json")}


def demo(args: argparse.Namespace) -> None:
    """Play the demo."""
    from evermix.stages import demo as verb

    out.show(args, verb.run(environment(), args.keep, out.progress), out.demo_text)


def adopt(args: argparse.Namespace) -> None:
    """Make draws from elsewhere the first champion."""
    from evermix.stages.adopt import run as verb

    draws = Path(args.draws).expanduser().resolve()
    out.show(args, verb(loop_of(args), draws, week_of(args), args.reason, person_of(args)), out.fields_text)
    tell_people(args)
