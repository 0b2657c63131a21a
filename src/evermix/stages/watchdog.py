"""Notice what did not happen: weeks without data or decision, questions without answer; and send all that is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from evermix.config import Deadlines, Environment, airflow_url, load_operations
from evermix.core.alerts import Alert
from evermix.core.overdue import Watch, overdue_alerts, run_overdue
from evermix.errors import ConfigError
from evermix.stages import notify
from evermix.stages.publish import branch_events
from evermix.stages.snapshots import known_weeks


def run(
    env: Environment, models: Sequence[str], now: datetime, say: notify.Say, late_run: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Return what is ``overdue``, and what `notify.run` returns after sending it with all else that is due.

    Parameters
    ----------
    late_run : (model, week) or None
        A run of which Airflow says that it has not ended by its deadline.
    """
    deadlines = load_operations(env).deadlines
    raised: dict[str, list[Alert]] = {model: overdue_of(env, model, deadlines, now) for model in models}
    if late_run is not None:
        model, as_of = late_run
        raised.setdefault(model, []).append(run_overdue(model, as_of, airflow_url()))
    told = notify.run(env, models, say, raised)
    overdue = [alert.model_dump() for alerts in raised.values() for alert in alerts]
    return {"now": now.isoformat(timespec="seconds"), "overdue": overdue, **told}


def overdue_of(env: Environment, model: str, deadlines: Deadlines, now: datetime) -> list[Alert]:
    """Return what is overdue for one model."""
    events = branch_events(env, model)
    return overdue_alerts(Watch(model, deadlines, airflow_url()), events, known_weeks(env, model), now)


def parse_moment(text: str | None) -> datetime:
    """Return an ISO time, UTC where it names no zone; None is now."""
    if text is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--now: got {text!r}, expected an ISO time such as 2026-01-13T08:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
