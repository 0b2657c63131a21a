"""Apprise against a real webhook on loopback: what arrives, what a failure says, and that no secret is told."""

import html

import pytest
from receiver import mail_server, receiver

from evermix.core.overdue import run_overdue
from evermix.engines.alerts import send
from evermix.errors import ConfigError, ServiceError

ALERT = run_overdue("brand", "2026-01-12", "http://airflow?a=1&b=<c>")


@pytest.fixture
def hook():
    with receiver() as box:
        yield box


def test_a_webhook_gets_the_event_id_as_a_key_of_its_own(hook):
    send(hook.url(), "route x", ALERT)
    (payload,) = hook.got
    assert payload["alert_id"] == ALERT.id
    fields = {"kind": "run_overdue", "model": "brand", "as_of": "2026-01-12", "severity": "critical"}
    assert payload | fields | {"link": ALERT.link, "action": ALERT.action} == payload
    assert (payload["title"], payload["type"]) == (ALERT.subject(), "failure")
    assert payload["message"] == ALERT.body()


def test_a_users_own_payload_keys_and_headers_are_kept(hook):
    send(hook.url("path?:team=mmm&+X-Token=abc"), "route x", ALERT)
    assert hook.got[0]["team"] == "mmm"
    assert hook.headers[0]["X-Token"] == "abc"


def test_a_secret_comes_from_the_environment_and_may_hold_any_character(hook, monkeypatch):
    import base64

    monkeypatch.setenv("EVERMIX_TEST_PASSWORD", "a/b@c:d%?&")
    send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route x", ALERT)
    assert base64.b64decode(hook.headers[0]["Authorization"].split()[1]) == b"ada:a/b@c:d%?&"


def test_a_whole_url_may_be_a_secret(hook, monkeypatch):
    monkeypatch.setenv("EVERMIX_TEST_URL", hook.url())
    send("${EVERMIX_TEST_URL}", "route x", ALERT)
    assert len(hook.got) == 1


def test_a_refusal_is_a_service_error_that_names_the_route_and_no_secret(hook, monkeypatch, capfd):
    hook.code = 500
    monkeypatch.setenv("EVERMIX_TEST_PASSWORD", "s3cr3t/x")
    with pytest.raises(ServiceError) as caught:
        send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route on-call (json)", ALERT)
    assert "route on-call (json)" in str(caught.value)
    assert "500" in str(caught.value)
    assert "s3cr3t" not in str(caught.value) + "".join(capfd.readouterr())


def test_an_address_at_which_nobody_answers_is_a_service_error(hook):
    gone = hook.url().replace(str(hook.port), "9")
    with pytest.raises(ServiceError, match="route x"):
        send(gone, "route x", ALERT)


def test_what_the_service_says_shows_the_placeholder_instead_of_the_secret(monkeypatch):
    monkeypatch.setenv("EVERMIX_TEST_HOST", "127.0.0.1")
    with pytest.raises(ServiceError) as caught:
        send("json://${EVERMIX_TEST_HOST}:9/", "route x", ALERT)
    assert "${EVERMIX_TEST_HOST}" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(hook, monkeypatch):
    monkeypatch.delenv("EVERMIX_TEST_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="EVERMIX_TEST_PASSWORD"):
        send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route x", ALERT)
    assert hook.got == []


def test_a_url_of_no_service_is_a_config_error_without_the_rest_of_the_url():
    with pytest.raises(ConfigError, match="jsno://") as caught:
        send("jsno://user:hidden@host", "route x", ALERT)
    assert "hidden" not in str(caught.value)


def test_a_mail_holds_what_happened_what_to_do_the_link_and_the_event_id():
    with mail_server() as (port, mails):
        send(f"mailto://127.0.0.1:{port}/?mode=insecure&from=evermix@x.org&to=ada@x.org", "route x", ALERT)
    (mail,) = mails
    assert mail["subject"] == ALERT.subject()
    assert "ada@x.org" in mail["to"]
    text = mail.get_body(("plain", "html")).get_content()
    for part in (ALERT.action, ALERT.link, ALERT.id):
        assert " ".join(part.split()) in " ".join(html.unescape(text).split())


def test_a_mail_that_the_server_does_not_take_is_a_service_error():
    with mail_server(refuse="ada@x.org") as (port, mails), pytest.raises(ServiceError, match="route x"):
        send(f"mailto://127.0.0.1:{port}/?mode=insecure&from=evermix@x.org&to=ada@x.org", "route x", ALERT)
    assert mails == []
