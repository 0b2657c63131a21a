import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from stages.histories import quality_point

from evermix.engines.reports import WeekFiles, decision_plots, evidently_report, week_report
from evermix.engines.reports.page import allowed_range, list_weeks, relative_change, show_number
from evermix.engines.reports.quality_plot import moving_series
from evermix.engines.store import write_json
from evermix.records import QualityPoint

WEEK = "2026-03-02"
VERSION = "brand/2025-01-06/0123abcd"
FAULT = {
    "rule": "target_jump",
    "where": "week 2026-03-02, column sales",
    "what": "is a hundred times <the> median",
    "value": "4012331",
    "expected": "at most 5 times 98200",
    "action": "Deliver the week again.",
}


def forecasts(first: str, weeks: int) -> pd.DataFrame:
    mean = 1000.0 + 100.0 * np.sin(np.arange(weeks) / 8)
    days = pd.date_range(first, periods=weeks, freq="7D").strftime("%Y-%m-%d")
    rows = pd.DataFrame({"week": days, "geo": "all", "observed": mean + 30.0, "mean": mean})
    return rows.assign(low_50=mean - 20, high_50=mean + 20, low_90=mean - 50, high_90=mean + 50)


def scores(weeks: int = 60) -> list[dict]:
    rows = forecasts("2025-01-13", weeks).assign(version=VERSION, log_score=-6.0, crps=12.0, pit=0.84, z=1.0)
    return rows.assign(as_of=rows["week"]).to_dict("records")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    forecasts("2023-01-02", 104).to_csv(folder / "ppc.csv", index=False)
    forecasts("2025-12-08", 13).assign(ridge=1010.0).to_csv(folder / "holdout.csv", index=False)
    parts = [
        pd.DataFrame({"week": forecasts("2023-01-02", 104)["week"], "component": name, "mean": size})
        for name, size in {"intercept": 800.0, "tv": 150.0, "price": -40.0}.items()
    ]
    pd.concat(parts).to_csv(folder / "contributions.csv", index=False)
    roas = [
        {"channel": "tv", "version": name, "mean": 1.4, "low": 0.9, "high": 2.0} for name in ("champion", "challenger")
    ]
    write_json(folder / "evaluation.json", {"status": "done", "roas": roas, "metrics": {"rhat_max": 1.003}})
    return folder


BUDGET = {
    "status": "computed",
    "source": "the last 13 weeks",
    "target": "sales",
    "max_change": 0.3,
    "channels": [
        {"channel": c, "spend": 5000.0, "best_spend": best, "champion_best_spend": 5000.0, "brings": 900.0}
        for c, best in (("tv", 6000.0), ("search", 4000.0))
    ],
    "brought_per_week": 1800.0,
    "chance_better": 0.9,
    "regret_per_week": 77.0,
    "regret_se": 2.0,
    "regret_share": 0.04,
    "perfect_information_per_week": 12.0,
    "champion_plan_regret_per_week": 70.0,
    "champion_plan_regret_se": 2.0,
    "champion_plan_regret_share": 0.04,
    "experiment": None,
}


def curves() -> pd.DataFrame:
    factor = np.tile(np.linspace(0.0, 1.5, 16).round(1), 4)
    rows = pd.DataFrame({"factor": factor, "spend": 5000.0 * factor, "mean": 900.0 * np.sqrt(factor)})
    rows["version"] = np.repeat(["champion", "challenger"], 32)
    rows["channel"] = np.tile(np.repeat(["tv", "search"], 16), 2)
    return rows.assign(low_90=0.8 * rows["mean"], high_90=1.2 * rows["mean"])


def rule(name: str, seen: float | None, *, fired: bool) -> dict:
    return {
        "name": name,
        "evidence": f"surprise.{name}",
        "op": ">=",
        "value": 5.0,
        "seen": seen,
        "fired": fired,
        "decision": "review",
        "severity": "warning",
        "why": f"why of {name}",
    }


RULES = [
    *(rule("quiet", 0.1, fired=False), rule("lost", None, fired=False)),
    *(rule("cusum", 5.6, fired=True), rule("later", None, fired=False)),
]


def whole_week(evaluated, **changes) -> WeekFiles:
    drifted = {
        "column": "spend.tv",
        "aspect": "level",
        "window_weeks": 13,
        "shift": 0.65,
        "statistic": 3.2,
        "critical": 2.6,
        "ratio": 1.23,
        "called": True,
    }
    check = {"metric": "rhat_max", "seen": None, "low": None, "high": 1.01, "passed": False, "otherwise": "reject"}
    events = [
        {"event": kind, "as_of": WEEK, "at": f"{WEEK}T06:00:00+00:00", "by": "ann", "hash": "ab" * 32, **more}
        for kind, more in (
            (
                "decision",
                {"decision": "review", "reasons": ["the level moved"], "because": ["cusum"]}
                | {"evidence": {}, "rules": RULES},
            ),
            ("verdict", {"version": f"brand/{WEEK}/89abcdef", "verdict": "hold", "reasons": []}),
            ("approval", {"state": "pending", "version": f"brand/{WEEK}/89abcdef"}),
        )
    ]
    values = {
        "model": "brand",
        "as_of": WEEK,
        "reconstructed": False,
        "decision": {
            "decision": "review",
            "reasons": ["the level moved"],
            "rules": RULES,
            "requested_now": True,
        },
        "verdict": {
            "verdict": "hold",
            "reasons": ["rhat_max is missing"],
            "checks": [check | {"why": "chains disagree"}],
        },
        "validation": {
            "status": "accepted",
            "faults": [],
            "warnings": [FAULT],
            "weeks": 166,
            "first_week": "2023-01-02",
            "last_week": WEEK,
            "held_back": ["2026-03-09"],
            "late_targets": [],
        },
        "diff": {
            "new_weeks": [WEEK],
            "missing_weeks": [],
            "restated": [
                {"week": f"2025-01-{day:02d}", "geo": "all", "column": "spend.tv", "old": 1000.0, "new": 1100.0}
                for day in range(1, 26)
            ],
            "completed": [],
            "columns_added": [],
            "columns_removed": [],
            "channels_launched": ["video"],
            "channels_retired": [],
        },
        "evidence": {"status": "done", "values": {}, "notes": {"surprise.lost": "the file was torn"}},
        "drift": {
            "status": "tested",
            "calls": 1,
            "weeks_since": 17,
            "reference_weeks": 143,
            "reach": [{"column": "spend.tv", "geo": "all", "ratio": 1.31, "share_beyond": 0.75}],
            "false_alarms_per_year": 0.05,
            "not_tested": {"event.promo": "constant"},
            "columns": [drifted | {"plain_psi": 0.9}],
        },
        "champion": {"id": VERSION, "fitted_through": "2025-01-06"},
        "evaluation": {"metrics": {"rhat_max": 1.003}},
        "scores": scores(),
        "reset_after": None,
        "events": events,
        "evaluated": evaluated,
        "budget": BUDGET,
        "curves": curves(),
        "slack": 0.5,
    }
    return WeekFiles(**(values | changes))


@pytest.fixture(scope="module")
def page(evaluated):
    return week_report(whole_week(evaluated))


class _Reader(HTMLParser):
    """Collects the text of a page and complains of tags that do not match."""

    VOID = ("meta", "br", "path", "use", "rect")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_tells_decision_reasons_version_verdict_and_question(page):
    text = _Reader(page).text
    for words in ("week of 2026-03-02", "review", "the level moved", VERSION, "verdict: hold", "approval: pending"):
        assert words in text


def test_fired_rules_come_first_and_missing_evidence_is_called_missing(page):
    text = _Reader(page).text
    assert text.index("why of cusum") < text.index("why of quiet") < text.index("why of lost")
    assert "missing" in text[text.index("surprise.lost") : text.index("why of lost")]
    assert "the file was torn" in text
    assert "not needed" in text[text.index("surprise.later") : text.index("why of later")]


def test_the_first_twenty_restated_cells_are_shown_with_old_new_and_change_and_the_rest_counted(page):
    assert "The first 20 of 25 restated cells." in page
    assert "2025-01-20" in page and "2025-01-21" not in page
    assert "+10.0 %" in page


def test_the_page_needs_nothing_from_outside(page):
    addresses = set(re.findall(r'https?://[^"\s<)]+', page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(script|link|img)\b|url\((?!#)|@import", page)
    assert _Reader(page).open == []


def test_text_from_data_cannot_become_markup(page):
    assert "&lt;the&gt; median" in page and "<the>" not in page


def test_the_same_week_gives_the_same_bytes(evaluated, page):
    assert week_report(whole_week(evaluated)) == page


def test_charts_are_drawn_for_scores_roas_contributions_fit_and_holdout(page):
    assert page.count("<svg") == 6
    for words in ("spend now", "CUSUM of z", "a rule fires", "return on ad spend", "intercept", "ridge"):
        assert words in page
    # Colours that turn round in dark mode are variables, not fixed.
    assert "var(--ink)" in page and "#1b1f24" not in page.split("</style>", 1)[1]


CONTEST = {
    "weeks": 13,
    "champion": {"weeks": 12, "log_score": -70.9},
    "rows": [
        {"name": "refit", "why": "the spec in use", "status": "fitted", "proposed": False, "converged": True,
         "lead": 0.0, "lead_se": 0.0, "champion_lead": 5.1, "champion_lead_se": 1.4,
         "roas": [{"channel": "tv", "version": "champion", "mean": 1.4, "low": 0.9, "high": 2.0},
                  {"channel": "tv", "version": "challenger", "mean": 1.2, "low": 0.8, "high": 1.6}]},
        {"name": "break_any", "why": "another effect of tv", "status": "fitted", "proposed": True, "converged": True,
         "lead": 9.98, "lead_se": 5.5, "champion_lead": 14.7, "champion_lead_se": None,
         "roas": [{"channel": "tv", "version": "challenger", "mean": 0.6, "low": 0.2, "high": 1.1}]},
        {"name": "odd", "why": "no such week", "status": "not fitted", "proposed": False, "fault": "spec: <week>"},
    ],
}  # fmt: skip


def test_a_review_shows_what_it_fitted_with_leads_and_roas(evaluated):
    week = whole_week(evaluated)
    page = week_report(replace(week, evaluation={**week.evaluation, "contest": CONTEST}))
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall(r"<tr>.*?</tr>", page)]
    told = next(row for row in rows if "break_any (proposed)" in row)
    assert "another effect of tv" in told and "+10.0 ± 5.5" in told and "+14.7" in told
    assert any("odd" in row and "not fitted: spec: &lt;week&gt;" in row for row in rows)
    assert any("in use" in row and "1.4 (0.9 to 2)" in row for row in rows)
    assert "What the review fitted" not in week_report(week) and "Amended" not in week_report(week)


def test_the_page_says_how_the_champion_was_amended(evaluated):
    week = whole_week(evaluated)
    amended = {**week.champion, "spec": {"amendments": {"level_breaks": [WEEK]}}}
    assert f"<dt>Amended</dt><dd>another level from {WEEK}</dd>" in week_report(replace(week, champion=amended))


def test_the_budget_tells_plans_regret_and_experiment_with_a_curve_per_channel(page, evaluated):
    text = _Reader(page).text
    for words in (
        "brings 77 sales a week more",
        "6,000 (+20 %)",
        "best split by the version in use",
        "Proposed: none",
    ):
        assert words in text
    nothing = {"status": "not applicable", "why": "the model has no channels"}
    text = _Reader(week_report(whole_week(evaluated, budget=nothing, curves=curves().iloc[:0]))).text
    assert "Not applicable: the model has no channels." in text and "spend now" not in text


def test_a_quarantined_week_says_what_is_missing_and_why(tmp_path):
    decision = {"decision": "quarantine", "reasons": ["1 fault"], "rules": [], "requested_now": False}
    validation = whole_week(tmp_path).validation | {"status": "quarantined", "faults": [FAULT], "warnings": []}
    gone = {"verdict": None, "diff": None, "evidence": None, "drift": None, "evaluation": None, "champion": None}
    week = whole_week(tmp_path, decision=decision, validation=validation, scores=[], events=[], **gone)
    text = _Reader(week_report(week)).text
    assert text.count("The delivery is in quarantine, so nothing was computed from it.") == 5
    assert "Deliver the week again." in text and "The ledger has no event yet." in text


def test_a_quiet_week_shows_no_challenger_though_the_last_one_left_its_files(evaluated):
    quiet = whole_week(evaluated).decision | {"decision": "keep", "requested_now": False}
    page = week_report(whole_week(evaluated, decision=quiet))
    assert "No new fit was made this week." in page and "return on ad spend" not in page


def test_a_week_without_anything_still_makes_a_page(tmp_path):
    nothing = ("decision", "verdict", "validation", "diff", "evidence", "drift", "champion", "evaluation", "budget")
    page = week_report(whole_week(tmp_path, scores=[], events=[], **dict.fromkeys(nothing)))
    assert page.count('class="absent"') == 10


def test_drift_says_what_moved_draws_it_and_marks_what_decides_nothing(evaluated):
    weeks = pd.date_range("2024-01-01", periods=60, freq="7D")
    path = {"week": weeks, "column": "spend.tv", "aspect": "level", "low": -0.4, "high": 0.4}
    paths = pd.DataFrame(path | {"apart": np.where(np.arange(60) < 47, 0.1, 0.7), "since": np.arange(60) >= 43})
    page = week_report(whole_week(evaluated, drift_paths=paths), "2026-03-02.evidently.html")
    assert "its last 4 weeks at 1.31 of its largest 4 weeks in training; the response there is an extrapolation" in page
    assert "+0.65" in page and "90 % of training" in page
    assert 'href="2026-03-02.evidently.html"' in page and "nothing is decided by it" in page
    assert week_report(whole_week(evaluated, drift_paths=paths)) == week_report(
        whole_week(evaluated, drift_paths=paths)
    )


def test_two_geos_get_a_panel_each(evaluated):
    both = [row | {"geo": geo} for row in scores(20) for geo in ("north", "south")]
    text = _Reader(week_report(whole_week(evaluated, scores=both))).text
    assert "north" in text and "z, south" in text


def test_decision_plots_are_pngs_of_what_there_is(evaluated, tmp_path):
    plots = decision_plots(evaluated, tmp_path / "plots")
    assert sorted(path.name for path in plots) == ["contributions.png", "fitted.png", "holdout.png", "roas.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)
    again = decision_plots(evaluated, tmp_path / "again")
    assert [path.read_bytes() for path in plots] == [path.read_bytes() for path in again]
    assert decision_plots(tmp_path, tmp_path / "none") == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        (True, "yes"),
        (0.0, "0"),
        (5.6, "5.6"),
        (0.00012345, "0.0001234"),
        (1100.0, "1\u202f100"),
        (-1234567.8, "-1\u202f234\u202f568"),
    ],
)
def test_numbers_read_well(value, text):
    assert show_number(value) == text


def test_ranges_and_changes_read_as_words():
    assert list_weeks([]) == "none"
    assert list_weeks(["2026-01-05", "2026-01-12"]) == "2026-01-05, 2026-01-12"
    assert list_weeks([f"2026-01-{day:02d}" for day in range(1, 9)]) == "8, from 2026-01-01 to 2026-01-08"
    assert allowed_range({"low": None, "high": 1.01}) == "at most 1.01"
    assert allowed_range({"low": 400, "high": None}) == "at least 400"
    assert allowed_range({"low": 0.01, "high": 0.99}) == "0.01 to 0.99"
    assert relative_change({"old": -200.0, "new": -100.0}) == "+50.0 %"
    assert relative_change({"old": 0.0, "new": 1.0}) == ""


@pytest.mark.slow
def test_evidently_report_says_on_top_that_nothing_is_decided_by_it(tmp_path):
    draw = np.random.default_rng(0)
    weeks = pd.date_range("2023-01-02", periods=60, freq="7D").astype("datetime64[s]")
    panel = pd.DataFrame(
        {"week": weeks, "geo": "all", "target": draw.normal(size=60), "spend.tv": draw.gamma(2, size=60)}
    )
    evidently_report(panel[:-13], panel[-13:], tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text()
    body = page[page.index("<body") :]
    assert "evermix decides by the calibrated test" in body[:600]
    assert not re.search(r'<(script|link)[^>]+(src|href)="http', page)


def test_a_rule_of_several_conditions_shows_all_that_it_saw(tmp_path):
    also = [{"evidence": "surprise.second", "op": "<", "value": 2.0, "seen": 1.25}]
    rules = [rule("first", 6.5, fired=True) | {"also": also, "missing": []}]
    decision = {"decision": "review", "reasons": [], "rules": rules, "requested_now": False}
    text = week_report(whole_week(tmp_path, decision=decision))
    assert "<code>surprise.first</code><br><code>surprise.second</code>" in text
    assert "6.5<br>1.25" in text


def test_a_rule_that_only_tells_leaves_the_rules_behind_it_needed(tmp_path):
    rules = [rule("told", 6.5, fired=True) | {"decision": "tell"}, rule("lost", None, fired=False)]
    decision = {"decision": "review", "reasons": [], "rules": rules, "requested_now": False}
    assert "not needed" not in week_report(whole_week(tmp_path, decision=decision))


def test_the_page_says_what_the_rules_that_ever_fired_cost(tmp_path):
    text = week_report(whole_week(tmp_path))
    costs = text[text.index("What the rules cost so far") : text.index("Data quality")]
    assert "1 review" in costs and "52.0" in costs and "1.3 to 289.7" in costs
    assert "quiet" not in costs


def quality_points(weeks: int = 60) -> list[QualityPoint]:
    days = pd.date_range("2025-01-13", periods=weeks, freq="7D").strftime("%Y-%m-%d")
    late = [
        quality_point(day, day == WEEK, value=float(n % 3), high=2.0, low=0.0 if n > 30 else None)
        for n, day in enumerate(days)
    ]
    still = [quality_point(day, False, measure="completeness", value=1.0) for day in days]
    refused = quality_point(WEEK, True, measure="duplicates", accepted=False, limit="none", value=2.0, high=0.0)
    return [*sorted([*late, *still], key=lambda point: point.as_of), refused]


def test_quality_shows_each_series_that_moved_and_names_what_lies_outside(evaluated):
    points = quality_points()
    assert list(moving_series(points)) == [("freshness_days", "all"), ("duplicates", "all")]
    assert len(moving_series(points)["freshness_days", "all"]) == 52
    page = week_report(whole_week(evaluated, quality=points))
    section = page[page.index("Outside their limits") : page.index("What the delivery changed")]
    assert "1, refused" in section
    assert "the contract" in section
    assert "worst of 30 weeks" in section
    assert "freshness_days: all" in section


def test_a_week_without_a_record_of_quality_shows_no_plot(evaluated):
    assert "Over time" not in week_report(whole_week(evaluated))


POSTERIOR = {
    "weeks": 52,
    "totals": {"tv": {"mean": 1234.0, "low_90": 1000.0, "high_90": 1500.0}},
    "roas": [{"channel": "tv", "mean": 2.5, "low": 2.1, "high": 2.9}],
}


def test_the_page_says_what_the_posterior_of_today_says_and_whether_it_is_in_use(evaluated):
    week = whole_week(evaluated)
    updated = week.decision | {"decision": "update", "requested_now": False}
    text = _Reader(week_report(whole_week(evaluated, decision=updated, posterior=POSTERIOR))).text
    assert "The version in use now. Totals of the last 52 weeks" in text
    assert "2.5" in text
    waiting = _Reader(week_report(whole_week(evaluated, posterior=POSTERIOR))).text
    assert "not published this week" in waiting
    assert "No version is in use yet" in _Reader(week_report(week)).text
