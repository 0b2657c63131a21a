"""Reports for people: the week's page, plots of a decision, Evidently's tables.

The only home of matplotlib, jinja2 and evidently.
"""

from evermix.engines.reports.evidently import evidently_report
from evermix.engines.reports.page import WeekFiles, week_report
from evermix.engines.reports.plots import WEEKS_SHOWN, decision_plots

__all__ = ["WEEKS_SHOWN", "WeekFiles", "decision_plots", "evidently_report", "week_report"]
