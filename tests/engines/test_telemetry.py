"""The exporter: Prometheus's text, re-read now and then, and the last good state when a read fails."""

import threading
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from evermix.engines.telemetry import Exporter, Sample, make_server, render
from evermix.errors import ServiceError

UP = Sample("evermix_service_up", 1.0, {"service": "mlflow"})


def values(text):
    families = text_string_to_metric_families(text.decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def drop(line):
    """Take a line of progress and drop it."""


def test_samples_become_families_with_help_and_type():
    decisions = [
        Sample("evermix_model_decisions_total", float(n), {"model": "brand", "decision": d})
        for n, d in ((3, "keep"), (1, "refit"))
    ]
    text = render([UP, *decisions])
    assert b"# TYPE evermix_service_up gauge" in text
    assert text.count(b"# TYPE evermix_model_decisions_total counter") == 1
    assert values(text)["evermix_model_decisions_total", "keep", "brand"] == 3.0


def test_a_label_may_hold_any_character():
    odd = 'a"b\\c\nd'
    text = render([Sample("evermix_service_up", 1.0, {"service": odd})])
    assert values(text) == {("evermix_service_up", odd): 1.0}


def test_a_name_that_is_not_in_the_table_is_a_bug():
    with pytest.raises(KeyError):
        render([Sample("evermix_new", 1.0, {})])


def test_state_is_read_once_for_scrapes_that_follow_one_another():
    reads = []

    def read():
        reads.append(1)
        return [UP]

    exporter = Exporter(read, drop, reread_s=60.0)
    assert values(exporter.text()) | {} == values(exporter.text())
    assert len(reads) == 1


def test_a_failed_read_keeps_the_last_good_numbers_and_their_time_and_is_counted():
    answers = [[UP], ServiceError("the history cannot be reached"), [UP]]

    def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    said = []
    exporter = Exporter(read, said.append, reread_s=0.0)
    good, failed = values(exporter.text()), values(exporter.text())
    assert failed["evermix_service_up", "mlflow"] == 1.0
    assert failed["evermix_exporter_last_read_seconds",] == good["evermix_exporter_last_read_seconds",] > 0
    assert (good["evermix_exporter_read_errors_total",], failed["evermix_exporter_read_errors_total",]) == (0.0, 1.0)
    assert "cannot be reached" in said[0]
    assert values(exporter.text())["evermix_exporter_last_read_seconds",] > good["evermix_exporter_last_read_seconds",]


def test_a_state_that_was_never_read_shows_no_model_and_a_time_of_zero():
    def read():
        raise ServiceError("away")

    assert values(Exporter(read, drop).text())["evermix_exporter_last_read_seconds",] == 0.0


@contextmanager
def serving(read):
    server = make_server(Exporter(read, drop), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_metrics_and_health_are_served_and_nothing_else():
    with serving(lambda: [UP]) as url:
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            assert values(answer.read())["evermix_service_up", "mlflow"] == 1.0
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/etc/passwd", timeout=5)
        assert caught.value.code == 404
        caught.value.close()


def test_health_is_answered_while_the_state_is_being_read():
    may_end = threading.Event()

    def read():
        may_end.wait(10)
        return [UP]

    with serving(read) as url:
        scrape = threading.Thread(target=lambda: urllib.request.urlopen(f"{url}/metrics", timeout=15).close())
        scrape.start()
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
            assert answer.read() == b"ok\n"
        may_end.set()
        scrape.join()
