"""prometheus_client: every metric that evermix exports, and the server that shows them.  Its only home."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from evermix.errors import EvermixError

REREAD_S = 15.0


@dataclass(frozen=True)
class Sample:
    """One number of one metric, with its labels."""

    name: str
    value: float
    labels: Mapping[str, str]


# Name, kind, labels, help.  monitoring/README.md has the same list with what to do; a test compares them.
METRICS: dict[str, tuple[type[Metric], tuple[str, ...], str]] = {
    "evermix_build_info": (GaugeMetricFamily, ("version",), "1, with the version of evermix"),
    "evermix_model_alerts_undelivered": (GaugeMetricFamily, ("model",), "Alerts that a route has not taken yet"),
    "evermix_model_champion_age_seconds": (GaugeMetricFamily, ("model",), "Time since the champion was promoted"),
    "evermix_model_check_value": (GaugeMetricFamily, ("model", "check"), "Numbers that the last gate saw"),
    "evermix_model_checks_failed": (GaugeMetricFamily, ("model",), "Checks of the last gate that did not pass"),
    "evermix_model_decisions_total": (CounterMetricFamily, ("model", "decision"), "Decisions in the ledger"),
    "evermix_model_evidence": (GaugeMetricFamily, ("model", "evidence"), "Evidence of the last decision"),
    "evermix_model_evidence_missing": (GaugeMetricFamily, ("model",), "Evidence that the last decision lacked"),
    "evermix_model_frozen": (GaugeMetricFamily, ("model",), "1 while a person has frozen the model"),
    "evermix_model_last_closed_week_seconds": (GaugeMetricFamily, ("model",), "Monday of the last decided week"),
    "evermix_model_last_data_week_seconds": (GaugeMetricFamily, ("model",), "Monday of the newest delivery"),
    "evermix_model_ledger_events": (GaugeMetricFamily, ("model",), "Events in the ledger"),
    "evermix_model_ledger_faults": (GaugeMetricFamily, ("model",), "Places at which the ledger's chain is broken"),
    "evermix_model_overdue": (GaugeMetricFamily, ("model", "kind"), "1 while the watchdog says so"),
    "evermix_model_pending_approval_seconds": (GaugeMetricFamily, ("model",), "Age of the open question, 0: none"),
    "evermix_model_quality": (GaugeMetricFamily, ("model", "measure", "column"), "Quality of the last delivery"),
    "evermix_model_quality_outside": (
        GaugeMetricFamily,
        ("model", "measure", "column"),
        "1 for quality series outside their limits in the last delivery",
    ),
    "evermix_model_quarantined": (GaugeMetricFamily, ("model",), "1 while the last week is in quarantine"),
    "evermix_model_rule_fired": (GaugeMetricFamily, ("model", "rule"), "1 for rules that fired in the last decision"),
    "evermix_model_rule_fits_per_year": (
        GaugeMetricFamily,
        ("model", "rule"),
        "Fits that a rule decided, per 52 weeks",
    ),
    "evermix_model_verdicts_total": (CounterMetricFamily, ("model", "verdict"), "Verdicts in the ledger"),
    "evermix_model_weeks_behind": (GaugeMetricFamily, ("model",), "Ended weeks after the last decided one"),
    "evermix_model_weeks_since_fit": (
        GaugeMetricFamily,
        ("model",),
        "Weeks decided since the last one that was fitted",
    ),
    "evermix_home_free_bytes": (GaugeMetricFamily, (), "Free room where EVERMIX_HOME lies"),
    "evermix_home_size_bytes": (GaugeMetricFamily, (), "All room where EVERMIX_HOME lies"),
    "evermix_service_up": (GaugeMetricFamily, ("service",), "1 while a service answers that it is well"),
    "evermix_exporter_last_read_seconds": (GaugeMetricFamily, (), "When the state was last read well, Unix time"),
    "evermix_exporter_read_duration_seconds": (GaugeMetricFamily, (), "How long that took"),
    "evermix_exporter_read_errors_total": (CounterMetricFamily, (), "Reads of the state that failed"),
}


def render(samples: Iterable[Sample]) -> bytes:
    """Return samples in Prometheus's text format; a name that is not in the table is a KeyError, thus a bug."""
    return bytes(generate_latest(_Registry(samples)))  # type: ignore[arg-type]


class _Registry:
    """What `generate_latest` asks of a registry: the families of one moment."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.families: dict[str, Metric] = {}
        for sample in samples:
            kind, labels, text = METRICS[sample.name]
            family = self.families.setdefault(sample.name, kind(sample.name, text, labels=list(labels)))  # type: ignore[call-arg]
            family.add_metric([sample.labels[name] for name in labels], sample.value)  # type: ignore[attr-defined]

    def collect(self) -> Iterator[Metric]:
        """Yield the families in the order of their first sample."""
        yield from self.families.values()


class Exporter:
    """Keeps the last state that could be read, and reads it again when it is older than `REREAD_S`.

    Parameters
    ----------
    read : callable
        Returns the samples of this moment; an `EvermixError` or `OSError` leaves the last good ones in place.
    say : callable
        Takes a line when a read fails.
    """

    def __init__(
        self, read: Callable[[], list[Sample]], say: Callable[[str], None], reread_s: float = REREAD_S
    ) -> None:
        self._read = read
        self._say = say
        self._reread_s = reread_s
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._tried = float("-inf")
        self._last_good = 0.0
        self._took = 0.0
        self._errors = 0

    def text(self) -> bytes:
        """Return the present metrics; scrapes that come at once wait for one read."""
        with self._lock:
            if time.monotonic() - self._tried >= self._reread_s:
                self._refresh()
            own = {
                "evermix_exporter_last_read_seconds": self._last_good,
                "evermix_exporter_read_duration_seconds": self._took,
                "evermix_exporter_read_errors_total": float(self._errors),
            }
            return render([*self._samples, *(Sample(name, value, {}) for name, value in own.items())])

    def _refresh(self) -> None:
        started = time.monotonic()
        try:
            self._samples = self._read()
        except (EvermixError, OSError) as err:
            self._errors += 1
            self._say(f"the state could not be read, the last good one is shown: {err}")
        else:
            self._last_good = time.time()
            self._took = time.monotonic() - started
        self._tried = time.monotonic()


def make_server(exporter: Exporter, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server, bound and not yet serving: ``/metrics``, and ``/healthz`` that reads nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] == "/metrics":
                self._answer(200, exporter.text(), CONTENT_TYPE_LATEST)
            elif self.path == "/healthz":
                self._answer(200, b"ok\n", "text/plain")
            else:
                self._answer(404, b"there is /metrics and /healthz\n", "text/plain")

        def _answer(self, code: int, body: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Say nothing: a scrape every 15 s is no news."""

    return ThreadingHTTPServer((host, port), Handler)
