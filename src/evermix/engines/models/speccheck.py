"""Strict checks of a spec: key, value, rule and nearest valid key, before anything heavy is imported."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any

from evermix.core.amend import KEY, break_name
from evermix.errors import ConfigError

# Names that the panel, the graph or the list of contributions uses itself.
RESERVED = ("week", "date", "geo", "target", "intercept", "trend", "seasonality", "channel", "control", "fourier_mode")

# Distributions a prior may name, with the parameters that PyMC gives them.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "Normal": ("mu", "sigma", "tau"),
    "HalfNormal": ("sigma", "tau"),
    "TruncatedNormal": ("mu", "sigma", "tau", "lower", "upper"),
    "LogNormal": ("mu", "sigma", "tau"),
    "StudentT": ("nu", "mu", "sigma", "lam"),
    "HalfStudentT": ("nu", "sigma", "lam"),
    "Laplace": ("mu", "b"),
    "Cauchy": ("alpha", "beta"),
    "HalfCauchy": ("beta",),
    "Gamma": ("alpha", "beta", "mu", "sigma"),
    "InverseGamma": ("alpha", "beta", "mu", "sigma"),
    "Exponential": ("lam", "scale"),
    "Weibull": ("alpha", "beta"),
    "Beta": ("alpha", "beta", "mu", "sigma", "nu"),
    "Uniform": ("lower", "upper"),
}
_META = ("dims", "centered", "transform")


class Faults:
    """Collects every fault of a spec, so that a person mends them in one go."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, where: str, got: Any, expected: str) -> None:
        """Note that ``where`` holds ``got`` against the rule."""
        self.lines.append(f"{where}: got {got!r}, expected {expected}")

    def keys(
        self, where: str, got: Any, required: Collection[str], optional: Collection[str] = ()
    ) -> Mapping[str, Any]:
        """Check the keys of a mapping; returns it, or an empty one where it is none."""
        if not isinstance(got, Mapping):
            self.add(where, got, f"a mapping with the keys {', '.join([*required, *optional]) or 'of your choice'}")
            return {}
        valid = [*required, *optional]
        for key in got:
            if key not in valid:
                self.add(f"{where}.{key}", got[key], f"no such key; {nearest(str(key), valid)}")
        self.lines.extend(f"{where}.{key}: is missing, expected a value" for key in required if key not in got)
        return got

    def choice(self, where: str, got: Any, valid: Collection[str]) -> None:
        """Check that a value is one of some names."""
        if got not in valid:
            self.add(where, got, f"one of {', '.join(valid)}; {nearest(str(got), valid)}")

    def positive_int_or_none(self, where: str, got: Any) -> None:
        """Check a count that may be absent."""
        if got is not None and (type(got) is not int or got < 1):
            self.add(where, got, "an integer of at least 1, or null")

    def boolean(self, where: str, got: Any) -> None:
        """Check true or false."""
        if type(got) is not bool:
            self.add(where, got, "true or false")

    def positive(self, where: str, got: Any) -> None:
        """Check a number above zero."""
        if type(got) not in (int, float) or not got > 0:
            self.add(where, got, "a number above 0 (YAML reads 1e-4 as text: write 1.0e-4)")

    def raise_if_any(self) -> None:
        """Raise one ConfigError with all lines."""
        if self.lines:
            raise ConfigError("\n".join([*self.lines, f"{len(self.lines)} fault(s). Mend the keys named above."]))


def nearest(got: str, valid: Iterable[str]) -> str:
    """Return a hint at the nearest valid name, or the list of them."""
    names = [str(name) for name in valid]
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(names)}"


def check_prior(faults: Faults, where: str, node: Any, dims: Collection[str]) -> None:
    """Check a prior in pymc-marketing's YAML form or in that of ``Prior.from_dict``, nested ones included."""
    if not isinstance(node, Mapping) or not ({"distribution", "dist"} & set(node)):
        faults.add(where, node, "a prior: {distribution: NAME, PARAMETER: number or prior, ..., dims: [...]}")
        return
    flat = "distribution" in node
    name = node["distribution" if flat else "dist"]
    if name not in DISTRIBUTIONS:
        faults.add(f"{where}.distribution", name, nearest(str(name), DISTRIBUTIONS))
        return
    if flat:
        parameters = {key: value for key, value in node.items() if key not in ("distribution", *_META)}
    else:
        faults.keys(where, node, ("dist",), ("kwargs", *_META))
        parameters = dict(faults.keys(f"{where}.kwargs", node.get("kwargs", {}), (), DISTRIBUTIONS[name]))
    _check_dims(faults, f"{where}.dims", node.get("dims"), dims)
    for key, value in parameters.items():
        if key not in DISTRIBUTIONS[name]:
            if flat:
                faults.add(f"{where}.{key}", value, f"no parameter of {name}; {nearest(key, DISTRIBUTIONS[name])}")
        elif isinstance(value, Mapping):
            check_prior(faults, f"{where}.{key}", value, dims)
        elif not _is_numeric(value):
            faults.add(
                f"{where}.{key}",
                value,
                "a number, a list of numbers or a prior (YAML reads 1e-4 as text: write 1.0e-4)",
            )


def check_names(faults: Faults, columns: Mapping[str, Any]) -> None:
    """Check that channels, controls and events have names of their own: each is one component of the target."""
    seen: dict[str, str] = {}
    for role in ("channels", "controls", "events"):
        for name in columns[role]:
            if name in RESERVED:
                faults.add(f"columns.{role}.{name}", name, f"another name; {', '.join(RESERVED)} are taken")
            elif name in seen:
                faults.add(f"columns.{role}.{name}", name, f"another name; {seen[name]} has it already")
            seen[name] = role


def check_amendments(faults: Faults, spec: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    """Check what a review added to a spec; see `evermix.core.amend.amendments_of`."""
    where = f"spec.{KEY}"
    given = faults.keys(where, spec.get(KEY, {}), (), ("effect_breaks", "level_breaks", "first_week"))
    names = []
    for i, node in enumerate(given.get("effect_breaks", ())):
        one = faults.keys(f"{where}.effect_breaks.{i}", node, ("channel", "from", "sd"))
        if {"channel", "from", "sd"} <= set(one):
            faults.choice(f"{where}.effect_breaks.{i}.channel", one["channel"], columns["channels"])
            faults.positive(f"{where}.effect_breaks.{i}.sd", one["sd"])
            names.append(break_name(one))
    first = [given["first_week"]] if "first_week" in given else []
    weeks = [*(name.rsplit(" ", 1)[-1] for name in names), *given.get("level_breaks", ()), *first]
    for week in weeks:
        if not _is_monday(week):
            faults.add(where, week, "a Monday as YYYY-MM-DD")
    for name in {name for name in names if names.count(name) > 1}:
        faults.add(f"{where}.effect_breaks", name, "each channel and week once")


def _is_monday(text: Any) -> bool:
    try:
        return date.fromisoformat(text).weekday() == 0
    except (TypeError, ValueError):
        return False


def _check_dims(faults: Faults, where: str, got: Any, valid: Collection[str]) -> None:
    names = [got] if isinstance(got, str) else got
    if names is None:
        return
    if not isinstance(names, list | tuple):
        faults.add(where, got, "a name or a list of names")
        return
    for name in names:
        if name not in valid:
            faults.add(where, name, f"one of {', '.join(valid)}; {nearest(str(name), valid)}")


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_is_numeric(item) for item in value)
    return type(value) in (int, float)
