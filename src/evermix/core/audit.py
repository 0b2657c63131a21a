"""A refit and the updated posterior of the fit before, held against each other on the same data.

They approximate one posterior: by new chains, and by the old draws weighed anew.  Where they disagree one of them is
wrong, and this cannot say which: a refit that did not converge and a bad base look alike.  Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evermix.core.update import Reweighed, effective_ess

Floats = NDArray[np.float64]

METRICS = ("audit_mean_sd", "audit_ends_sd")
# A yardstick must itself be sound: Vehtari et al. (2024) for k-hat, Vehtari et al. (2021) for the draws.
MAX_KHAT = 0.7
MIN_ESS = 400.0

_ENDS = (0.05, 0.95)


@dataclass(frozen=True)
class Audit:
    """Numbers for the gate, why some do not apply, and words, each by metric."""

    values: dict[str, float] = field(default_factory=dict)
    not_applicable: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def no_audit(why: str) -> Audit:
    """Return an audit that does not apply."""
    return Audit(not_applicable=dict.fromkeys(METRICS, why))


def is_no_yardstick(reweighed: Reweighed, ess_bulk_min: float | None) -> str | None:
    """Return why an update is no measure of a refit; None: it is one."""
    ess = effective_ess(reweighed, ess_bulk_min)
    if reweighed.khat > MAX_KHAT:
        return f"the champion's fit cannot be updated to these data (k-hat {reweighed.khat:.2f}, over {MAX_KHAT})"
    if ess is None or ess < MIN_ESS:
        left = "an unknown number of" if ess is None else f"{ess:.0f}"
        return f"too little is left of the champion's fit ({left} effective draws, under {MIN_ESS:.0f})"
    return None


def compare_posteriors(refit: Floats, updated: Floats, names: Sequence[str]) -> Audit:
    """Return how far apart two posteriors of the same estimands are, in sd of the refit, the largest of each kind.

    Parameters
    ----------
    refit, updated : ndarray, shape (draw, estimand)
        Draws that count alike, of the refit and of the old fit weighed anew.
    names : sequence of str
        The estimands.

    Returns
    -------
    Audit
        ``audit_mean_sd``: largest distance of means; ``audit_ends_sd``: of the ends of 90 % intervals.  Estimands that
        one of the two knows exactly (a channel never in use) are left out.
    """
    sd = refit.std(axis=0)
    known = (sd > 0) & (updated.std(axis=0) > 0)
    if not known.any():
        return no_audit("the refit and the champion's fit share no estimand that is uncertain")
    ends = np.abs(np.quantile(refit, _ENDS, axis=0) - np.quantile(updated, _ENDS, axis=0)).max(axis=0)
    apart = {"audit_mean_sd": np.abs(refit.mean(axis=0) - updated.mean(axis=0)), "audit_ends_sd": ends}
    values, notes = {}, {}
    for metric, distance in apart.items():
        ratio = np.where(known, distance / np.where(known, sd, 1.0), -1.0)
        worst = int(np.argmax(ratio))
        values[metric] = float(ratio[worst])
        notes[metric] = f"{names[worst]}: the refit and the updated fit before it are {ratio[worst]:.2f} sd apart"
    return Audit(values, {}, notes)
