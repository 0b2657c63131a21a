"""Commands that look and change nothing but what they are told to write."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from evermix import cli_print as out
from evermix.commands.given import environment, models_of, week_of
from evermix.errors import StoreError


def history(args: argparse.Namespace) -> None:
    """Show the decided weeks."""
    from evermix.stages.status import history as verb

    env, _, models = models_of(args)
    out.show(args, verb(env, models), out.history_text)


def rules(args: argparse.Namespace) -> None:
    """Show what the rules cost."""
    from evermix.stages.status import rules as verb

    env, _, models = models_of(args)
    out.show(args, verb(env, models), out.rules_text)


def evidence(args: argparse.Namespace) -> None:
    """List what a rule may ask."""
    from evermix.config import EVIDENCE

    out.show(args, {name: about._asdict() for name, about in EVIDENCE.items()}, out.evidence_text)


def plan(args: argparse.Namespace) -> None:
    """Show what the present plan costs, and what to test."""
    from evermix.stages.budget import plan as verb

    env, params, _ = models_of(args)
    out.show(args, verb(env, params.model(args.model), args.model), out.plan_text)


def status(args: argparse.Namespace) -> None:
    """Show where the models stand."""
    from evermix.stages.status import status as verb

    env, params, models = models_of(args)
    today = datetime.now(UTC).date()
    out.show(args, verb(env, params, models, today, not args.no_registry), out.status_text)


def verify(args: argparse.Namespace) -> None:
    """Check that what was recorded is unchanged."""
    from evermix.stages.verify import run as verb

    env, _, models = models_of(args)
    report = verb(env, models, not args.no_registry, out.progress)
    out.show(args, report, out.verify_text)
    if not report["clean"]:
        # The report is the answer already: a second JSON document after it could not be parsed.
        args.json = False
        count = sum(len(model["findings"]) for model in report["models"])
        raise StoreError(f"verify: {count} finding(s), listed above: something is changed, cut or missing.")


def metrics(args: argparse.Namespace) -> None:
    """Print the metrics."""
    from evermix.stages import metrics as verb

    env, _, models = models_of(args)
    if args.json:
        out.show(args, [vars(sample) for sample in verb.read(env, models, datetime.now(UTC))], str)
    else:
        out.show(args, verb.text(env, models), str)


def exporter(args: argparse.Namespace) -> None:
    """Serve the metrics."""
    from evermix.config import load_params
    from evermix.stages import metrics as verb

    env = environment()
    verb.serve(env, lambda: list(load_params(env.project / "params.yaml").models), args.host, args.port, out.progress)


def export(args: argparse.Namespace) -> None:
    """Write tables for BI."""
    from evermix.stages import export as verb

    # `--model all` says what leaving it out says.
    args.model = None if args.model == "all" else args.model
    env, _, models = models_of(args)
    out.show(args, verb.run(env, models, args.to, week_of(args) if args.as_of else None), out.export_text)


def quality(args: argparse.Namespace) -> None:
    """Show how good the deliveries were."""
    from evermix.stages.quality import show as verb

    env, _, models = models_of(args)
    out.show(args, verb(env, models, week_of(args) if args.as_of else None), out.quality_text)


def drift(args: argparse.Namespace) -> None:
    """Compare two large tables by plain PSI."""
    from evermix.stages.drift import run as verb

    out.show(args, verb(args.table, args.current), out.drift_text)
