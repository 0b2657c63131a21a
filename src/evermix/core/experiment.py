"""Which channel to test, how long, and what the test could notice: a channel's spend is switched off for some weeks.

In one market it is off everywhere, and the weeks around are the comparison; with several geos it is off in half of them
(Vaver and Koehler 2011), and the other half is.  Pure: response curves, losses and noise come in, a proposal goes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evermix.core.regret import COARSE_STEPS, Moves
from evermix.core.response import Contribute, Responses, media_columns
from evermix.records import RuleOutcome

Floats = NDArray[np.float64]

LENGTHS_WEEKS = range(2, 13)
# The weeks before the test that it is compared with: a quarter, in which little else changes.
COMPARED_WEEKS = 13
# Two-sided 5 %, power 0.8: an effect of so many standard errors is noticed four times in five.
DETECTABLE_ERRORS = float(special.ndtri(0.975) + special.ndtri(0.8))
# A test is long enough when it notices that a channel brings half of what the model says, or half as much again.
NOTICED_SHARE = 0.5

_WARM_UP_WEEKS = 26
_AFTERWARDS_WEEKS = 14
# Weeks after the test in which less than this share of the largest loss remains tell nothing more.
_FADED = 0.01
_NODES = 64


@dataclass(frozen=True)
class Market:
    """What a test is measured against.

    Attributes
    ----------
    geos : tuple of str
        In sorted order.
    spend : mapping of ndarray, shape (geo,)
        Usual money per week by channel.
    noise_sd : ndarray, shape (geo,)
        Of a week's target around the model's mean, target units.
    """

    geos: tuple[str, ...]
    spend: Mapping[str, Floats]
    noise_sd: Floats


def losses_while_off(
    contribute: Contribute, plan: pd.DataFrame, channels: Sequence[str]
) -> dict[int, dict[str, Floats]]:
    """Return what each channel would no longer bring, had it been off for some weeks; expected, target units.

    Spend is even before and after, and all else as in the plan's last week, so that the loss is that of the channel
    alone; the model's carry-over delays it and draws it out.

    Parameters
    ----------
    plan : DataFrame
        The plan's weeks: their mean is the usual spend.

    Returns
    -------
    dict of dict of ndarray, shape (week, geo)
        By weeks off and channel: from the first week off, through those in which the effect returns.
    """
    media = [c for c in media_columns(channels) if c in plan]
    last = plan[plan["week"] == plan["week"].max()].sort_values("geo").set_index("geo")
    usual = last.assign(**plan.groupby("geo")[media].mean()).reset_index()[list(plan.columns)]
    length = _WARM_UP_WEEKS + max(LENGTHS_WEEKS) + _AFTERWARDS_WEEKS
    dates = pd.date_range(end=usual["week"].iloc[0], periods=length, freq="7D", unit="s")
    step = np.repeat(np.arange(length), len(usual)) - _WARM_UP_WEEKS
    even = pd.concat([usual] * length, ignore_index=True).assign(week=np.repeat(dates.to_numpy(), len(usual)))

    def brought(weeks: int) -> Any:
        is_off = (step >= 0) & (step < weeks)
        rows = even.assign(**{c: np.where(is_off, 0.0, even[c]) for c in media})
        parts = contribute(rows).sel(component=list(channels)).mean("draw")
        return parts.isel(week=slice(_WARM_UP_WEEKS, None)).transpose("component", "week", "geo").to_numpy()

    kept = brought(0)
    return {weeks: dict(zip(channels, kept - brought(weeks), strict=True)) for weeks in LENGTHS_WEEKS}


def effect_error(loss: Floats, is_off: NDArray[np.bool_], noise_sd: Floats, before_weeks: int) -> float:
    """Return the standard error of a test's measured effect, as a share of the expected one; inf if there is none.

    The target's residuals are regressed on the expected loss, with a level per geo and, where some geos stay on, a
    level per week, which takes out what hits all geos alike.  Residuals are taken to be independent.

    Parameters
    ----------
    loss : ndarray, shape (week, geo)
        Expected, if the geo is switched off.
    is_off : ndarray, shape (geo,)

    Notes
    -----
    Without carry-over and in one geo, this is ``noise_sd * sqrt(1 / weeks_off + 1 / before_weeks) / loss``.
    """
    size = np.abs(loss).sum(axis=1)
    told = loss[: int(np.flatnonzero(size >= _FADED * size.max())[-1]) + 1]
    expected = np.concatenate([np.zeros((before_weeks, loss.shape[1])), told * is_off])
    weeks, geos = expected.shape
    levels = [np.tile(np.eye(geos), (weeks, 1))]
    if not is_off.all():
        levels.append(np.repeat(np.eye(weeks), geos, axis=0)[:, 1:])
    scale = np.tile(noise_sd, weeks)
    nuisance = np.concatenate(levels, axis=1) / scale[:, None]
    own = expected.ravel() / scale
    left = own - nuisance @ np.linalg.lstsq(nuisance, own, rcond=None)[0]
    information = float(left @ left)
    return float(1.0 / np.sqrt(information)) if information > 1e-12 else float("inf")


def geos_to_switch_off(spend: Floats) -> NDArray[np.bool_]:
    """Return which geos go off: the only one, or half of several, so that both halves spend about the same.

    Of geos sorted by spend, the first stays on, the next two go off, the next two stay on, and so on.
    """
    if len(spend) == 1:
        return np.array([True])
    rank = np.empty(len(spend), dtype=np.int64)
    rank[np.argsort(-spend, kind="stable")] = np.arange(len(spend))
    return np.asarray((rank + 1) % 4 >= 2)


def value_of_learning(responses: Responses, max_change: float, channel: int, error: float) -> float:
    """Return what a better plan would bring per week after a test of one channel, target units; 0 or more.

    Parameters
    ----------
    error : float
        Standard error of the measured effect as a share of the expected one; 0: the truth is told.

    Notes
    -----
    Expected value of sample information, max over plans before and after.  What a test says of the other channels is
    taken to be linear in the measured effect (Strong, Oakley and Brennan 2014), and the spread of what one will believe
    after an imperfect test is that of the prior, shrunk (Heath, Manolopoulou and Baio 2018).
    """
    effect = responses.kept[:, channel] - responses.value[:, channel, 0]
    centred = effect - effect.mean()
    variance = float(np.mean(centred**2))
    noise = (error * float(effect.mean())) ** 2
    if not np.isfinite(noise) or variance <= 0:
        return 0.0
    curves = responses.mean
    slopes = np.tensordot(centred, responses.value - curves, axes=1) / (len(centred) * variance)
    nodes = np.quantile(centred, (np.arange(_NODES) + 0.5) / _NODES)
    believed = (nodes - nodes.mean()) * np.sqrt(variance / (variance + noise))
    moves = Moves.of(responses.spend, max_change, COARSE_STEPS)
    after = moves.best_gain(responses.factors, curves + believed[:, None, None] * slopes)
    return max(0.0, float(after.mean() - moves.best_gain(responses.factors, curves[None])[0]))


def list_tests(
    responses: Responses, max_change: float, losses: Mapping[int, Mapping[str, Floats]], market: Market
) -> list[dict[str, Any]]:
    """Return for each channel that spends the shortest test that is long enough, or the longest one.

    Returns
    -------
    list of dict
        ``channel``; ``weeks``; ``geos_off`` (empty: everywhere); ``spend`` money per week there; ``lost`` target units
        and ``saved`` money in all; ``roas`` what is lost per unit of spend saved; ``detectable_roas`` the smallest
        difference from it that is noticed with power 0.8 at 5 %; ``is_long_enough``; ``worth_per_week`` of a better
        plan, target units; ``doubt`` posterior sd of what the channel brings per week.
    """
    tests = []
    for c, name in enumerate(responses.channels):
        if responses.spend[c] <= 0 or not losses[max(LENGTHS_WEEKS)][name].any():
            continue
        is_off = geos_to_switch_off(market.spend[name])
        errors = {w: effect_error(losses[w][name], is_off, market.noise_sd, COMPARED_WEEKS) for w in LENGTHS_WEEKS}
        enough = [w for w in LENGTHS_WEEKS if DETECTABLE_ERRORS * errors[w] <= NOTICED_SHARE]
        weeks = enough[0] if enough else max(LENGTHS_WEEKS)
        lost = float((losses[weeks][name] * is_off).sum())
        spend = float((market.spend[name] * is_off).sum())
        roas = lost / (spend * weeks)
        tests.append(
            {
                "channel": name,
                "weeks": weeks,
                "geos_off": [g for g, off in zip(market.geos, is_off, strict=True) if off] if not is_off.all() else [],
                "spend": spend,
                "lost": lost,
                "saved": spend * weeks,
                "roas": roas,
                "detectable_roas": roas * DETECTABLE_ERRORS * errors[weeks],
                "is_long_enough": bool(enough),
                "worth_per_week": value_of_learning(responses, max_change, c, errors[weeks]),
                "doubt": float(responses.kept[:, c].std()),
            }
        )
    return tests


def suspects_of(rules: Sequence[RuleOutcome], alarm: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what an alarm suspects, likeliest first; nothing while no rule on the alarms fires."""
    rings = any(rule.fired and any(one.evidence.startswith("alarm.") for one in (rule, *rule.also)) for rule in rules)
    return [dict(one) for one in alarm["suspects"]] if rings else []


def propose_test(tests: Sequence[Mapping[str, Any]], suspects: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the test worth most, of the channels that an alarm suspects if there are any; None if none can be tested.

    Parameters
    ----------
    suspects : sequence of mapping
        ``name``, ``family`` and ``probability``, as the alarm ranks them; those that are no channel are left out.
    """
    suspected = {s["name"]: float(s["probability"]) for s in suspects if s["family"] == "channel"}
    asked = [t for t in tests if t["channel"] in suspected] or tests
    if not asked:
        return None
    best = max(asked, key=lambda t: (t["worth_per_week"], suspected.get(t["channel"], 0.0), t["doubt"]))
    return {**best, "suspected": suspected.get(best["channel"])}
