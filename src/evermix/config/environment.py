"""The one place that reads ``EVERMIX_*`` variables: places, addresses and nothing that a result depends on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from evermix.errors import ConfigError


@dataclass(frozen=True)
class Environment:
    """Places and addresses, all from ``EVERMIX_*`` variables.

    Attributes
    ----------
    project : Path
        The folder that holds ``params.yaml`` and ``dvc.yaml``; never written to by a run.
    home : Path
        All state: history, work clones, registry, reports, Airflow.
    """

    project: Path
    home: Path
    tracking_uri: str
    history_url: str
    dvc_remote_url: str
    s3_endpoint_url: str = ""
    feeds: str = ""

    @classmethod
    def read(cls) -> Environment:
        """Read the variables once; every place is absolute."""
        project = _find_project()
        home = Path(os.environ.get("EVERMIX_HOME") or project / ".evermix").expanduser().resolve()
        if home.exists() and not home.is_dir():
            raise ConfigError(f"EVERMIX_HOME: got {home}, a file; expected a folder, or a place where one can be made.")
        return cls(
            project=project,
            home=home,
            tracking_uri=os.environ.get("EVERMIX_TRACKING_URI", ""),
            history_url=os.environ.get("EVERMIX_HISTORY_URL") or str(home / "history.git"),
            dvc_remote_url=os.environ.get("EVERMIX_DVC_REMOTE_URL") or str(home / "dvc-remote"),
            s3_endpoint_url=os.environ.get("EVERMIX_S3_ENDPOINT_URL", ""),
            feeds=os.environ.get("EVERMIX_FEEDS_URL", "").rstrip("/"),
        )

    @property
    def feeds_url(self) -> str:
        """Where ``{feeds}`` of a source is: what ``EVERMIX_FEEDS_URL`` says, else a folder of the home."""
        return self.feeds or str(self.home / "feeds")

    def source_path(self, path: str) -> str:
        """Return a path with ``{home}`` and ``{feeds}`` filled in, relative ones laid on the project; no secret is."""
        filled = path.replace("{feeds}", self.feeds_url).replace("{home}", str(self.home))
        if filled.startswith("sqlite:///") and not filled.startswith("sqlite:////"):
            return f"sqlite:///{self.project / filled.removeprefix('sqlite:///')}"
        if "://" in filled or filled.startswith("${") or Path(filled).is_absolute():
            return filled
        return str(self.project / filled)


def _find_project() -> Path:
    named = os.environ.get("EVERMIX_PROJECT")
    if named:
        return Path(named).expanduser().resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "params.yaml").is_file():
        return checkout
    raise ConfigError(
        f"{here}: no params.yaml with a dvc.yaml here or above. Go to your evermix project, or set EVERMIX_PROJECT."
    )


def fill_placeholders(text: str, where: str, encode: bool = False) -> tuple[str, dict[str, str]]:
    """Return a text with each ``${EVERMIX_...}`` replaced by its variable, and the values by placeholder.

    Called where the value is used, so that secrets stand in no params, snapshot, message or ledger.

    Parameters
    ----------
    where : str
        What the text is, for the message.
    encode : bool
        Percent-encode the values, as a URL wants a password that may hold any sign; not one that is the whole text.

    Raises
    ------
    ConfigError
        A variable is not set, or a placeholder names one that is not evermix's.
    """
    values = {}
    for placeholder, name in sorted(set(re.findall(r"(\$\{([^}]*)\})", text))):
        if not re.fullmatch(r"EVERMIX_[A-Z0-9_]+", name):
            raise ConfigError(f"{where}: got {placeholder}, expected ${{EVERMIX_...}}. Rename the variable.")
        if not os.environ.get(name):
            raise ConfigError(f"{where}: names {placeholder}, which is not set. Set {name} where evermix runs.")
        values[placeholder] = os.environ[name]
    for placeholder, value in values.items():
        text = text.replace(placeholder, quote(value, safe="") if encode and text != placeholder else value)
    return text, values


def without_secrets(text: str, values: Mapping[str, str] | None = None) -> str:
    """Return a text with placeholders instead of what was filled in, and no user and password in its URLs.

    Parameters
    ----------
    values : mapping
        Value by placeholder, as `fill_placeholders` gives it.
    """
    for placeholder, value in (values or {}).items():
        for written in (value, quote(value, safe="")):
            text = text.replace(written, placeholder)
    return re.sub(r"(://)\S*@", r"\1***@", text)


def s3_options(url: str) -> dict[str, str]:
    """Return what fsspec needs for a URL of an S3 service that is not Amazon's (``EVERMIX_S3_ENDPOINT_URL``)."""
    endpoint = os.environ.get("EVERMIX_S3_ENDPOINT_URL", "")
    return {"endpoint_url": endpoint} if endpoint and url.startswith(("s3://", "s3a://")) else {}
