"""The rules are asked as they ship, and the oracle is the likelihood ratio that it says."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from evermix.config import load_params
from evermix.validity.policy import RECORDED, Watch, fired_rules, first_fired, note, oracle_statistic
from evermix.validity.posterior import WeekSeen
from evermix.validity.replicate import study_params

PARAMS = study_params(load_params(Path(__file__).resolve().parents[2] / "params.yaml").models["brand"])
CHANNELS = list(PARAMS.columns.channels)


def seen_of(y, design, prior_sd, noise_sd):
    """The posterior of a linear model, by the textbook."""
    weeks = len(y)
    precision = np.diag(1.0 / prior_sd**2) + design.T @ design / noise_sd**2
    covariance = np.linalg.inv(precision)
    theta = covariance @ design.T @ y / noise_sd**2
    return WeekSeen(
        week=weeks - 1,
        z=0.0,
        residual=y - design @ theta,
        covariance=design @ covariance @ design.T,
        noise_sd=noise_sd,
        contributions=np.zeros((weeks, 4)),
    )


def test_the_oracle_is_the_ratio_of_two_marginal_likelihoods():
    """Second source: the density of all weeks with the parameters integrated out, with and without the shift."""
    random = np.random.default_rng(3)
    design, prior_sd, noise_sd = random.normal(size=(6, 2)), np.array([1.0, 0.5]), 0.7
    y = design @ random.normal(size=2) + noise_sd * random.normal(size=6)
    shape = np.array([-1.0, -0.8, -1.2, -1.0, -0.9, -1.1])
    marginal = design @ np.diag(prior_sd**2) @ design.T + noise_sd**2 * np.eye(6)
    quiet = stats.multivariate_normal(np.zeros(6), marginal).logpdf(y)
    ratios = []
    for start in range(6):
        shift = np.where(np.arange(6) >= start, shape, 0.0) * noise_sd
        ratios.append(stats.multivariate_normal(shift, marginal).logpdf(y) - quiet)
    assert oracle_statistic(seen_of(y, design, prior_sd, noise_sd), shape) == pytest.approx(max(ratios))


def test_a_level_that_moves_by_two_sd_is_an_alarm_and_is_dated_by_the_first_week_it_fires():
    watch = Watch(PARAMS, CHANNELS)
    random = np.random.default_rng(5)
    y = np.concatenate([random.normal(size=5), 2.0 + random.normal(size=20)])
    for week in range(len(y)):
        rows = week + 1
        watch.see(WeekSeen(week, y[week], y[:rows], 1e-4 * np.eye(rows), 1.0, np.ones((rows, 4))), {})
    assert 5 <= first_fired(PARAMS.rules, watch.records) < 25
    assert watch.records["alarm.e_detector"][-1][1] > 1000.0


def test_rules_without_their_evidence_are_not_counted_as_fired():
    watch = Watch(PARAMS, CHANNELS)
    evidence = watch.see(WeekSeen(0, 0.1, np.array([0.1]), np.eye(1) * 1e-4, 1.0, np.ones((1, 4))), {})
    assert "calendar.weeks_since_fit" not in evidence
    assert fired_rules(PARAMS.rules, evidence) == []


def test_a_rule_fires_first_in_the_week_in_which_its_evidence_first_suffices():
    """The largest values up to a week decide as the values of all weeks do."""
    random = np.random.default_rng(8)
    rules = [rule for rule in PARAMS.rules if rule.evidence in ("surprise.cusum", "surprise.max_abs_z")]
    for _ in range(20):
        years = {
            "surprise.cusum": random.gamma(2.0, 1.2, 52),
            "surprise.max_abs_z": np.abs(random.normal(size=52)) * 1.4,
        }
        weekly = [{name: float(f"{values[week]:.4g}") for name, values in years.items()} for week in range(52)]
        fired = [week for week, evidence in enumerate(weekly) if fired_rules(rules, evidence)]
        records = {}
        for name in years:
            record = records.setdefault(name, [])
            for week, evidence in enumerate(weekly):
                note(record, week, evidence[name], RECORDED[name])
        assert first_fired(rules, records) == (fired[0] if fired else None)
