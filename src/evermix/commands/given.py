"""What the arguments of a command name: the environment, a model's loop, a week, a person."""

from __future__ import annotations

import argparse
import getpass
from typing import TYPE_CHECKING, Any

from evermix import cli_print as out
from evermix.errors import ConfigError

if TYPE_CHECKING:
    from evermix.config import Environment
    from evermix.stages.week import Loop


def environment() -> Environment:
    """Return the places and addresses of this process."""
    from evermix.config import Environment

    return Environment.read()


def loop_of(args: argparse.Namespace) -> Loop:
    """Return the loop of the model that was named."""
    from evermix.stages.week import Loop

    return Loop(environment(), args.model, out.progress)


def person_of(args: argparse.Namespace) -> str:
    """Return who orders it: the name given, or the login."""
    if args.by:
        return str(args.by)
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise ConfigError("--by: this user has no name here. Say who does it with --by NAME.") from None


def week_of(args: argparse.Namespace) -> str:
    """Return the week that was named."""
    from evermix.stages.week import parse_week

    return parse_week(args.as_of)


def models_of(args: argparse.Namespace) -> tuple[Environment, Any, list[str]]:
    """Return environment, params and the models asked for: the one named, or all."""
    from evermix.config import load_params

    env = environment()
    params = load_params(env.project / "params.yaml")
    if args.model:
        params.model(args.model)
    return env, params, [args.model] if args.model else list(params.models)


def tell_people(args: argparse.Namespace) -> None:
    """Send what the ledger calls for since this command; what could not be sent is said, and tried by the watchdog."""
    from evermix.stages import notify

    told = notify.run(environment(), [args.model], out.progress)
    for failed in told["failed"]:
        out.progress(f"not told: {failed} `evermix notify` and the watchdog try again.")
    for misnamed in told["misnamed"]:
        out.progress(misnamed)
