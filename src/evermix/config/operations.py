"""The strict schema of ``alerts.yaml``: who is told what, and when a week is overdue.  No result depends on it."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evermix.config.environment import Environment
from evermix.config.schema import Params
from evermix.errors import ConfigError

Severity = Literal["info", "warning", "critical"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Deadlines(_Strict):
    """When something that did not happen is an alert.

    ``data_hours`` and ``decision_hours`` count from the end of the week, Monday 00:00 UTC after it;
    ``approval_days`` from the moment at which the question was put.
    """

    data_hours: Annotated[float, Field(gt=0.0)]
    decision_hours: Annotated[float, Field(gt=0.0)]
    approval_days: Annotated[float, Field(gt=0.0)]

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_floats(cls, data: Any) -> Any:
        return {k: float(v) if type(v) is int else v for k, v in data.items()} if isinstance(data, dict) else data


class Route(_Strict):
    """One way out: Apprise URLs, and the alerts that take it."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    to: Annotated[list[str], Field(min_length=1)]
    severities: Annotated[list[Severity], Field(min_length=1)]
    models: Annotated[list[str], Field(min_length=1)]

    def takes(self, model: str, severity: str) -> bool:
        """Return whether an alert goes this way; ``models`` are shell patterns."""
        return severity in self.severities and any(fnmatchcase(model, pattern) for pattern in self.models)


class Operations(_Strict):
    """All of ``alerts.yaml``."""

    deadlines: Deadlines
    routes: list[Route]

    @model_validator(mode="after")
    def _names_are_unique(self) -> Operations:
        twice = [name for name, count in Counter(route.name for route in self.routes).items() if count > 1]
        if twice:
            raise ValueError(f"route {twice[0]!r} is there twice; deliveries are recorded by route name")
        return self


def parse_operations(data: Any, where: str) -> Operations:
    """Return the checked content of an ``alerts.yaml``, or one ConfigError that lists every fault."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: got {type(data).__name__}, expected a mapping with deadlines and routes.")
    try:
        return Operations.model_validate(data)
    except ValidationError as err:
        lines = [_fault_line(where, fault) for fault in err.errors()]
        raise ConfigError("\n".join(lines) + f"\n{len(lines)} fault(s). Mend the keys named above.") from None


def load_operations(env: Environment) -> Operations:
    """Read and check the file that ``EVERMIX_ALERTS`` names, else the project's ``alerts.yaml``."""
    path = _place(env)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigError(
            f"{path}: is no file. Copy alerts.yaml from evermix's own project, or set EVERMIX_ALERTS."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: is not YAML ({_without_content(err)}). Mend the place named.") from None
    return parse_operations(data, str(path))


def check_routes(operations: Operations, params: Params) -> None:
    """Refuse rules of params that tell a route which there is not, all of them in one go.

    Checked where alerts are sent, since no result depends on who is told.
    """
    known = [route.name for route in operations.routes]
    lines = [
        f"params.yaml: models.{model}.rules, rule {rule.name}: tells {name!r}, a route that alerts.yaml does not have; "
        f"known: {', '.join(known) or 'none'}.{_nearest(name, known)}"
        for model, entry in params.models.items()
        for rule in entry.rules
        for name in rule.tell
        if name not in known
    ]
    if lines:
        raise ConfigError("\n".join(lines) + "\nAdd the route, or correct the name.")


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def has_operations(env: Environment) -> bool:
    """Return whether there is a file to read: a project without one alerts nobody, one that is named must be there."""
    return bool(os.environ.get("EVERMIX_ALERTS")) or _place(env).is_file()


def airflow_url() -> str:
    """Return where people and checks reach Airflow (``EVERMIX_AIRFLOW_URL``), '' when it is not said."""
    return os.environ.get("EVERMIX_AIRFLOW_URL", "").rstrip("/")


def _place(env: Environment) -> Path:
    named = os.environ.get("EVERMIX_ALERTS")
    return Path(named).expanduser().resolve() if named else env.project / "alerts.yaml"


def _fault_line(where: str, fault: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "(all)"
    got = fault.get("input")
    # Whatever stands below `to` may be a secret that should have been a placeholder.
    is_shown = not isinstance(got, dict | list) and "to" not in fault["loc"]
    return f"{where}: {key}{f', got {got!r}' if is_shown else ''}: {fault['msg']}"


def _without_content(err: Exception) -> str:
    """YAML's own message quotes the line, and a line of this file may hold a secret."""
    mark = getattr(err, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else type(err).__name__
