"""The evidence that a rule may ask, each with unit and meaning: the one list of these names.

Who adds a number to the evidence of a week adds its line here; a contract test holds both against each other.
"""

from __future__ import annotations

import difflib
from typing import Literal, NamedTuple


class Evidence(NamedTuple):
    """One number that a rule may ask.

    Attributes
    ----------
    unit : str
        ``bool`` is true or false.
    lasts : str
        ``week``: news of this week.  ``alarm``: gathers from week to week until a review is closed.  ``state``: lasts
        until model, params or source change, so that a person who said no to it is not asked again each week.
    """

    unit: str
    meaning: str
    lasts: Literal["week", "alarm", "state"] = "week"


EVIDENCE: dict[str, Evidence] = {
    "quality.faults": Evidence("faults", "faults of the delivery against the data contract, waived ones left out"),
    "quality.breaks": Evidence("series", "quality series outside their limits in this delivery"),
    "quality.tracking_breaks": Evidence("series", "of these, relations of a channel's clicks, impressions and spend"),
    "quality.outliers": Evidence("series", "of these, columns whose newest value is far from its level"),
    "quality.completeness": Evidence("share", "cells of the newest week that hold a value, of those due"),
    "quality.freshness_days": Evidence(
        "days", "from the end of the week to the arrival of its delivery; not of a rebuilt week"
    ),
    "quality.label_delay_weeks": Evidence("weeks", "longest way of a target that came now or is still due"),
    "quality.restated_share": Evidence("share", "past cells that the delivery tells differently"),
    "structure.has_champion": Evidence("bool", "a version is in use", "state"),
    "structure.channels_changed": Evidence(
        "channels", "launched or taken out of params since the champion's fit", "state"
    ),
    "structure.spec_changed": Evidence("bool", "spec, sampler or recipe of params differ from the champion's", "state"),
    "calendar.weeks_since_fit": Evidence(
        "weeks", "from the week of the champion's fit to the week being closed", "state"
    ),
    "restatement.cells": Evidence("cells", "past cells that the delivery tells differently"),
    "restatement.target_sd": Evidence("noise sd", "largest change of a past target, in the champion's noise sd"),
    "restatement.spend_share": Evidence("share", "largest share of a channel's past spend that was changed"),
    "surprise.max_abs_z": Evidence("sd", "largest |z| among the weeks scored now"),
    "surprise.cusum": Evidence("sd", "two-sided CUSUM of z since the last reset", "alarm"),
    "surprise.weeks_scored": Evidence("weeks", "weeks scored now"),
    "alarm.e_detector": Evidence("weeks", "e-detector that something has changed since the last reset", "alarm"),
    "alarm.level": Evidence("weeks", "its part for the level of the target", "alarm"),
    "alarm.geo": Evidence("weeks", "its part for the level in one geo; missing where there is one only", "alarm"),
    "alarm.channel": Evidence("weeks", "its part for one channel's effect; missing without channels", "alarm"),
    "alarm.noise": Evidence("weeks", "its part for the spread of the noise", "alarm"),
    "update.khat": Evidence(
        "shape", "k-hat of the weights that update the champion's fit; over 0.7 they mislead", "state"
    ),
    "update.ess": Evidence("draws", "effective draws left: weight ESS times MCMC ESS over draws", "state"),
    "update.rows": Evidence("rows", "weeks and geos that came or changed since the champion's fit"),
    "update.new_weeks": Evidence("weeks", "of those rows; 0 where the version in use counts them already"),
    "update.restated_shift_sd": Evidence("sd", "largest move of a ROAS or contribution by the restated cells alone"),
    "drift.calls": Evidence("series", "levels, spend mixes, activities and correlations over their limits", "state"),
    "drift.max_ratio": Evidence("ratio", "largest drift statistic as a multiple of its limit", "state"),
    "drift.mix_ratio": Evidence("ratio", "the same among log-ratios of spend; counted in drift.calls", "state"),
    "drift.correlation_ratio": Evidence(
        "ratio", "the same of the inputs' correlations; counted in drift.calls", "state"
    ),
    "drift.extrapolation": Evidence("ratio", "a channel's last 4 weeks over its largest 4 of training weeks", "state"),
    "request.person": Evidence("bool", "a person asked for a refit (`evermix refit`), and none was made since"),
    "request.upstream": Evidence("bool", "a data team's system asked for one (`evermix refit --upstream`)"),
}


def nearest_evidence(name: str) -> str:
    """Return in words what may have been meant by an unknown name."""
    near = difflib.get_close_matches(name, EVIDENCE, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}`evermix evidence` lists all"
