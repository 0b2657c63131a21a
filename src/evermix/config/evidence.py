"""The evidence that a rule may ask, each with unit and meaning: the one list of these names.

Who adds a number to the evidence of a week adds its line here; a contract test holds both against each other.
"""

from __future__ import annotations

import difflib
from typing import NamedTuple


class Evidence(NamedTuple):
    """Unit and meaning of one number; the unit ``bool`` is true or false."""

    unit: str
    meaning: str


EVIDENCE: dict[str, Evidence] = {
    "quality.faults": Evidence("faults", "faults of the delivery against the data contract, waived ones left out"),
    "structure.has_champion": Evidence("bool", "a version is in use"),
    "structure.channels_changed": Evidence("channels", "launched or taken out of params since the champion's fit"),
    "structure.spec_changed": Evidence("bool", "spec, sampler or recipe of params differ from the champion's"),
    "calendar.weeks_since_fit": Evidence("weeks", "from the week of the champion's fit to the week being closed"),
    "restatement.cells": Evidence("cells", "past cells that the delivery tells differently"),
    "restatement.target_sd": Evidence("noise sd", "largest change of a past target, in the champion's noise sd"),
    "restatement.spend_share": Evidence("share", "largest share of a channel's past spend that was changed"),
    "surprise.max_abs_z": Evidence("sd", "largest |z| among the weeks scored now"),
    "surprise.cusum": Evidence("sd", "two-sided CUSUM of z since the last reset"),
    "surprise.weeks_scored": Evidence("weeks", "weeks scored now"),
    "drift.calls": Evidence("series", "input series whose PSI is over its calibrated critical value"),
    "drift.max_ratio": Evidence("ratio", "largest PSI as a multiple of its critical value"),
}


def nearest_evidence(name: str) -> str:
    """Return in words what may have been meant by an unknown name."""
    near = difflib.get_close_matches(name, EVIDENCE, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}`evermix evidence` lists all"
