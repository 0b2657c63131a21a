"""From when a run's deadline counts.  A plugin of Airflow: its folder is what ``plugins_folder`` must name."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference
from airflow.sdk.plugins_manager import AirflowPlugin


class RunQueued(BaseDeadlineReference):
    """The time at which a run was queued.

    ``DeadlineReference.DAGRUN_QUEUED_AT`` is the same, but Airflow 3.3.2 answers 500 to *Clear* of any run that has
    it: there it looks for that reference by name, and takes the stored interval for a number.
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    def _evaluate_with(self, *, session: Any, dag_id: str, run_id: str) -> datetime | None:
        # The scheduler's, which no task and no DAG file needs.
        from airflow.models import DagRun

        run = session.query(DagRun).filter_by(dag_id=dag_id, run_id=run_id).one_or_none()
        return run.queued_at if run else None

    def serialize_reference(self) -> dict[str, Any]:
        """Return what the database keeps."""
        return {"reference_type": self.reference_name}


class RunDeadlinePlugin(AirflowPlugin):
    """Lets Airflow read `RunQueued` back from its database."""

    name = "evermix_run_deadline"
    deadline_references: ClassVar[list[type]] = [RunQueued]
