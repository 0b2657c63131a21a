"""The watchdog: every hour, look for what did not happen, and send the alerts that are due."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task
from evermix_cli import RETRIES, read_models, run_evermix

DOC = """
### watchdog

Every hour `evermix watchdog` looks at every model: are the data of the week there, was it decided, was a quarantine
healed, was a question answered? What is overdue by the deadlines of `alerts.yaml` is an alert. It sees runs that never
came, since it looks at the histories and not at Airflow. It also sends what an earlier run could not deliver.

Green means that it looked and that every alert was delivered. **Red** means that a route did not take one: the log
names the route; what is due stays due and is tried again every hour.
"""

# The next look comes within the hour, so that a service that is away for longer needs no more tries than these.
SOON = RETRIES | {"retries": 3}

with DAG(
    dag_id="watchdog",
    # A plain cron: what it looks for has no partition, and a missed hour needs no catching up.
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "evermix"},
    tags=["evermix", "watchdog"],
    doc_md=DOC,
    description="Notices weeks that never came, and sends the alerts that are due",
):

    @task(doc_md="`evermix watchdog`: looks, alerts, and tries failed deliveries again.", **SOON)
    def look() -> dict[str, Any] | None:
        """Run the watchdog where there is a model to watch."""
        return run_evermix("watchdog", "--json") if read_models() else None

    look()
