"""A small client of Airflow's REST API: trigger a week, follow its runs, read and answer the open questions."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlencode

from evermix.errors import ConfigError, ServiceError

Row = dict[str, Any]
FINISHED = ("success", "failed")
# On SQLite an action may meet another request's write, in a server that cannot end the other one meanwhile (see
# `stack.services`): Airflow answers 500 after a while, and nothing of it was kept.
_BUSY = "Database error"
_BUSY_TRIES, _BUSY_PAUSE_S = 8, 1.0


class AirflowClient:
    """One login at one Airflow.

    Parameters
    ----------
    url : str
        Where Airflow answers, e.g. ``http://127.0.0.1:8080``.
    user, password : str
        The login; `evermix up` says it.
    timeout_s : float
        How long one answer may take.
    """

    def __init__(self, url: str, user: str, password: str, timeout_s: float = 30.0) -> None:
        self.url = url.rstrip("/")
        self._login = {"username": user, "password": password}
        self._timeout_s = timeout_s
        self._token: str | None = None

    # -- runs ----------------------------------------------------------------

    def trigger(self, dag_id: str, partition: str | None = None, conf: Row | None = None) -> str:
        """Start a run, of one partition (the week's Monday) if given; return its run id."""
        body = {"logical_date": None, "conf": conf or {}} | ({"partition_key": partition} if partition else {})
        return str(self._call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, first: str, last: str, conf: Row | None = None) -> int:
        """Run a producer for every Monday from `first` to `last`, both included, in order; return the backfill's id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T23:59:59Z",
            "max_active_runs": 1,
            "reprocess_behavior": "completed",
            "dag_run_conf": conf or {},
        }
        return int(self._call("POST", "/backfills", body)["id"])

    def clear(self, dag_id: str, run_id: str) -> None:
        """Queue all tasks of a run again."""
        self._call("POST", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/clear", {"dry_run": False})

    def dags(self) -> list[Row]:
        """Return the DAGs that Airflow has parsed."""
        return list(self._call("GET", "/dags?limit=1000")["dags"])

    def import_errors(self) -> list[Row]:
        """Return the DAG files that do not parse, with the reason."""
        return list(self._call("GET", "/importErrors")["import_errors"])

    def dag_runs(self, dag_id: str, partition: str | None = None) -> list[Row]:
        """Return the runs of a DAG, oldest first; only those of one partition if given."""
        query = urlencode({"limit": 1000, "order_by": "id"})
        runs = self._call("GET", f"/dags/{dag_id}/dagRuns?{query}")["dag_runs"]
        return [run for run in runs if partition is None or run["partition_key"] == partition]

    def dag_run(self, dag_id: str, run_id: str) -> Row:
        """Return one run."""
        return dict(self._call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"))

    def task_instances(self, dag_id: str, run_id: str) -> list[Row]:
        """Return the tasks of a run with their states."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=1000"
        return list(self._call("GET", path)["task_instances"])

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """Return the log of one attempt of a task as text."""
        path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{attempt}"
        return "\n".join(_log_line(line) for line in self._call("GET", f"{path}?full_content=true")["content"])

    def wait_for_run(self, dag_id: str, run_id: str, timeout_s: float = 600.0) -> Row:
        """Return a run once it has ended, well or not."""
        return wait(lambda: _ended(self.dag_run(dag_id, run_id)), f"{dag_id} {run_id}: to end", timeout_s)

    # -- questions -----------------------------------------------------------

    def pending_approvals(self, dag_id: str = "~") -> list[Row]:
        """Return the open questions: ``dag_id, run_id, task_id, subject, body, options, url``."""
        path = f"/dags/{dag_id}/dagRuns/~/hitlDetails?response_received=false&limit=1000"
        details = self._call("GET", path)["hitl_details"]
        return [self._question(detail) for detail in details if detail["task_instance"]["state"] == "awaiting_input"]

    def answer(self, question: Row, option: str) -> Row:
        """Answer a question that `pending_approvals` returned, in the name of this login."""
        run = quote(question["run_id"], safe="")
        path = f"/dags/{question['dag_id']}/dagRuns/{run}/taskInstances/{question['task_id']}/-1/hitlDetails"
        return dict(self._call("PATCH", path, {"chosen_options": [option], "params_input": {}}))

    def _question(self, detail: Row) -> Row:
        task = detail["task_instance"]
        where = f"{self.url}/dags/{task['dag_id']}/runs/{quote(task['dag_run_id'], safe='')}"
        return {
            "dag_id": task["dag_id"],
            "run_id": task["dag_run_id"],
            "task_id": task["task_id"],
            "subject": detail["subject"],
            "body": detail["body"],
            "options": detail["options"],
            "url": f"{where}/tasks/{task['task_id']}/required_actions",
        }

    # -- the wire ------------------------------------------------------------

    def _call(self, method: str, path: str, body: Row | None = None) -> Row:
        for _ in range(_BUSY_TRIES - 1):
            try:
                return self._ask(method, path, body)
            except _DatabaseBusyError:
                time.sleep(_BUSY_PAUSE_S)
        return self._ask(method, path, body)

    def _ask(self, method: str, path: str, body: Row | None) -> Row:
        if self._token is None:
            self._token = self._send("POST", "/auth/token", self._login, None)["access_token"]
        try:
            return self._send(method, f"/api/v2{path}", body, self._token)
        except _LoginExpiredError:
            self._token = self._send("POST", "/auth/token", self._login, None)["access_token"]
            return self._send(method, f"/api/v2{path}", body, self._token)

    def _send(self, method: str, path: str, body: Row | None, token: str | None) -> Row:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        where = f"Airflow: {method} {path}"
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                return dict(json.loads(answer.read() or b"{}"))
        except urllib.error.HTTPError as err:
            with err:
                reason = err.read().decode(errors="replace")[:500]
            if err.code == 401 and token:
                raise _LoginExpiredError(f"{where}: 401") from None
            if err.code >= 500:
                kind = _DatabaseBusyError if _BUSY in reason else ServiceError
                raise kind(f"{where}: got {err.code}, {reason}. See Airflow's api-server log.") from None
            raise ConfigError(f"{where}: got {err.code}, {reason}. Mend the request or the login.") from None
        except (urllib.error.URLError, HTTPException, OSError) as err:
            raise ServiceError(f"{where}: no answer from {self.url} ({err}). Is the stack up? `evermix up`.") from None


class _LoginExpiredError(ServiceError):
    """The token is no longer good; asked for anew once."""


class _DatabaseBusyError(ServiceError):
    """Airflow's database was taken; the request is made again."""


def wait(look: Callable[[], Row | None], what: str, timeout_s: float, pause_s: float = 1.0) -> Row:
    """Return the first answer of `look` that is not None.

    Raises
    ------
    ServiceError
        None came within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise ServiceError(f"Airflow: waited {timeout_s:.0f} s for {what}. Look at its tasks in the Airflow UI.")
        time.sleep(pause_s)
    return seen


def _ended(run: Row) -> Row | None:
    return run if run["state"] in FINISHED else None


def _log_line(line: str | Row) -> str:
    if isinstance(line, str):
        return line
    errors = [f"{error['exc_type']}: {error['exc_value']}" for error in line.get("error_detail") or []]
    return "\n".join([str(line.get("event", "")), *errors])
