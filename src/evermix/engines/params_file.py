"""Writes a model entry into ``params.yaml`` as text, so that all else in the file stays as its owner wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from evermix.config import Params
from evermix.errors import ConfigError

# Blocks that a new model takes from one that is there: thresholds are a house's own choice.
_SHARED = ("sampler", "validation", "monitor", "rules", "evaluation", "gate")


def parsed(text: str) -> dict[str, Any]:
    """Return what a ``params.yaml`` text says, unchecked; no model at all if it is not YAML."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return {"models": {}}
    return data if isinstance(data, dict) else {"models": {}}


def entry_text(
    text: str, params: Params, name: str, found: Mapping[str, Any], notes: Mapping[str, str], title: str
) -> str:
    """Return the lines of a new entry, two spaces in; shared blocks are aliases where the file has anchors for them.

    Parameters
    ----------
    text : str
        ``params.yaml`` as it is.
    found : mapping
        Keys ``source``, ``columns``, ``label_delay_weeks``, ``tracked``.
    notes : mapping
        Comment by source column, for those recognised and those left out.
    title : str
        Comment above the entry.
    """
    notes = {column: " ".join(why.split()) for column, why in notes.items()}
    # Without media there is nothing to carry over or to saturate: a regression says as much.
    kind = "mmm" if found["columns"]["channels"] else "regression"
    like = next((key for key, model in params.models.items() if model.kind == kind), None)
    if like is None:
        raise ConfigError(
            f"params.yaml: no model of kind {kind!r} to take spec and limits from. Write the entry by hand."
        )
    lines = [f"  # {title}", f"  {name}:", f"    kind: {kind}", "    source:"]
    lines += [f"      {key}: {_scalar(value)}" for key, value in found["source"].items()]
    lines += ["    columns:", *_column_lines(found["columns"], notes)]
    lines += [*_shared_lines(text, params, like, "spec"), "    recipe: 1"]
    lines += [*_shared_lines(text, params, like, "sampler"), f"    label_delay_weeks: {found['label_delay_weeks']}"]
    for key in _SHARED[1:]:
        lines += _shared_lines(text, params, like, key)
        if key == "validation" and found["tracked"]:
            lines = _with_tracked(lines, found["tracked"])
    left_out = [
        f"    #   {' '.join(column.split())}: {why}"
        for column, why in notes.items()
        if column not in _used(found["columns"], found["tracked"])
    ]
    if left_out:
        lines += ["    # Left out:", *left_out]
    return "\n".join(lines) + "\n"


def with_entry(path: Path, text: str, name: str, entry: str, force: bool) -> str:
    """Return the file's text with the entry at its end, in place of the one of that name if ``force``.

    Raises
    ------
    ConfigError
        The name is taken, or the result would not be the old models and the new one.
    """
    old = parsed(text)["models"]
    if name in old and not force:
        raise ConfigError(
            f"{path}: has a model named {name!r} already. Choose another --name, or replace it with --force."
        )
    kept = _without(text, name) if name in old else text
    new = f"{kept.rstrip()}\n\n{entry}"
    models = parsed(new)["models"]
    if {**models, name: None} != {**old, name: None} or name not in models:
        raise ConfigError(
            f"{path}: the entry cannot be added as text, since models are not written as blocks or others refer to "
            f"{name!r}. Add it by hand:\n{entry}"
        )
    return new


def _used(columns: Mapping[str, Any], tracked: Mapping[str, list[str]]) -> set[str]:
    channels = [c["spend"] for c in columns["channels"].values()]
    inputs = [c["column"] for role in ("controls", "events") for c in columns[role].values()]
    watched = [column for names in tracked.values() for column in names]
    return {columns["date"], columns["geo"], columns["target"]["column"], *channels, *inputs, *watched}


def _column_lines(columns: Mapping[str, Any], notes: Mapping[str, str]) -> list[str]:
    def line(indent: int, key: str, value: Any, column: str | None) -> str:
        why = notes.get(str(column), "")
        return f"{' ' * indent}{key}: {value}" + (f"   # {why}" if why else "")

    out = [line(6, key, _scalar(columns[key]), columns[key]) for key in ("date", "geo")]
    out.append(line(6, "target", _flow(columns["target"]), columns["target"]["column"]))
    for role, key in (("channels", "spend"), ("controls", "column"), ("events", "column")):
        members = columns[role].items()
        out.append(f"      {role}:" if members else f"      {role}: {{}}")
        out += [line(8, name, _flow(member), member[key]) for name, member in members]
    return out


def _with_tracked(lines: list[str], tracked: Mapping[str, list[str]]) -> list[str]:
    """Return the lines with the counts of channels in the last block, an alias merged into a block of its own."""
    alias = re.fullmatch(r" +validation: \*(\w+)", lines[-1])
    head = [*lines[:-1], "    validation:", f"      <<: *{alias[1]}"] if alias else lines
    counts = [f"        {name}: [{', '.join(map(_scalar, columns))}]" for name, columns in tracked.items()]
    return [*head, "      tracked:   # watched for tracking breaks, not modelled", *counts]


def _flow(mapping: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in mapping.items()) + "}"


def _scalar(value: Any) -> str:
    """Return a YAML scalar; text that YAML could take for something else is quoted (y, on, 2026-01-05)."""
    if value is None:
        return "null"
    plain = re.fullmatch(r"[A-Za-z_]{2}\w*", str(value)) and yaml.safe_load(str(value)) == value
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _shared_lines(text: str, params: Params, like: str, key: str) -> list[str]:
    marked = re.search(rf"^ +{key}: *[&*](\w+)", _block(text, like), flags=re.MULTILINE)
    if marked:
        return [f"    {key}: *{marked[1]}"]
    value = params.models[like].model_dump(mode="json", exclude_defaults=True)[key]
    if key == "validation":
        # Channels are a model's own.
        value.pop("tracked", None)
    dumped = yaml.safe_dump({key: value}, sort_keys=False, width=120)
    return [f"    {line}" for line in dumped.rstrip().split("\n")]


def _block(text: str, name: str) -> str:
    found = re.search(rf"^  {name}:.*?(?=^  \w+:|^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def _without(text: str, name: str) -> str:
    """Return the text without a model's block and the comment lines that stand right above it."""
    return re.sub(rf"(^  #[^\n]*\n)*^  {name}:.*?(?=^  [\w#]|^\S|\Z)", "", text, flags=re.MULTILINE | re.DOTALL)
