"""Apprise against a real webhook on loopback: what arrives, what a failure says, and that no secret is told."""

import pytest
from receiver import receiver

from evermix.engines.alerts import send
from evermix.errors import ConfigError, ServiceError

FIELDS = {"alert_id": "0123456789abcdef", "model": "brand", "as_of": "2026-01-12", "kind": "quarantine"}
MESSAGE = ("subject", "line one\nline two & <b>", "critical", FIELDS)


@pytest.fixture
def hook():
    with receiver() as box:
        yield box


def test_a_webhook_gets_the_event_id_as_a_key_of_its_own(hook):
    send(hook.url(), "route x", *MESSAGE)
    (payload,) = hook.got
    assert payload["alert_id"] == "0123456789abcdef"
    assert payload | FIELDS == payload
    assert (payload["title"], payload["type"]) == ("subject", "failure")
    assert payload["message"].splitlines()[0] == "line one"


def test_a_users_own_payload_keys_and_headers_are_kept(hook):
    send(hook.url("path?:team=mmm&+X-Token=abc"), "route x", *MESSAGE)
    assert hook.got[0]["team"] == "mmm"
    assert hook.headers[0]["X-Token"] == "abc"


def test_a_secret_comes_from_the_environment_and_may_hold_any_character(hook, monkeypatch):
    import base64

    monkeypatch.setenv("EVERMIX_TEST_PASSWORD", "a/b@c:d%?&")
    send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route x", *MESSAGE)
    assert base64.b64decode(hook.headers[0]["Authorization"].split()[1]) == b"ada:a/b@c:d%?&"


def test_a_whole_url_may_be_a_secret(hook, monkeypatch):
    monkeypatch.setenv("EVERMIX_TEST_URL", hook.url())
    send("${EVERMIX_TEST_URL}", "route x", *MESSAGE)
    assert len(hook.got) == 1


def test_a_refusal_is_a_service_error_that_names_the_route_and_no_secret(hook, monkeypatch, capfd):
    hook.code = 500
    monkeypatch.setenv("EVERMIX_TEST_PASSWORD", "s3cr3t/x")
    with pytest.raises(ServiceError) as caught:
        send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route on-call (json)", *MESSAGE)
    assert "route on-call (json)" in str(caught.value)
    assert "500" in str(caught.value)
    assert "s3cr3t" not in str(caught.value) + "".join(capfd.readouterr())


def test_an_address_at_which_nobody_answers_is_a_service_error(hook):
    gone = hook.url().replace(str(hook.port), "9")
    with pytest.raises(ServiceError, match="route x"):
        send(gone, "route x", *MESSAGE)


def test_a_variable_that_is_not_set_is_named_and_nothing_is_sent(hook, monkeypatch):
    monkeypatch.delenv("EVERMIX_TEST_PASSWORD", raising=False)
    with pytest.raises(ConfigError, match="EVERMIX_TEST_PASSWORD"):
        send(hook.url(login="ada:${EVERMIX_TEST_PASSWORD}@"), "route x", *MESSAGE)
    assert hook.got == []


def test_a_url_of_no_service_is_a_config_error_without_the_rest_of_the_url():
    with pytest.raises(ConfigError, match="jsno://") as caught:
        send("jsno://user:hidden@host", "route x", *MESSAGE)
    assert "hidden" not in str(caught.value)
