"""A contest in words: every fit is a row, whatever became of it."""

from evermix.core.contest_words import contest_lines, leads_table, roas_table

ROW = {"name": "refit", "why": "on all weeks", "status": "fitted", "proposed": False, "converged": False}
NUMBERS = {"lead": 0.0, "lead_se": 0.0, "champion_lead": None, "champion_lead_se": None, "roas": []}
ODD = {"name": "odd", "why": "no week", "status": "not fitted", "proposed": False, "fault": "spec: got 1\n1 fault(s)."}
TV = {"channel": "tv", "version": "challenger", "mean": 0.6, "low": 0.2, "high": 1.1}


def contest(*rows):
    return {"weeks": 13, "champion": {"weeks": 0, "log_score": None}, "rows": list(rows)}


def test_a_fault_of_several_lines_stays_in_its_row():
    lines = contest_lines(contest({**ROW, **NUMBERS}, ODD))
    assert "| odd | no week |  |  | not fitted: spec: got 1 1 fault(s). |" in lines
    assert not any("\n" in line for line in lines)


def test_a_lead_that_is_not_known_is_missing_and_the_refit_has_none_over_itself():
    _, rows = leads_table(contest({**ROW, **NUMBERS}))
    assert rows == [["refit", "on all weeks", "", "missing", "no"]]


def test_without_a_channel_there_is_no_return_on_ad_spend_to_show():
    assert roas_table(contest({**ROW, **NUMBERS})) == ([], [])
    assert not any("Return on ad spend" in line for line in contest_lines(contest({**ROW, **NUMBERS})))


def test_a_cell_without_a_number_says_why_and_one_of_no_fit_is_empty():
    rested = {**TV, "channel": "radio"}
    head, rows = roas_table(contest({**ROW, **NUMBERS, "roas": [TV, rested]}, {**ROW, **NUMBERS, "roas": [TV]}, ODD))
    assert head == ["fit", "tv", "radio"]
    cell = "0.6 (0.2 to 1.1)"
    assert rows[0] == ["in use", "not known", "not known"]
    assert rows[1:] == [["refit", cell, cell], ["refit", cell, "no spend"], ["odd", "", ""]]
