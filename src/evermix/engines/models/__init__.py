"""Kinds of models: the only home of pymc, pymc_marketing and nutpie."""

from __future__ import annotations

import difflib
import importlib
import os

from evermix.engines.models.protocol import ModelKind
from evermix.errors import ConfigError

_SHIPPED = {
    "mmm": "evermix.engines.models.mmm:MMMKind",
    "regression": "evermix.engines.models.regression:RegressionKind",
}


def load_kind(path: str) -> ModelKind:
    """Return a model kind by short name or import path.

    Parameters
    ----------
    path : str
        ``mmm``, ``regression``, or ``package.module:Class`` under ``evermix.`` or a prefix of the comma-separated
        list in ``EVERMIX_KINDS``.

    Raises
    ------
    ConfigError
        If the name is unknown, the path is not on the allow-list, or what is there is no model kind.
    """
    target = _SHIPPED.get(path, path)
    module_name, _, class_name = target.partition(":")
    if not class_name:
        near = difflib.get_close_matches(path, _SHIPPED, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"kind: got {path!r}, expected {', '.join(_SHIPPED)} or 'package.module:Class'.{hint}")
    allowed = ["evermix.", *(prefix for prefix in os.environ.get("EVERMIX_KINDS", "").split(",") if prefix)]
    if not any(module_name.startswith(prefix) for prefix in allowed):
        raise ConfigError(
            f"kind: got {path!r}, expected a module that starts with one of {allowed}. "
            "Add its package to EVERMIX_KINDS if you trust it."
        )
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as err:
        raise ConfigError(f"kind: {path!r} does not load ({err}). Mend the path or install the package.") from None
    kind = found()
    if not isinstance(kind, ModelKind):
        raise ConfigError(f"kind: {path!r} is no model kind; see evermix/engines/models/protocol.py for what it needs.")
    return kind
